package main

import (
	"fmt"
	"math"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/sightline/sightline/pipeline/bus"
)

// The benchmarks named Load say how `sightline run` behaves at a load that is a known share of what this machine can do. They report
// and never judge: speed is not asserted.

// fleet is a site of like cameras, each of which plays a clip for ever.
type fleet struct {
	clip    string
	cameras int
	pace    string
	fps     float64 // of each; 0: the clip's own
	tiles   string  // of the section
	workers int     // of the detector; 0: one a processor
	bus     string  // of the section; "": an embedded broker that listens
}

func shippedModel() string { return filepath.Join("..", "..", "models", "yolox-nano-int8.onnx") }

// config writes the configuration of the site.
func (f fleet) config(b *testing.B) string {
	b.Helper()
	where := f.bus
	if where == "" {
		where = `listen: "127.0.0.1:0"`
	}
	var y strings.Builder
	fmt.Fprintf(&y, "bus: {%s}\nhttp: {listen: \"127.0.0.1:0\"}\ntiles: {%s}\n", where, f.tiles)
	fmt.Fprintf(&y, "detectors: {default: {model: %q, workers: %d}}\ncameras:\n", shippedModel(), f.workers)
	for i := range f.cameras {
		fmt.Fprintf(&y, "  cam-%d: {source: %q, loop: true, pace: %s, fps: %.3f}\n", i, f.clip, f.pace, f.fps)
	}
	return write(b, "site.yaml", y.String())
}

// start runs the site and returns when it detects.
func (f fleet) start(b *testing.B) *process {
	b.Helper()
	p := start(b, nil, "run", "-c", f.config(b))
	p.detects(b)
	return p
}

// detects waits until a detector has come to speed.
func (p *process) detects(b *testing.B) {
	b.Helper()
	page := p.page(b)
	eventually(b, "detections", func() bool { return sample(b, page, "sightline_detect_frames_total") > 5 })
}

// lasts returns after some time, in which the process must not end.
func (p *process) lasts(b *testing.B, d time.Duration) {
	b.Helper()
	select {
	case <-time.After(d):
	case <-p.ended:
		b.Fatalf("ended with %v", p.cmd.ProcessState)
	}
}

// capacity is how many frames a second the site detects when its files are played as fast as it can.
func (f fleet) capacity(b *testing.B) float64 {
	b.Helper()
	f.pace, f.fps = "fast", 0
	p := f.start(b)
	l := p.load(b, p.page(b), aWhile)
	p.stop(b)
	return l.frames / l.wall
}

// message is what a subscriber knows of the detections of one frame, milliseconds.
type message struct {
	camera            string
	age, total, infer float64 // captured to heard here; the message's timing_ms
	looks             int
}

// audience subscribes to all detections of a process over TCP, as any client does.
type audience struct {
	mu    sync.Mutex // protects heard
	heard []message
}

func hearAll(b *testing.B, broker string) *audience {
	b.Helper()
	nc, err := nats.Connect(broker)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(nc.Close)
	a := &audience{}
	_, err = nc.Subscribe("sightline.detections.*", func(m *nats.Msg) {
		now := time.Now() // before the message is read: that is the subscriber's own time
		d, err := bus.ParseDetections(m.Data)
		if err != nil {
			b.Errorf("%s: %v", m.Subject, err)
			return
		}
		a.mu.Lock()
		defer a.mu.Unlock()
		a.heard = append(a.heard, message{
			camera: d.Camera, age: float64(now.Sub(d.CapturedAt)) / float64(time.Millisecond),
			total: d.Timing.Total, infer: d.Timing.Infer, looks: d.Tiles.Run,
		})
	})
	if err != nil {
		b.Fatal(err)
	}
	return a
}

// take gives what was heard since the last time.
func (a *audience) take() []message {
	a.mu.Lock()
	defer a.mu.Unlock()
	heard := a.heard
	a.heard = nil
	return heard
}

// during is what is heard of a process in some time.
func (a *audience) during(b *testing.B, p *process, d time.Duration) []message {
	b.Helper()
	a.take()
	p.lasts(b, d)
	return a.take()
}

// quantile is the smallest number that so large a share of all is not above; 0 of none.
func quantile(messages []message, share float64, of func(message) float64) float64 {
	if len(messages) == 0 {
		return 0
	}
	all := make([]float64, len(messages))
	for i, m := range messages {
		all[i] = of(m)
	}
	slices.Sort(all)
	return all[min(int(share*float64(len(all))), len(all)-1)]
}

func age(m message) float64   { return m.age }
func total(m message) float64 { return m.total }

// BenchmarkLoadLatency plays cameras in real time at 70 % of the frames that four of them give as fast as they can, and says how old a
// frame is when a subscriber has its detections. The age is the one to go by: the clock of files is this host's, and timing_ms.total
// ends when the detector hands the message over. There are as few cameras as give so many frames, since all frames are decoded. They
// begin together, so their frames come at once. The limit is one frame interval and one and a half times what the network takes for
// the looks of a frame, measured bare on all processors.
func BenchmarkLoadLatency(b *testing.B) {
	b.Run("whole", func(b *testing.B) {
		benchmarkLatency(b, fleet{clip: shared(b, "clips", "car-detection.mp4"), cameras: 4})
	})
	b.Run("4K-adaptive", func(b *testing.B) {
		benchmarkLatency(b, fleet{clip: shared(b, "clips", "mosaic-4k.mp4"), cameras: 4})
	})
}

func benchmarkLatency(b *testing.B, f fleet) {
	const load, rate = 0.7, 12.5 // frames a second of the clips
	cores := runtime.GOMAXPROCS(0)
	var heard []message
	var live fleet
	var wall, capacity, inference float64
	for b.Loop() {
		look := bareLooks(b, shippedModel(), cores)
		capacity = f.capacity(b)
		live = f
		live.pace, live.cameras = "realtime", int(math.Ceil(load*capacity/rate))
		live.fps = load * capacity / float64(live.cameras)
		p := live.start(b)
		a := hearAll(b, p.broker(b))
		p.lasts(b, 2*time.Second) // what waited at the start is through
		from := time.Now()
		heard = append(heard, a.during(b, p, 10*time.Second)...)
		wall += time.Since(from).Seconds()
		inputs := sample(b, p.page(b), "sightline_detect_input_pixels_total") / sample(b, p.page(b), "sightline_detect_frames_total") /
			inputPixels(b, shippedModel())
		p.stop(b)
		inference = 1000 * look.wall * max(min(1, inputs), inputs/float64(cores))
	}
	frames := float64(len(heard))
	b.ReportMetric(capacity, "capacity-frames/s")
	b.ReportMetric(100*frames/wall/capacity, "%load")
	b.ReportMetric(float64(live.cameras), "cameras")
	b.ReportMetric(quantile(heard, 0.5, age), "p50-ms")
	b.ReportMetric(quantile(heard, 0.95, age), "p95-ms")
	b.ReportMetric(quantile(heard, 0.5, total), "total-p50-ms")
	b.ReportMetric(quantile(heard, 0.95, total), "total-p95-ms")
	b.ReportMetric(1000*float64(live.cameras)/(frames/wall)+1.5*inference, "limit-ms")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkLoadOverload has four cameras of one frame rate give three times the frames that can be looked at. Reported are the age of
// the frames that are, and the least and the largest share that a camera has of them, of an even one.
func BenchmarkLoadOverload(b *testing.B) {
	b.Run("4K-adaptive", func(b *testing.B) {
		benchmarkOverload(b, fleet{clip: shared(b, "clips", "mosaic-4k.mp4"), cameras: 4})
	})
	b.Run("4K-grid", func(b *testing.B) {
		benchmarkOverload(b, fleet{clip: shared(b, "clips", "mosaic-4k.mp4"), cameras: 4, tiles: "policy: grid"})
	})
	b.Run("grid", func(b *testing.B) {
		tiles := "policy: grid, size: 160"
		benchmarkOverload(b, fleet{clip: shared(b, "clips", "car-detection.mp4"), cameras: 4, tiles: tiles})
	})
}

func benchmarkOverload(b *testing.B, f fleet) {
	const load = 3
	var heard []message
	var capacity, offered float64
	for b.Loop() {
		capacity = f.capacity(b)
		f.pace, f.fps = "realtime", load*capacity/float64(f.cameras)
		p := f.start(b)
		a := hearAll(b, p.broker(b))
		p.lasts(b, 2*time.Second)
		before, from := f.published(b, p), time.Now()
		heard = append(heard, a.during(b, p, 20*time.Second)...)
		offered = (f.published(b, p) - before) / time.Since(from).Seconds()
		p.stop(b)
	}
	least, most := f.shares(heard)
	b.ReportMetric(offered/capacity, "x-load")
	b.ReportMetric(quantile(heard, 0.5, age), "p50-ms")
	b.ReportMetric(quantile(heard, 0.95, age), "p95-ms")
	b.ReportMetric(quantile(heard, 1, age), "max-ms")
	b.ReportMetric(100*least, "%least-share")
	b.ReportMetric(100*most, "%most-share")
	b.ReportMetric(0, "ns/op")
}

// published counts the frames that the cameras gave.
func (f fleet) published(b *testing.B, p *process) (n float64) {
	b.Helper()
	for i := range f.cameras {
		n += sample(b, p.page(b), fmt.Sprintf("sightline_camera_frames_total{camera=\"cam-%d\"}", i))
	}
	return n
}

// shares gives the least and the largest share of a camera, of the mean.
func (f fleet) shares(heard []message) (least, most float64) {
	counts := make([]float64, f.cameras)
	for i := range counts {
		for _, m := range heard {
			if m.camera == fmt.Sprintf("cam-%d", i) {
				counts[i]++
			}
		}
	}
	mean := float64(max(1, len(heard))) / float64(f.cameras)
	return slices.Min(counts) / mean, slices.Max(counts) / mean
}

// hold stops processes while something else is measured; the function that it returns lets them go on.
func hold(b *testing.B, all ...*process) func() {
	b.Helper()
	for _, p := range all {
		p.signal(b, syscall.SIGSTOP)
	}
	return func() {
		for _, p := range all {
			p.signal(b, syscall.SIGCONT)
		}
	}
}
