package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestModelCommandsRefuseWrongUse(t *testing.T) {
	dir := t.TempDir()
	out := filepath.Join(dir, "out.onnx")
	checkAll(t, []refusal{
		{"no calibration", []string{"model", "quantize", tiny(t), out}, exitWrongUse, []string{"--calib"}},
		{"mode", []string{"model", "quantize", "--mode", "magic", "--calib", dir, tiny(t), out}, exitWrongUse, []string{`"magic"`, "static"}},
		{"dynamic with pictures", []string{"model", "quantize", "--mode", "dynamic", "--calib", dir, tiny(t), out}, exitWrongUse, []string{"--calib", "leave them out"}},
		{"dynamic name", []string{"model", "quantize", "--mode", "dynamic", tiny(t), "out.bin"}, exitWrongUse, []string{"out.bin", ".onnx"}},
		{"dynamic target", []string{"model", "quantize", "--mode", "dynamic", "--target", "abacus", tiny(t), out}, exitFailed, []string{"abacus", "arm64"}},
		{"name", []string{"model", "quantize", "--calib", dir, tiny(t), "out.bin"}, exitWrongUse, []string{"out.bin", ".onnx"}},
		{"no pictures", []string{"model", "quantize", "--calib", dir, tiny(t), out}, exitFailed, []string{dir, "no JPEG, PNG or GIF"}},
		{"missing", []string{"model", "quantize", "--calib", dir, "nowhere.onnx", out}, exitFailed, []string{"nowhere.onnx", "no such file"}},
		{"method", []string{"model", "prune", "--method", "magic", tiny(t), out}, exitWrongUse, []string{`"magic"`, "unstructured"}},
		{"amount", []string{"model", "prune", "--amount", "1.5", tiny(t), out}, exitWrongUse, []string{"1.5", "0 to below 1"}},
		{"no pictures for channels", []string{"model", "prune", "--method", "channel", tiny(t), out}, exitWrongUse, []string{"--calib"}},
		{"importance", []string{"model", "prune", "--method", "channel", "--calib", dir, "--importance", "magic", tiny(t), out}, exitWrongUse, []string{`"magic"`, "obs"}},
		{"sweep without data", []string{"model", "prune", "--sweep", "0.1,0.2", tiny(t)}, exitWrongUse, []string{"--data"}},
		{"sweep with output", []string{"model", "prune", "--sweep", "0.1", "--data", dir, tiny(t), out}, exitWrongUse, []string{"writes no model"}},
		{"sweep of channels", []string{"model", "prune", "--method", "channel", "--calib", dir, "--sweep", "0.1", "--data", dir, tiny(t)}, exitWrongUse, []string{"unstructured"}},
		{"sweep amount", []string{"model", "prune", "--sweep", "0.1,1", "--data", dir, tiny(t)}, exitWrongUse, []string{"--sweep 1"}},
		{"no output", []string{"model", "prune", tiny(t)}, exitWrongUse, []string{"OUT.onnx"}},
		{"obs of weights", []string{"model", "prune", "--importance", "obs", tiny(t), out}, exitWrongUse, []string{"l1 or data"}},
		{"mix", []string{"model", "prune", "--calib", dir, "--repair", "mix", tiny(t), out}, exitWrongUse, []string{`"mix"`, "ls"}},
		{"repair", []string{"model", "prune", "--repair", "ls", tiny(t), out}, exitWrongUse, []string{"--calib"}},
		{"no data", []string{"model", "eval", tiny(t)}, exitWrongUse, []string{"--data"}},
		{"no annotations", []string{"model", "eval", "--data", dir, tiny(t)}, exitFailed, []string{"instances.json"}},
	})
	t.Cleanup(func() {
		if left, _ := os.ReadDir(dir); len(left) > 0 {
			t.Errorf("a refused command left %v", left)
		}
	})
}

// TestRealModelIsPrunedAndRuns: what comes out is a model with a card that a detector takes.
func TestRealModelIsPrunedAndRuns(t *testing.T) {
	in, out := shared(t, "models", "yolox_nano.onnx"), filepath.Join(t.TempDir(), "sparse.onnx")
	code, said, stderr := finish(t, "model", "prune", "--amount", "0.2", "--licence", "Apache-2.0", in, out)
	if code != exitDone || !strings.Contains(said, "weights are zero") {
		t.Fatalf("exit code %d: %s%s", code, said, stderr)
	}
	code, said, stderr = finish(t, "detect", "--model", out, photo(t, "a.jpg"))
	if code != exitDone || !strings.Contains(said, "640x360") {
		t.Errorf("exit code %d: %s%s", code, said, stderr)
	}
	card, err := os.ReadFile(strings.TrimSuffix(out, ".onnx") + ".yaml")
	if err != nil || !strings.Contains(string(card), "--amount 0.2") {
		t.Errorf("card %s, %v", card, err)
	}
}

// TestRealModelIsQuantisedWithoutPictures: the file shrinks, runs, and the card says how fast it is on which machine.
func TestRealModelIsQuantisedWithoutPictures(t *testing.T) {
	in, out := shared(t, "models", "yolox_nano.onnx"), filepath.Join(t.TempDir(), "dynamic.onnx")
	code, said, stderr := finish(t, "model", "quantize", "--mode", "dynamic", in, out)
	if code != exitDone || !strings.Contains(said, "instead of 3593") || !strings.Contains(said, "than the original by") {
		t.Fatalf("exit code %d: %s%s", code, said, stderr)
	}
	code, said, stderr = finish(t, "detect", "--model", out, photo(t, "a.jpg"))
	if code != exitDone || !strings.Contains(said, "640x360") {
		t.Errorf("exit code %d: %s%s", code, said, stderr)
	}
	card, err := os.ReadFile(strings.TrimSuffix(out, ".onnx") + ".yaml")
	for _, want := range []string{"quantize --mode dynamic --target cpu yolox_nano.onnx dynamic.onnx", "faster:", "machine:"} {
		if err != nil || !strings.Contains(string(card), want) {
			t.Errorf("no %q in the card, %v", want, err)
		}
	}
}
