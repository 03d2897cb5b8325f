package main

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/sightline/sightline/pipeline/bus"
)

// BenchmarkAdaptive plays a clip, every frame of it, with the grid and with the adaptive policy by budget, and says what share of the
// grid's looks was taken and what the published tracks lost by it. Truth is what the grid detects in every frame; what the grid's
// own tracks find of it is the measure. The first sweep is left out. SOURCE names another clip, MODEL another model, TRUTH the model
// that says what is there if it is not the same, PLOT a file to draw: make bench BENCH=Adaptive SOURCE=clip.mp4 PLOT=adaptive.svg
func BenchmarkAdaptive(b *testing.B) {
	clip, model, says := fromRoot(os.Getenv("SOURCE")), fromRoot(os.Getenv("MODEL")), fromRoot(os.Getenv("TRUTH"))
	if clip == "" {
		clip = shared(b, "clips", "mosaic-4k.mp4")
	}
	if model == "" {
		model = shared(b, "models", "yolox_nano.onnx")
	}
	const sweep = 5 * time.Second
	grid := play(b, clip, model, "policy: grid")
	truth := grid
	if says != "" {
		truth = play(b, clip, says, "policy: grid")
	}
	measured := grid.against(truth, sweep)
	b.Run("grid", func(b *testing.B) { measured.report(b, measured) })
	var runs []plotted
	for _, budget := range []int{2, 4, 5, 8, 16} {
		b.Run(fmt.Sprintf("budget-%d", budget), func(b *testing.B) {
			run := play(b, clip, model, fmt.Sprintf("policy: adaptive, budget: %d, sweep: %s", budget, sweep))
			o := run.against(truth, sweep)
			o.report(b, measured)
			runs = append(runs, plotted{strconv.Itoa(budget), share(o.looks, o.of), 100 * o.recall() / measured.recall()})
		})
	}
	plot(b, runs)
}

// fromRoot makes a path that is said beside the Makefile one from here.
func fromRoot(path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join("..", "..", path)
}

// published is what a process published of one clip, by frame.
type published struct {
	mu         sync.Mutex // protects what follows while the process runs
	detections map[uint64]*bus.Detections
	tracks     map[uint64]*bus.Tracks
	took       time.Duration
}

// play runs a clip through the command to its end.
func play(b *testing.B, clip, model, tiles string) *published {
	b.Helper()
	config := write(b, "site.yaml", "bus: {listen: \"127.0.0.1:0\"}\nhttp: {listen: \"127.0.0.1:0\"}\n"+
		"tiles: {"+tiles+"}\ndetectors: {default: {model: \""+model+"\"}}\ncameras: {clip: {source: \""+clip+"\", pace: fast}}\n")
	p, began := start(b, nil, "run", "-c", config), time.Now()
	nc, err := nats.Connect(p.broker(b))
	if err != nil {
		b.Fatal(err)
	}
	defer nc.Close()
	out := &published{detections: map[uint64]*bus.Detections{}, tracks: map[uint64]*bus.Tracks{}}
	hear(b, nc, "sightline.detections.clip", bus.ParseDetections, func(d *bus.Detections) { out.detections[d.Seq] = d }, &out.mu)
	hear(b, nc, "sightline.tracks.clip", bus.ParseTracks, func(t *bus.Tracks) { out.tracks[t.Seq] = t }, &out.mu)
	<-p.ended
	out.took = time.Since(began)
	out.mu.Lock()
	defer out.mu.Unlock()
	if len(out.tracks) == 0 {
		b.Fatalf("no tracks of %s", clip)
	}
	return out
}

func hear[T any](b *testing.B, nc *nats.Conn, subject string, parse func([]byte) (*T, error), keep func(*T), mu *sync.Mutex) {
	b.Helper()
	_, err := nc.Subscribe(subject, func(m *nats.Msg) {
		v, err := parse(m.Data)
		if err != nil {
			b.Errorf("%s: %v", m.Subject, err)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		keep(v)
	})
	if err != nil {
		b.Fatal(err)
	}
}

// outcome counts over the frames that both runs published, after the first sweep.
type outcome struct {
	looks, of              int
	truths, found, told    int
	carried, wrongly       int
	oldest, perFrameMillis float64
}

func (p *published) against(truth *published, sweep time.Duration) (o outcome) {
	begin := time.Time{}
	for _, t := range p.tracks {
		if begin.IsZero() || t.CapturedAt.Before(begin) {
			begin = t.CapturedAt
		}
	}
	for seq, t := range p.tracks {
		d, answered := p.detections[seq]
		want, known := truth.detections[seq]
		if !answered || !known || t.CapturedAt.Sub(begin) < sweep {
			continue
		}
		o.looks += d.Tiles.Run
		o.of += d.Tiles.Of
		o.oldest = max(o.oldest, d.Tiles.CoverageAge)
		o.compare(want.Objects, t.Objects)
	}
	o.perFrameMillis = float64(p.took.Milliseconds()) / float64(len(p.tracks))
	return o
}

// compare pairs objects of one label that overlap by half, the best first.
func (o *outcome) compare(truths []bus.Object, told []bus.TrackObject) {
	o.truths += len(truths)
	o.told += len(told)
	taken := make([]bool, len(told))
	for _, truth := range truths {
		best, most := -1, 0.5
		for i, t := range told {
			if overlap := truth.Box.IoU(t.Box); !taken[i] && t.Label == truth.Label && overlap >= most {
				best, most = i, overlap
			}
		}
		if best >= 0 {
			taken[best] = true
			o.found++
		}
	}
	for i, t := range told {
		if t.Carried {
			o.carried++
		}
		if !taken[i] {
			o.wrongly++
		}
	}
}

func share(n, of int) float64 { return 100 * float64(n) / float64(cmp.Or(of, 1)) }

func (o outcome) recall() float64 { return share(o.found, o.truths) }

func (o outcome) report(b *testing.B, grid outcome) {
	recall := o.recall()
	b.ReportMetric(share(o.looks, o.of), "%looks")
	b.ReportMetric(recall, "%recall")
	b.ReportMetric(100*recall/grid.recall(), "%of-grid")
	b.ReportMetric(share(o.wrongly, o.told), "%false")
	b.ReportMetric(share(o.carried, o.told), "%carried")
	b.ReportMetric(o.oldest, "oldest-look-ms")
	b.ReportMetric(o.perFrameMillis, "ms/frame")
	b.ReportMetric(0, "ns/op")
}

func TestOutcomeCountsPairsOnce(t *testing.T) {
	object := func(label string, x float32) bus.Object {
		return bus.Object{Label: label, Box: bus.Box{x, 0, x + 10, 10}}
	}
	track := func(label string, x float32, carried bool) bus.TrackObject {
		return bus.TrackObject{Object: object(label, x), Carried: carried}
	}
	var o outcome
	o.compare([]bus.Object{object("car", 0), object("car", 1), object("dog", 50), object("cat", 90)},
		[]bus.TrackObject{track("car", 1, true), track("dog", 50, false), track("car", 90, false)})
	if got := []int{o.truths, o.found, o.told, o.carried, o.wrongly}; !slices.Equal(got, []int{4, 2, 3, 1, 1}) {
		t.Errorf("truths, found, told, carried, wrongly: %v", got)
	}
}
