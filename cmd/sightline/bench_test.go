package main

import (
	"syscall"
	"testing"
	"time"

	"github.com/sightline/sightline/detect/onnx"
	"github.com/sightline/sightline/ingest/decode"
	"github.com/sightline/sightline/models"
	"github.com/sightline/sightline/pipeline/picture"
)

// BenchmarkRun4K plays a 4K clip through `sightline run` as fast as it goes and says where the CPU went: what is neither bare
// decoding nor bare inference is the pipeline's own. Both are measured in turn with the pipeline, which is held meanwhile.
// A file that is played fast waits for the answer to each frame; two cameras keep both cores busy where a frame is one region.
func BenchmarkRun4K(b *testing.B) {
	clip := shared(b, "clips", "mosaic-4k.mp4")
	for name, model := range map[string]string{"float": shared(b, "models", "yolox_nano.onnx"), "int8": shippedModel()} {
		b.Run(name+"/off", func(b *testing.B) { benchmarkRun(b, model, "off", clip) })
		b.Run(name+"/off-two-cameras", func(b *testing.B) { benchmarkRun(b, model, "off", clip, clip) })
		b.Run(name+"/adaptive", func(b *testing.B) { benchmarkRun(b, model, "adaptive", clip) })
		b.Run(name+"/adaptive-two-cameras", func(b *testing.B) { benchmarkRun(b, model, "adaptive", clip, clip) })
		b.Run(name+"/grid", func(b *testing.B) { benchmarkRun(b, model, "grid", clip) })
	}
}

func benchmarkRun(b *testing.B, model, tiles string, clips ...string) {
	quiet := write(b, "quiet.yaml", "bus: {listen: \"\"}\n")
	args := run("-c", quiet, "--loop", "--pace", "fast", "--tiles", tiles, "--model", model)
	p := start(b, nil, append(args, clips...)...)
	page := p.page(b)
	eventually(b, "detections", func() bool { return sample(b, page, "sightline_detect_frames_total") > 5 })
	var sum load
	for b.Loop() {
		p.signal(b, syscall.SIGSTOP)
		decoding, inference := decodeCPU(b, clips[0]), inferCPU(b, model)
		p.signal(b, syscall.SIGCONT)
		l := p.load(b, page)
		l.bare = l.frames*decoding + l.pixels/inputPixels(b, model)*inference
		sum = sum.plus(l)
	}
	sum.report(b)
}

func (p *process) signal(t testing.TB, s syscall.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// load is what a process did in some time; times in seconds.
type load struct{ frames, regions, pixels, wall, cpu, bare float64 }

func (l load) plus(o load) load {
	return load{l.frames + o.frames, l.regions + o.regions, l.pixels + o.pixels, l.wall + o.wall, l.cpu + o.cpu, l.bare + o.bare}
}

func (l load) report(b *testing.B) {
	b.ReportMetric(l.frames/l.wall, "frames/s")
	b.ReportMetric(l.regions/l.frames, "regions/frame")
	b.ReportMetric(1000*l.cpu/l.frames, "CPU-ms/frame")
	b.ReportMetric(100*(l.cpu-l.bare)/l.cpu, "%own")
	b.ReportMetric(0, "ns/op")
}

// load watches the process for a while.
func (p *process) load(t testing.TB, page string) load {
	t.Helper()
	read := func() load {
		return load{
			frames: sample(t, page, "sightline_detect_frames_total"), regions: sample(t, page, "sightline_detect_regions_total"),
			pixels: sample(t, page, "sightline_detect_input_pixels_total"),
			cpu:    sample(t, page, "process_cpu_seconds_total"), wall: float64(time.Now().UnixMicro()) / 1e6,
		}
	}
	time.Sleep(300 * time.Millisecond) // frames that were held in between are through
	from := read()
	time.Sleep(4 * time.Second)
	to := read()
	return load{to.frames - from.frames, to.regions - from.regions, to.pixels - from.pixels, to.wall - from.wall, to.cpu - from.cpu, 0}
}

// ownCPU is the CPU time of this process, seconds.
func ownCPU(t testing.TB) float64 {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}

// decodeCPU is what a frame of the clip costs to decode into planes, in seconds.
func decodeCPU(b *testing.B, clip string) float64 {
	b.Helper()
	demuxer, err := decode.OpenFile(b.Context(), clip)
	if err != nil {
		b.Fatal(err)
	}
	defer demuxer.Close()
	decoder, err := decode.Open(demuxer.Parameters(), 1)
	if err != nil {
		b.Fatal(err)
	}
	defer decoder.Close()
	var planes *picture.I420
	to := func(w, h int) (*picture.I420, error) {
		if planes == nil {
			planes = picture.New(w, h)
		}
		return planes, nil
	}
	frames, began := 0, ownCPU(b)
	var packet decode.Packet
	for {
		more, err := demuxer.Read(b.Context(), &packet)
		if err != nil {
			b.Fatal(err)
		}
		if !more {
			return (ownCPU(b) - began) / float64(frames)
		}
		if err := decoder.Send(packet.Data, packet.PTS.Microseconds()); err != nil {
			b.Fatal(err)
		}
		for {
			ok, _, _, err := decoder.Next(to)
			if err != nil {
				b.Fatal(err)
			}
			if !ok {
				break
			}
			frames++
		}
	}
}

// inputPixels are those of the network's own input.
func inputPixels(b *testing.B, model string) float64 {
	b.Helper()
	spec, err := models.Load(model)
	if err != nil {
		b.Fatal(err)
	}
	return float64(spec.Width * spec.Height)
}

// inferCPU is what a run of the network costs, in seconds, while two of them run, as in the pipeline on two cores.
func inferCPU(b *testing.B, model string) float64 {
	b.Helper()
	return bareLooks(b, model, 2).cpu
}

// cost is what one run of the network takes, in seconds.
type cost struct{ wall, cpu float64 }

// bareLooks runs the network on inputs that are there, in as many sessions of one thread at once as there are lanes.
func bareLooks(b *testing.B, model string, lanes int) cost {
	b.Helper()
	spec, err := models.Load(model)
	if err != nil {
		b.Fatal(err)
	}
	const runs = 120
	sessions := make([]*onnx.Session, lanes)
	for i := range sessions {
		sessions[i], err = onnx.Open(onnx.Options{
			Model: spec.Path, Threads: 1, Input: onnx.Tensor{Name: spec.Input, Shape: spec.InputShape(1)},
			Outputs: outputs(spec),
		})
		if err != nil {
			b.Fatal(err)
		}
		defer sessions[i].Close()
		if err := sessions[i].Run(1); err != nil {
			b.Fatal(err)
		}
	}
	began, cpu := time.Now(), ownCPU(b)
	atOnce(b, lanes, func(i int) error {
		for range runs {
			if err := sessions[i].Run(1); err != nil {
				return err
			}
		}
		return nil
	})
	return cost{time.Since(began).Seconds() / runs, (ownCPU(b) - cpu) / float64(lanes*runs)}
}

// atOnce runs a function in so many goroutines and returns when all are through.
func atOnce(b *testing.B, lanes int, f func(lane int) error) {
	b.Helper()
	done := make(chan error, lanes)
	for i := range lanes {
		go func() { done <- f(i) }()
	}
	for range lanes {
		if err := <-done; err != nil {
			b.Fatal(err)
		}
	}
}

func outputs(spec models.Spec) (all []onnx.Tensor) {
	for _, o := range spec.Outputs(1) {
		all = append(all, onnx.Tensor(o))
	}
	return all
}
