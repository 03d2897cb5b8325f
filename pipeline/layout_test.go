package pipeline

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sightline/sightline/detect"
)

func tinyDetector() detect.Config {
	return detect.Config{Model: filepath.Join("..", "detect", "testdata", "tiny.onnx"), MaxBatch: 2}
}

func TestALayoutIsMeasuredOnceAndRemembered(t *testing.T) {
	cache, log := layoutCache{filepath.Join(t.TempDir(), "deep", "layouts.json"), 10 * time.Millisecond}, slog.New(slog.DiscardHandler)
	l, err := cache.choose(t.Context(), tinyDetector(), log)
	if err != nil || l.Workers < 1 || l.Threads < 1 || l.MaxBatch < 1 || l.Rate <= 0 {
		t.Fatalf("%+v, %v", l, err)
	}
	again, err := cache.choose(t.Context(), tinyDetector(), log)
	if err != nil || again != l { // a second measurement would have another rate
		t.Errorf("%+v, %v: want what was remembered, %+v", again, err, l)
	}
	other := tinyDetector()
	other.MaxBatch = 1
	if third, err := cache.choose(t.Context(), other, log); err != nil || third.MaxBatch != 1 || len(cache.read()) != 2 {
		t.Errorf("other settings: %+v, %v, %d remembered", third, err, len(cache.read()))
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(cache.path), "layouts-*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestADamagedOrMissingCacheIsNoFault(t *testing.T) {
	path := filepath.Join(t.TempDir(), "layouts.json")
	if err := os.WriteFile(path, []byte(`{"x": [`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []layoutCache{{path, 1}, {"", 1}, {filepath.Join(path, "below", "a-file"), 1}} {
		if l, err := c.choose(t.Context(), tinyDetector(), slog.New(slog.DiscardHandler)); err != nil || l.Workers < 1 {
			t.Errorf("%q: %+v, %v", c.path, l, err)
		}
	}
}

func TestWorkersAreANumberOrAuto(t *testing.T) {
	for text, want := range map[string]Workers{"auto": WorkersAuto, "0": 0, "12": 12} {
		var w Workers
		if err := w.UnmarshalText([]byte(text)); err != nil || w != want {
			t.Errorf("%s: %d, %v", text, w, err)
		}
		if back, _ := w.MarshalText(); string(back) != text {
			t.Errorf("%s becomes %s", text, back)
		}
	}
	for _, text := range []string{"-1", "many", "", "1.5"} {
		if new(Workers).UnmarshalText([]byte(text)) == nil {
			t.Errorf("%q is taken", text)
		}
	}
}
