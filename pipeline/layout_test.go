package pipeline

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/sightline/sightline/detect"
)

func tinyDetector() detect.Config {
	return detect.Config{Model: filepath.Join("..", "detect", "testdata", "tiny.onnx"), MaxBatch: 2}
}

// counted is a measurement that gives another rate each time.
func counted(sure bool) func(context.Context, detect.Config) (detect.Layout, bool, error) {
	n := 0.0
	return func(_ context.Context, cfg detect.Config) (detect.Layout, bool, error) {
		n++
		return detect.Layout{Workers: 2, Threads: 1, MaxBatch: cfg.MaxBatch, Rate: n}, sure, nil
	}
}

func TestALayoutIsMeasuredOnceAndRemembered(t *testing.T) {
	cache, log := layoutCache{filepath.Join(t.TempDir(), "deep", "layouts.json"), counted(true)}, slog.New(slog.DiscardHandler)
	l, err := cache.choose(t.Context(), tinyDetector(), log)
	if err != nil || l.Rate != 1 {
		t.Fatalf("%+v, %v", l, err)
	}
	again, err := cache.choose(t.Context(), tinyDetector(), log)
	if err != nil || again != l {
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

// TestADisturbedMeasurementIsNotRemembered: the next start may find the machine quiet.
func TestADisturbedMeasurementIsNotRemembered(t *testing.T) {
	cache := layoutCache{filepath.Join(t.TempDir(), "layouts.json"), counted(false)}
	for range 2 {
		if l, err := cache.choose(t.Context(), tinyDetector(), slog.New(slog.DiscardHandler)); err != nil || l.Workers != 2 || len(cache.read()) != 0 {
			t.Errorf("%+v, %v, %d remembered", l, err, len(cache.read()))
		}
	}
}

func TestADamagedOrMissingCacheIsNoFault(t *testing.T) {
	path := filepath.Join(t.TempDir(), "layouts.json")
	if err := os.WriteFile(path, []byte(`{"x": [`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{path, "", filepath.Join(path, "below", "a-file")} {
		c := layoutCache{name, counted(true)}
		if l, err := c.choose(t.Context(), tinyDetector(), slog.New(slog.DiscardHandler)); err != nil || l.Workers < 1 {
			t.Errorf("%q: %+v, %v", name, l, err)
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
