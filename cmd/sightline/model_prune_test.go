package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestSweepTellsOfEveryAmount: the whole model first, and no file is written.
func TestSweepTellsOfEveryAmount(t *testing.T) {
	dir, model := annotated(t), tiny(t)
	code, out, stderr := finish(t, "model", "prune", "--sweep", "0.2,0.6", "--data", dir, "--json", model)
	var report struct {
		Sweep []sweepPoint `json:"sweep"`
	}
	if err := json.Unmarshal([]byte(out), &report); code != exitDone || err != nil || len(report.Sweep) != 3 {
		t.Fatalf("exit code %d, %v: %s%s", code, err, out, stderr)
	}
	first, last := report.Sweep[0], report.Sweep[2]
	if first.Amount != 0 || last.Amount != 0.6 || last.Zeros <= report.Sweep[1].Zeros || first.GzipBytes == 0 {
		t.Errorf("points %+v", report.Sweep)
	}
	code, out, _ = finish(t, "model", "prune", "--sweep", "0.2", "--data", dir, model)
	if code != exitDone || !strings.Contains(out, "gzip KiB") || !strings.Contains(out, "0.2") {
		t.Errorf("exit code %d: %s", code, out)
	}
}

// TestRealModelLosesChannelsAndRuns: what comes out is a model with a card that a detector takes, and it computes less.
func TestRealModelLosesChannelsAndRuns(t *testing.T) {
	in, out := shared(t, "models", "yolox_nano.onnx"), filepath.Join(t.TempDir(), "narrow.onnx")
	pictures := filepath.Dir(photo(t, "a.jpg"))
	code, said, stderr := finish(t, "model", "prune", "--method", "channel", "--amount", "0.02", "--round", "64", "--importance", "data", "--repair", "mix",
		"--calib", pictures, "--licence", "Apache-2.0", in, out)
	if code != exitDone || !strings.Contains(said, "% saved") || !strings.Contains(said, "channels stay at input images") || !strings.Contains(stderr, "only 1 pictures") {
		t.Fatalf("exit code %d: %s%s", code, said, stderr)
	}
	if code, said, stderr = finish(t, "detect", "--model", out, photo(t, "a.jpg")); code != exitDone {
		t.Errorf("exit code %d: %s%s", code, said, stderr)
	}
	card, err := os.ReadFile(strings.TrimSuffix(out, ".onnx") + ".yaml")
	if err != nil || !strings.Contains(string(card), "--method channel --amount 0.02 --round 64") || !strings.Contains(string(card), "macs_before") {
		t.Errorf("card %s, %v", card, err)
	}
}
