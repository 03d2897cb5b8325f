package detect

import (
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
)

// TestANetworkFallsBackLoudly: no machine has a GPU of this number.
func TestANetworkFallsBackLoudly(t *testing.T) {
	var log strings.Builder
	cfg := Config{Model: filepath.Join("testdata", "tiny.onnx"), Workers: 1, Devices: []string{"cuda:999", "tensorrt:999", "cpu"}}
	e, err := Open(cfg, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	if e.Device() != "cpu" || !strings.Contains(e.Fallback(), "device cuda:999 cannot be used") || !strings.Contains(e.Fallback(), "tensorrt:999") {
		t.Errorf("runs on %s: %s", e.Device(), e.Fallback())
	}
	for _, want := range []string{"level=WARN", "falls back", "device=cpu wanted=cuda:999", "cuDNN"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log lacks %q: %s", want, &log)
		}
	}
	red := block{0, 100, 60, 120, 90}
	holdBlocks(t, detectIn(t, e, paint(640, 360, red)), 2*640.0/192, red)
}

func TestTheFirstDeviceIsNoFallback(t *testing.T) {
	e := open(t, "tiny.onnx", func(c *Config) { c.Devices = []string{"cpu", "cuda:999"} })
	if e.Device() != "cpu" || e.Fallback() != "" {
		t.Errorf("runs on %s: %s", e.Device(), e.Fallback())
	}
}

func TestDevicesThatCannotBeUsedAreRefused(t *testing.T) {
	for _, devices := range [][]string{{"cuda:999"}, {"cuda:999", "tensorrt:999"}} {
		e, err := Open(Config{Model: filepath.Join("testdata", "tiny.onnx"), Devices: devices}, silent)
		if err == nil {
			e.Close()
			t.Fatalf("%q was opened", devices)
		}
		for _, device := range devices {
			if !strings.Contains(err.Error(), "device "+device+" cannot be used: ") {
				t.Errorf("%q: %v", devices, err)
			}
		}
	}
}

func TestSessionsElsewhereAreFew(t *testing.T) {
	for processors, want := range map[int]int{1: 2, 2: 2, 8: 2, 12: 3, 16: 4, 64: 4} {
		for _, device := range []string{"cuda", "tensorrt:1", "openvino:GPU"} {
			if n := defaultWorkers(device, processors); n != want {
				t.Errorf("%s beside %d processors: %d sessions, want %d", device, processors, n, want)
			}
		}
		for _, device := range []string{"cpu", "openvino"} {
			if n := defaultWorkers(device, processors); n != processors {
				t.Errorf("%s: %d sessions on %d processors", device, n, processors)
			}
		}
	}
}
