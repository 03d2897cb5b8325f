package bundle

import (
	"context"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sightline/sightline/detect"
	"github.com/sightline/sightline/models"
	"github.com/sightline/sightline/models/graph"
	"github.com/sightline/sightline/pipeline/bus"
	"github.com/sightline/sightline/pipeline/picture"
	"github.com/sightline/sightline/tools/onnxgraph"
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

func load(t testing.TB, path string) (models.Spec, *graph.Model, *onnxgraph.Head) {
	t.Helper()
	spec, err := models.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	m, err := graph.Read(path)
	if err != nil {
		t.Fatal(err)
	}
	s, err := onnxgraph.Simplify(m, onnxgraph.RunOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return spec, m, s.Head
}

func find(t testing.TB, model string, pic *picture.I420) []bus.Object {
	t.Helper()
	engine, err := detect.Open(detect.Config{Model: model, Score: 0.05, Workers: 1, OneShape: true}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer engine.Close()
	result, err := engine.Detect(context.Background(), detect.Look{Picture: pic})
	if err != nil {
		t.Fatal(err)
	}
	return result.Objects
}

// TestCutModelsFindWhatWholeOnesFind: the same objects, by a head that is decoded here instead of by the network's tail.
func TestCutModelsFindWhatWholeOnesFind(t *testing.T) {
	entries, err := os.ReadDir(shared(t, "coco-dev", "images"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"yolox_nano.onnx", "yolov5n_fp32.onnx"} {
		whole, cut := shared(t, "models", name), filepath.Join(t.TempDir(), name)
		spec, m, head := load(t, whole)
		card := Card(spec, head, models.CardOrigin{URL: "file:" + name, SHA256: spec.SHA256}, "NOASSERTION", "a test")
		if err := Write(cut, m, card); err != nil {
			t.Fatal(err)
		}
		objects := 0
		for _, e := range entries[:5] {
			pic, err := picture.DecodeFile(shared(t, "coco-dev", "images", e.Name()))
			if err != nil {
				t.Fatal(err)
			}
			objects += same(t, find(t, whole, pic), find(t, cut, pic))
		}
		if objects < 20 {
			t.Errorf("%s: %d objects: nothing to compare", name, objects)
		}
	}
}

func same(t testing.TB, want, got []bus.Object) int {
	t.Helper()
	if len(want) != len(got) {
		t.Errorf("%d objects, want %d", len(got), len(want))
		return 0
	}
	for i, w := range want {
		far := math.Abs(float64(w.Score - got[i].Score))
		for k := range w.Box {
			far = max(far, math.Abs(float64(w.Box[k]-got[i].Box[k]))/10)
		}
		if w.Label != got[i].Label || far > 0.005 {
			t.Errorf("object %d is %v, want %v", i, got[i], w)
		}
	}
	return len(want)
}

func TestBundleTravelsAloneAndIsTheSameEachTime(t *testing.T) {
	tiny := filepath.Join("..", "..", "detect", "testdata", "tiny.onnx")
	spec, m, head := load(t, tiny)
	card := Card(spec, head, models.CardOrigin{URL: "file:tiny.onnx", SHA256: spec.SHA256}, "Apache-2.0", "a test")
	var sums []string
	for range 2 {
		path := filepath.Join(t.TempDir(), "made.onnx")
		if err := Write(path, m, card); err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(strings.TrimSuffix(path, ".onnx") + ".yaml"); err != nil {
			t.Fatal(err)
		}
		alone, err := models.Load(path)
		if err != nil {
			t.Fatal(err)
		}
		if alone.Family != spec.Family || alone.Layout != spec.Layout || len(alone.Labels) != 3 || alone.Source != models.FromMetadata {
			t.Errorf("alone it is %+v", alone)
		}
		sums = append(sums, alone.SHA256)
	}
	if sums[0] != sums[1] {
		t.Error("the same bundle has other bytes")
	}
	if err := Write(filepath.Join(t.TempDir(), "made.bin"), m, card); err == nil || !strings.Contains(err.Error(), ".onnx") {
		t.Errorf("another name: %v", err)
	}
	if err := Write(filepath.Join(t.TempDir(), "nowhere", "made.onnx"), m, card); err == nil || !strings.Contains(err.Error(), "nowhere") {
		t.Errorf("a missing folder: %v", err)
	}
}

// TestShippedModelIsSound: the model in the repository is what its card says.
func TestShippedModelIsSound(t *testing.T) {
	spec, err := models.Load(filepath.Join("..", "..", "models", "yolox-nano-int8.onnx"))
	if err != nil {
		t.Fatal(err)
	}
	if spec.Source != models.FromCard || spec.Licence != "Apache-2.0" || len(spec.Head) != 3 || len(spec.Labels) != 80 {
		t.Errorf("the shipped model is %+v", spec)
	}
}
