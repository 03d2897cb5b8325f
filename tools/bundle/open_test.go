package bundle

import (
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sightline/sightline/models"
	"github.com/sightline/sightline/models/graph"
	"github.com/sightline/sightline/pipeline/bus"
	"github.com/sightline/sightline/pipeline/picture"
	"github.com/sightline/sightline/tools/onnxgraph"
)

var tinyGrid = filepath.Join("..", "..", "detect", "testdata", "tiny_grid.onnx")

// blocks is a grey picture with a red and a blue block.
func blocks(t testing.TB, width, height int, red, blue image.Rectangle) *picture.I420 {
	t.Helper()
	pic := image.NewNRGBA(image.Rect(0, 0, width, height))
	draw.Draw(pic, pic.Bounds(), image.NewUniform(color.Gray{114}), image.Point{}, draw.Src)
	draw.Draw(pic, red, image.NewUniform(color.NRGBA{255, 0, 0, 255}), image.Point{}, draw.Src)
	draw.Draw(pic, blue, image.NewUniform(color.NRGBA{0, 0, 255, 255}), image.Point{}, draw.Src)
	path := filepath.Join(t.TempDir(), "blocks.png")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := png.Encode(f, pic); err != nil {
		t.Fatal(err)
	}
	p, err := picture.DecodeFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// resized writes a model that looks at another size, and gives its path.
func resized(t testing.TB, path, size string) string {
	t.Helper()
	s, err := onnxgraph.ParseSize(size)
	if err != nil {
		t.Fatal(err)
	}
	o, err := Open(path, s)
	if err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "made.onnx")
	card := Card(o.Spec, o.Head, models.CardOrigin{URL: "file:" + filepath.Base(path), SHA256: o.Spec.SHA256}, "Apache-2.0", "a test")
	if err := Write(out, o.Model, card); err != nil {
		t.Fatal(err)
	}
	return out
}

// TestModelOfAnotherSizeFindsWhatIsThere: letterbox, grids and boxes follow the size, also where it is no square.
func TestModelOfAnotherSizeFindsWhatIsThere(t *testing.T) {
	for size, frame := range map[string]image.Point{
		"192":     {384, 384}, // half
		"320x192": {640, 384}, // half, of the same shape
		"256x320": {512, 384}, // half, and grey below
		"384x128": {512, 256}, // half, and grey on the right
		"96x128":  {192, 256}, // half, on end
	} {
		model := resized(t, tinyGrid, size)
		spec, err := models.Load(model)
		if err != nil {
			t.Fatal(err)
		}
		cell := int(32 / min(float64(spec.Width)/float64(frame.X), float64(spec.Height)/float64(frame.Y)))
		at := func(x, y int) image.Rectangle { return image.Rect(x*cell, y*cell, (x+1)*cell, (y+1)*cell) }
		last := image.Pt(frame.X/cell-1, frame.Y/cell-1)
		red, blue := at(0, 1), at(last.X, last.Y)
		found := find(t, model, blocks(t, frame.X, frame.Y, red, blue))
		if len(found) != 2 {
			t.Errorf("%s: found %+v, want red at %v and blue at %v", size, found, red, blue)
			continue
		}
		for _, o := range found {
			want := red
			if o.Label == "blue" {
				want = blue
			}
			if !near(o, want, float64(cell)/16) {
				t.Errorf("%s: %s at %v, want %v", size, o.Label, o.Box, want)
			}
		}
	}
}

// TestMadeModelsCanBeMadeFurther: a model whose tail was cut off before keeps its head.
func TestMadeModelsCanBeMadeFurther(t *testing.T) {
	first := resized(t, tinyGrid, "320x192")
	second := resized(t, first, "192")
	o, err := Open(second, onnxgraph.Size{})
	if err != nil || o.Head == nil || len(o.Head.Levels) != 3 {
		t.Fatalf("head %+v, %v", o.Head, err)
	}
	third := resized(t, second, "320x192")
	a, errA := models.Load(first)
	b, errB := models.Load(third)
	if errA != nil || errB != nil || len(b.Head) != 3 || len(a.Head) != 3 || b.Width != 320 {
		t.Errorf("%+v, %v, %v", b, errA, errB)
	}
	red, blue := image.Rect(64, 64, 128, 128), image.Rect(256, 128, 320, 192)
	if found := find(t, third, blocks(t, 640, 384, red, blue)); len(found) != 2 {
		t.Errorf("found %+v", found)
	}
}

func near(o bus.Object, want image.Rectangle, far float64) bool {
	for i, v := range []int{want.Min.X, want.Min.Y, want.Max.X, want.Max.Y} {
		if math.Abs(float64(o.Box[i])-float64(v)) > far {
			return false
		}
	}
	return true
}

// TestOpenSizesTakeTheCards: a network exported with open height and width has those of its card.
func TestOpenSizesTakeTheCards(t *testing.T) {
	m, err := graph.Read(tinyGrid)
	if err != nil {
		t.Fatal(err)
	}
	m.Graph.Inputs[0].Shape = []int64{1, 3, -1, -1}
	data, err := m.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "open.onnx")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	o, err := Open(path, onnxgraph.Size{})
	if err != nil {
		t.Fatal(err)
	}
	if shape, err := o.Model.InputShape(); err != nil || shape[2] != 192 || o.Head == nil {
		t.Errorf("input %v, head %v, %v", shape, o.Head, err)
	}
}

func TestNamesOfNewModels(t *testing.T) {
	here := filepath.Join(t.TempDir(), "a.onnx")
	if err := os.WriteFile(here, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for out, want := range map[string]string{"b.bin": ".onnx", here: "overwrite its original"} {
		if err := CheckOut(here, out); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", out, err)
		}
	}
	if err := CheckOut(here, filepath.Join(filepath.Dir(here), "b.onnx")); err != nil {
		t.Error(err)
	}
}

// TestBundleThatCannotBeWrittenLeavesTheOldOne: whole, and nothing beside it.
func TestBundleThatCannotBeWrittenLeavesTheOldOne(t *testing.T) {
	out := resized(t, tinyGrid, "192")
	want, err := models.Load(out)
	if err != nil {
		t.Fatal(err)
	}
	o, err := Open(tinyGrid, onnxgraph.Size{Width: 320, Height: 192})
	if err != nil {
		t.Fatal(err)
	}
	card := Card(o.Spec, o.Head, models.CardOrigin{URL: "file:a.onnx", SHA256: o.Spec.SHA256}, "Apache-2.0", "a test")
	card.Input.Width = 256 // which is not the network's
	if err := Write(out, o.Model, card); err == nil || !strings.Contains(err.Error(), out) || !strings.Contains(err.Error(), "must be equal") {
		t.Errorf("a card that lies: %v", err)
	}
	if got, err := models.Load(out); err != nil || got.SHA256 != want.SHA256 || got.Source != models.FromCard {
		t.Errorf("the old bundle is %+v, %v", got, err)
	}
	if left, _ := os.ReadDir(filepath.Dir(out)); len(left) != 2 {
		t.Errorf("left: %v", left)
	}
}
