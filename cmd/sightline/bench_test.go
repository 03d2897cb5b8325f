package main

import (
	"syscall"
	"testing"
	"time"
)

// BenchmarkRun4K plays a 4K clip through `sightline run` as fast as it goes and says where the CPU went: what is neither in the decoder
// nor in the network, by the times that their threads took there, is the pipeline's own. A file that is played fast waits for the answer
// to each frame; two cameras keep both cores busy where a frame is one region.
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
		sum = sum.plus(p.load(b, page, 15*time.Second))
	}
	sum.report(b)
}

func (p *process) signal(t testing.TB, s syscall.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// load is what a process did in some time; times in seconds, those of the processors for decoding and in the network as well.
type load struct{ frames, regions, pixels, wall, cpu, decoding, network float64 }

func (l load) plus(o load) load {
	return load{l.frames + o.frames, l.regions + o.regions, l.pixels + o.pixels, l.wall + o.wall, l.cpu + o.cpu, l.decoding + o.decoding, l.network + o.network}
}

func (l load) report(b *testing.B) {
	b.ReportMetric(l.frames/l.wall, "frames/s")
	b.ReportMetric(l.regions/l.frames, "regions/frame")
	b.ReportMetric(1000*l.cpu/l.frames, "CPU-ms/frame")
	b.ReportMetric(100*(l.cpu-l.decoding-l.network)/l.cpu, "%own")
	b.ReportMetric(0, "ns/op")
}

// aWhile is how long what takes turns with something else is watched.
const aWhile = 4 * time.Second

// load watches the process.
func (p *process) load(t testing.TB, page string, during time.Duration) load {
	t.Helper()
	read := func() load {
		return load{
			frames: sample(t, page, "sightline_detect_frames_total"), regions: sample(t, page, "sightline_detect_regions_total"),
			pixels:   sample(t, page, "sightline_detect_input_pixels_total"),
			decoding: sample(t, page, "sightline_camera_decode_cpu_seconds_total"), network: sample(t, page, "sightline_detect_network_cpu_seconds_total"),
			cpu: sample(t, page, "process_cpu_seconds_total"), wall: float64(time.Now().UnixMicro()) / 1e6,
		}
	}
	time.Sleep(300 * time.Millisecond) // frames that were held in between are through
	from := read()
	time.Sleep(during)
	to := read()
	return load{to.frames - from.frames, to.regions - from.regions, to.pixels - from.pixels, to.wall - from.wall, to.cpu - from.cpu, to.decoding - from.decoding, to.network - from.network}
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
