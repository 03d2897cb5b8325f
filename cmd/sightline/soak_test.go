package main

import (
	"os"
	"slices"
	"testing"
	"time"
)

// soakTime is how long the soak runs where SOAK does not say otherwise: `make soak` takes an hour.
const soakTime = 48 * time.Second

// TestSoak plays a 4K camera, which connects anew every twelve seconds, and wants that the process does not grow once it is warm.
func TestSoak(t *testing.T) {
	clip := shared(t, "clips", "mosaic-4k.mp4")
	during := soakTime
	if text := os.Getenv("SOAK"); text != "" {
		var err error
		if during, err = time.ParseDuration(text); err != nil || during < time.Second {
			t.Fatalf("SOAK=%s: must be a duration of at least 1s, such as 1h", text)
		}
	}
	config := func(cameras string) string {
		return write(t, "site.yaml", "bus: {listen: \"127.0.0.1:0\"}\nhttp: {listen: \"127.0.0.1:0\"}\n"+
			"detectors: {default: {model: ../../models/yolox-nano-int8.onnx}}\n"+cameras)
	}
	idle := start(t, nil, "run", "-c", config(""))
	bare := sample(t, idle.page(t), "process_resident_memory_bytes")
	idle.stop(t)

	p := start(t, nil, "run", "-c", config("cameras: {gate: {source: "+clip+", loop: true, fps: 4}}\n"))
	page := p.page(t)
	eventually(t, "detections", func() bool { return sample(t, page, "sightline_detect_frames_total") > 3 })
	var resident []float64
	tick := time.NewTicker(max(during/96, 200*time.Millisecond))
	defer tick.Stop()
	for began := time.Now(); time.Since(began) < during; <-tick.C {
		resident = append(resident, sample(t, page, "process_resident_memory_bytes"))
	}
	third := len(resident) / 3
	middle, last := median(resident[third:2*third]), median(resident[2*third:])
	const mib = 1 << 20
	t.Logf("resident: %.0f MiB with the model and no camera; with a 4K camera %.0f MiB in the middle third of %v, %.0f in the last, at most %.0f",
		bare/mib, middle/mib, during, last/mib, slices.Max(resident)/mib)
	most := 1.05
	if during < 5*time.Minute { // not all that a camera needs was needed in the middle third
		most = 1.1
	}
	if last > most*middle {
		t.Errorf("grows from %.0f to %.0f MiB", middle/mib, last/mib)
	}
	if above := slices.Max(resident) - bare; above > 400*mib {
		t.Errorf("one 4K camera takes %.0f MiB above what the model does, want at most 400", above/mib)
	}
	if code := p.stop(t); code != exitDone {
		t.Errorf("exit code %d", code)
	}
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}
