package compress

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sightline/sightline/models"
	"github.com/sightline/sightline/models/graph"
)

var tinyGrid = filepath.Join("..", "..", "detect", "testdata", "tiny_grid.onnx")

// blocks makes a folder in COCO form: n pictures of 320x192 with blocks of colours, each in a cell of 32x32.
func blocks(t testing.TB, n int) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "images"), 0o700); err != nil {
		t.Fatal(err)
	}
	var images, marks []string
	for i := range n {
		random := rand.New(rand.NewPCG(uint64(i), 5))
		pic := image.NewNRGBA(image.Rect(0, 0, 320, 192))
		draw.Draw(pic, pic.Bounds(), image.NewUniform(color.Gray{uint8(90 + random.IntN(50))}), image.Point{}, draw.Src)
		for class := range 3 {
			colour := color.NRGBA{A: 255}
			*[]*uint8{&colour.R, &colour.G, &colour.B}[class] = 255
			x, y := 32*(3*class+random.IntN(3)), 32*random.IntN(6)
			draw.Draw(pic, image.Rect(x, y, x+32, y+32), image.NewUniform(colour), image.Point{}, draw.Src)
			marks = append(marks, fmt.Sprintf(`{"image_id":%d,"category_id":%d,"bbox":[%d,%d,32,32],"area":1024,"iscrowd":0}`, i+1, class+1, x, y))
		}
		name := fmt.Sprintf("%03d.png", i)
		var data bytes.Buffer
		if err := png.Encode(&data, pic); err != nil {
			t.Fatal(err)
		}
		save(t, filepath.Join(dir, "images", name), data.String())
		images = append(images, fmt.Sprintf(`{"id":%d,"file_name":%q,"width":320,"height":192}`, i+1, name))
	}
	save(t, filepath.Join(dir, "instances.json"), fmt.Sprintf(`{"images":[%s],"annotations":[%s],"categories":[{"id":1,"name":"red"},{"id":2,"name":"green"},{"id":3,"name":"blue"}]}`,
		strings.Join(images, ","), strings.Join(marks, ",")))
	return dir
}

func save(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func recipe(t testing.TB, text string) Recipe {
	t.Helper()
	r, err := Parse("test.yaml", []byte("schema: sightline.recipe/1\n"+text))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

const all = "input: 320x192\nprune: {amount: 0.3, pictures: 12}\nquantize: {max_drop: 20}\ncheck: {max_drop: 20}\n"

// TestRecipeGivesTheSameBytesEachTime: all steps, twice; and what comes of them detects and says how it was made.
func TestRecipeGivesTheSameBytesEachTime(t *testing.T) {
	data := blocks(t, 40)
	var first Report
	for i := range 2 {
		out := filepath.Join(t.TempDir(), "small.onnx")
		o := Options{Recipe: recipe(t, all), Calib: data, Eval: data, Command: "a test"}
		if i == 0 {
			o.Measure = data
		}
		r, err := Run(t.Context(), tinyGrid, out, o)
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			first = r
			checkBundle(t, out, r)
		}
		if r.SHA256 != first.SHA256 {
			t.Errorf("sha256 %s, and %s the second time", first.SHA256, r.SHA256)
		}
	}
}

func checkBundle(t *testing.T, out string, r Report) {
	t.Helper()
	spec, err := models.Load(out)
	if err != nil {
		t.Fatal(err)
	}
	if spec.Width != 320 || spec.Height != 192 || spec.SHA256 != r.SHA256 || spec.Licence != "Apache-2.0" {
		t.Errorf("%+v", spec)
	}
	if r.Input != (Resized{"192x192", "320x192"}) || r.Pruned == nil || !r.Pruned.Repaired || r.Quantised == nil || r.Quantised.Int8Convs+len(r.Quantised.Islands) < 8 {
		t.Errorf("%+v", r)
	}
	if r.Sizes.This.Int8 < 0.5 || r.Sizes.This.Sparsity < 0.2 || r.Sizes.This.Bytes >= r.Sizes.Original.Bytes*2 {
		t.Errorf("sizes %+v", r.Sizes)
	}
	if m := r.Measured; m == nil || m.This.AP < 0.8 || r.Checked == nil || r.Checked.This < 80 {
		t.Errorf("measured %+v, checked %+v", m, r.Checked)
	}
	if c := r.Calibration; c == nil || c.Pictures != 40 || len(c.SHA256) != 64 {
		t.Errorf("calibration %+v", c)
	}
	card, err := os.ReadFile(strings.TrimSuffix(out, ".onnx") + ".yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"command: a test", "recipe:", "amount: 0.3", "machine:", "kernels:", "measured:", "pictures: 40", "url: file:tiny_grid.onnx"} {
		if !strings.Contains(string(card), want) {
			t.Errorf("the card lacks %q", want)
		}
	}
	m, err := graph.Read(out)
	if err != nil || !strings.Contains(m.Metadata[models.MetadataKey], "amount: 0.3") {
		t.Errorf("a file that travels alone does not know its recipe, %v", err)
	}
}

// TestOneStepAlone: each step without the others.
func TestOneStepAlone(t *testing.T) {
	data := blocks(t, 4)
	for text, want := range map[string]func(Report) bool{
		"input: 96":                          func(r Report) bool { return r.Sizes.This.MACs*4 == r.Sizes.Original.MACs },
		"prune: {amount: 0.5, repair: none}": func(r Report) bool { return r.Sizes.This.Sparsity > 0.45 && r.Calibration == nil },
		"prune: {method: channel, amount: 0.2, round: 1, pictures: 3}": func(r Report) bool {
			return r.Sizes.This.MACs < r.Sizes.Original.MACs*9/10 && r.Cut != nil && r.Calibration.Pictures == 3
		},
		"quantize: {mode: dynamic}": func(r Report) bool { return r.Dynamic.Int8Layers > 0 && r.Calibration == nil && r.Quantised == nil },
		"quantize: {pictures: 3}": func(r Report) bool {
			return r.Sizes.This.Int8 > 0.5 && r.Calibration.Pictures == 3 && r.Measured == nil
		},
	} {
		var warned []string
		o := Options{Recipe: recipe(t, text), Calib: data, Command: "a test", Warn: func(s string) { warned = append(warned, s) }}
		r, err := Run(t.Context(), tinyGrid, filepath.Join(t.TempDir(), "small.onnx"), o)
		if err != nil || !want(r) {
			t.Errorf("%s: %+v, %v", text, r, err)
		}
		if few := len(warned) == 1 && strings.Contains(warned[0], "only 3 pictures"); few != (r.Quantised != nil || r.Cut != nil) {
			t.Errorf("%s: warnings %q", text, warned)
		}
	}
}

func TestWhatARecipeLacksIsSaid(t *testing.T) {
	for text, want := range map[string]string{
		"quantize:":                          "--calib",
		"prune: {amount: 0.3}":               "--calib",
		"input: 96\ncheck: {max_drop: 1}":    "--eval",
		"prune: {amount: 0.3, repair: none}": "",
		"input: 96":                          "",
	} {
		if err := (Options{Recipe: recipe(t, text)}).Check(); want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

// TestNothingIsLeftWhenItFails: a check that does not hold, an interrupt, pictures that show nothing.
func TestNothingIsLeftWhenItFails(t *testing.T) {
	data := blocks(t, 3)
	wide := filepath.Join(t.TempDir(), "wide.onnx") // that finds what is in the pictures
	if _, err := Run(t.Context(), tinyGrid, wide, Options{Recipe: recipe(t, "input: 320x192"), Command: "a test"}); err != nil {
		t.Fatal(err)
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for want, c := range map[string]struct {
		ctx    context.Context
		recipe string
		calib  string
	}{
		"drops by":    {t.Context(), "input: 32\ncheck: {max_drop: 5}", data},
		"canceled":    {cancelled, "input: 96", data},
		"nowhere":     {t.Context(), "quantize:", "nowhere"},
		"export it":   {t.Context(), "input: 96", ""},
		"no JPEG, PN": {t.Context(), "quantize:", t.TempDir()},
	} {
		in := wide
		if want == "export it" {
			in = strings.Replace(tinyGrid, "_grid", "", 1)
		}
		dir := t.TempDir()
		_, err := Run(c.ctx, in, filepath.Join(dir, "small.onnx"), Options{Recipe: recipe(t, c.recipe), Calib: c.calib, Eval: data, Command: "a test"})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
		if want == "canceled" && !errors.Is(err, context.Canceled) {
			t.Errorf("an interrupt is %v", err)
		}
		if left, _ := os.ReadDir(dir); len(left) > 0 {
			t.Errorf("%s: left %v", want, left)
		}
	}
}
