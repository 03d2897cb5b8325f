package evaluate

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/sightline/sightline/detect"
	"github.com/sightline/sightline/pipeline/bus"
)

// shared gives a file beside the repository, and skips the test where it is not there.
func shared(t testing.TB, parts ...string) string {
	t.Helper()
	path := filepath.Join(append([]string{"..", "..", "..", "shared", "data"}, parts...)...)
	if _, err := os.Stat(path); err != nil {
		t.Skip("shared/data is not here: " + path)
	}
	return path
}

// TestAccuracyIsThatOfTheReference: letterbox, decoding and suppression as the models were trained and measured with; and on 4K
// pictures the tiles and their merge, where SAHI gives 0.247.
func TestAccuracyIsThatOfTheReference(t *testing.T) {
	for _, c := range []struct {
		model, data string
		tiles       bus.Policy
		least, most float64
	}{
		{"models/yolox_nano.onnx", "coco-dev", bus.PolicyOff, 0.294, 0.300},
		{"models/yolov5n_fp32.onnx", "coco-dev", bus.PolicyOff, 0.301, 0.307},
		{"models/yolox_nano.onnx", "coco-4k", bus.PolicyGrid, 0.28, 0.30},
	} {
		t.Run(filepath.Base(c.model)+" on "+c.data, func(t *testing.T) {
			a := measure(t, shared(t, c.model), shared(t, c.data), c.tiles)
			if a.AP < c.least || a.AP > c.most {
				t.Errorf("AP %.4f, want %.3f to %.3f", a.AP, c.least, c.most)
			}
		})
	}
}

// TestShippedModelHoldsItsAccuracy: what its card promises, within what another processor's rounding does; pictures are looked at without
// padding.
func TestShippedModelHoldsItsAccuracy(t *testing.T) {
	shipped := filepath.Join("..", "..", "models", "yolox-nano-int8.onnx")
	for data, c := range map[string]struct {
		tiles bus.Policy
		least float64
	}{"coco-dev": {bus.PolicyOff, 0.285}, "coco-4k": {bus.PolicyGrid, 0.272}} {
		t.Run(data, func(t *testing.T) {
			if a := measure(t, shipped, shared(t, data), c.tiles); a.AP < c.least {
				t.Errorf("AP %.4f, want %.3f", a.AP, c.least)
			}
		})
	}
}

func measure(t *testing.T, model, data string, tiles bus.Policy) Accuracy {
	t.Helper()
	in, err := ReadFolder(data)
	if err != nil {
		t.Fatal(err)
	}
	engine, err := detect.Open(detect.Config{Model: model, Score: lowScore}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer engine.Close()
	results, err := Detect(t.Context(), engine, in, Options{Data: data, Tiles: tiles})
	if err != nil {
		t.Fatal(err)
	}
	limit := maxPerImage
	if tiles == bus.PolicyGrid {
		limit = 300 // 24 images in one
	}
	a := newScorer(in, results, limit).accuracy(nil)
	t.Logf("AP %.4f, AP50 %.4f, small %.4f, medium %.4f, large %.4f", a.AP, a.AP50, a.Small, a.Medium, a.Large)
	return a
}
