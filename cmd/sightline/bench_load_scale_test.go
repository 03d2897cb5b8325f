package main

import (
	"runtime"
	"testing"
	"time"

	"github.com/sightline/sightline/models"
	"github.com/sightline/sightline/pipeline/picture"
)

// turnsEach is how often what is compared takes turns, since other programs of this machine disturb now the one and now the other.
const turnsEach = 4

// BenchmarkLoadThroughput compares what the live detector looks at in a second, every tile of a 4K clip, with what a bare
// loop looks at over as many sessions of the same model, in turn with it. In %of-bare decoding, preparation and all else take their time on
// the same processors. In %of-bare-net the CPU time of bare decoding and bare preparation, divided by the processors, is taken off
// the pipeline's time: what is missing to 100 % is everything else that the pipeline does, and waiting.
func BenchmarkLoadThroughput(b *testing.B) {
	f := fleet{clip: shared(b, "clips", "mosaic-4k.mp4"), cameras: 2, pace: "fast", tiles: "policy: grid"}
	cores := runtime.GOMAXPROCS(0)
	p := f.start(b)
	page := p.page(b)
	var sum load
	var inputs float64       // of the network's own size, as many as have the pixels of all that were looked at
	var bare, others float64 // seconds that these took bare, and decoding and preparing them on all processors
	for b.Loop() {
		for range turnsEach {
			resume := hold(b, p)
			decoding, preparing, look := decodeCPU(b, f.clip), prepareCPU(b, shippedModel(), cores), bareLooks(b, shippedModel(), cores)
			resume()
			l := p.load(b, page, aWhile)
			sum = sum.plus(l)
			looks := l.pixels / inputPixels(b, shippedModel())
			bare += looks * look.wall / float64(cores)
			others += (l.frames*decoding + looks*preparing) / float64(cores)
			inputs += looks
		}
	}
	b.ReportMetric(inputs/sum.wall, "inputs/s")
	b.ReportMetric(inputs/bare, "bare-inputs/s")
	b.ReportMetric(100*bare/sum.wall, "%of-bare")
	b.ReportMetric(100*bare/(sum.wall-others), "%of-bare-net")
	b.ReportMetric(0, "ns/op")
}

// prepareCPU is what it costs to bring a tile of a 4K frame to the network's input, in seconds, while as many are prepared at once as
// there are lanes.
func prepareCPU(b *testing.B, model string, lanes int) float64 {
	b.Helper()
	spec, err := models.Load(model)
	if err != nil {
		b.Fatal(err)
	}
	const rounds, tile = 10, 640
	frame := picture.New(3840, 2160)
	prepare := func() error {
		layout := picture.Layout{RGB: spec.Layout.RGB, Scale: spec.Layout.Scale, Centre: spec.Layout.Centre, Fill: spec.Layout.Fill}
		letterbox, input := picture.NewLetterboxer(layout), make([]float32, 3*spec.Height*spec.Width)
		for i := range 32 * rounds {
			region := picture.Rect{X: i % 8 * (frame.Width - tile) / 7 &^ 1, Y: i / 8 % 4 * (frame.Height - tile) / 3 &^ 1, W: tile, H: tile}
			if _, err := letterbox.Fill(input, spec.Width, spec.Height, frame, region); err != nil {
				return err
			}
		}
		return nil
	}
	began := ownCPU(b)
	atOnce(b, lanes, func(int) error { return prepare() })
	return (ownCPU(b) - began) / float64(lanes*32*rounds)
}

// BenchmarkLoadTwoDetectors has one detector process of one thread, then two, share the frames of four cameras, and in turn with
// them one bare session of one thread, then two. Frames are small and looked at by many tiles, so that decoding, which shares the
// processors, costs next to nothing.
func BenchmarkLoadTwoDetectors(b *testing.B) {
	clip := shared(b, "clips", "car-detection.mp4")
	f := fleet{clip: clip, cameras: 4, pace: "fast", tiles: "policy: grid, size: 240", workers: 1}
	cameras := start(b, nil, "run", "-c", f.config(b), "--roles", "ingest")
	f.bus = `url: "` + cameras.broker(b) + `"`
	a := hearAll(b, cameras.broker(b))
	detector := func() *process {
		p := start(b, nil, "run", "-c", f.config(b), "--roles", "detect")
		p.await(b, "connected to broker")
		return p
	}
	first := detector()
	var one, two, bareOne, bareTwo float64 // looks a second
	for b.Loop() {
		for range turnsEach {
			one += a.looks(b, cameras)
			second := detector()
			two += a.looks(b, cameras)
			second.stop(b)
			resume := hold(b, cameras, first)
			bareOne += 1 / bareLooks(b, shippedModel(), 1).wall
			bareTwo += 2 / bareLooks(b, shippedModel(), 2).wall
			resume()
		}
	}
	times := float64(b.N * turnsEach)
	b.ReportMetric(two/one, "x-gain")
	b.ReportMetric(bareTwo/bareOne, "x-bare-gain")
	b.ReportMetric(100*(two/one)/(bareTwo/bareOne), "%of-bare-gain")
	b.ReportMetric(one/times, "one-looks/s")
	b.ReportMetric(two/times, "two-looks/s")
	b.ReportMetric(0, "ns/op")
}

// looks is how many looks a second all detectors take together.
func (a *audience) looks(b *testing.B, cameras *process) float64 {
	b.Helper()
	cameras.lasts(b, 1500*time.Millisecond) // whoever began just now is at work
	from, n := time.Now(), 0
	for _, m := range a.during(b, cameras, 5*time.Second) {
		n += m.looks
	}
	return float64(n) / time.Since(from).Seconds()
}
