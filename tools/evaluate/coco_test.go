package evaluate

import (
	"encoding/json"
	"image"
	"image/color"
	"image/png"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sightline/sightline/detect"
	"github.com/sightline/sightline/pipeline/bus"
	"github.com/sightline/sightline/pipeline/picture"
)

// dataset is a folder in COCO form with one red block in each of three pictures, as the tiny model finds it.
func dataset(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "images"), 0o755); err != nil {
		t.Fatal(err)
	}
	in := Instances{Categories: []Category{{1, "red"}, {2, "green"}}}
	for i, name := range []string{"a.png", "b.png", "c.png"} {
		box := image.Rect(40+30*i, 60, 160+30*i, 180)
		pic := image.NewRGBA(image.Rect(0, 0, 384, 384))
		for y := range 384 {
			for x := range 384 {
				pic.Set(x, y, color.Gray{128})
				if image.Pt(x, y).In(box) {
					pic.Set(x, y, color.RGBA{255, 0, 0, 255})
				}
			}
		}
		f, err := os.Create(filepath.Join(dir, "images", name))
		if err != nil {
			t.Fatal(err)
		}
		if err := png.Encode(f, pic); err != nil {
			t.Fatal(err)
		}
		f.Close()
		in.Images = append(in.Images, Image{int64(i + 1), name, 384, 384})
		in.Annotations = append(in.Annotations, Annotation{int64(i + 1), 1, [4]float64{float64(box.Min.X), 60, 120, 120}, 14400, 0})
	}
	rewrite(t, dir, in)
	return dir
}

func rewrite(t testing.TB, dir string, in any) {
	t.Helper()
	data, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "instances.json"), data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func tinyEngine(t testing.TB) *detect.Engine {
	t.Helper()
	e, err := detect.Open(detect.Config{Model: "../../detect/testdata/tiny.onnx", Score: 0.01}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return e
}

func TestFolderIsDetectedAndScored(t *testing.T) {
	dir := dataset(t)
	var out [2][]byte
	for i := range out {
		path := filepath.Join(t.TempDir(), "out.json")
		asked := 0
		s, err := DetectCOCO(t.Context(), tinyEngine(t), Options{Data: dir, Out: path, Progress: func(done, total int) { asked = done*10 + total }})
		if err != nil {
			t.Fatal(err)
		}
		if s.Images != 3 || s.Detections != 3 || s.Seconds <= 0 || asked != 33 {
			t.Errorf("%+v, progress %d", s, asked)
		}
		if out[i], err = os.ReadFile(path); err != nil {
			t.Fatal(err)
		}
	}
	if string(out[0]) != string(out[1]) {
		t.Error("two runs gave two files")
	}
	var results []Result
	if err := json.Unmarshal(out[0], &results); err != nil {
		t.Fatal(err)
	}
	in, err := ReadFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	if a := Score(in, results); a.AP < 0.9 || a.AP50 < 0.999 {
		t.Errorf("AP %v of blocks that are plain to see", a)
	}
	same(t, Score(in, results), scoredByPython(t, in, results))
}

func TestBadFoldersAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		change func(dir string)
		want   string
	}{
		"no annotations": {func(dir string) { os.Remove(filepath.Join(dir, "instances.json")) }, "instances.json"},
		"no JSON":        {func(dir string) { os.WriteFile(filepath.Join(dir, "instances.json"), []byte("{"), 0o600) }, "instances.json"},
		"missing":        {func(dir string) { os.Remove(filepath.Join(dir, "images", "b.png")) }, "b.png"},
		"no picture":     {func(dir string) { os.WriteFile(filepath.Join(dir, "images", "b.png"), []byte("x"), 0o600) }, "b.png"},
		"outside":        {func(dir string) { changed(t, dir, `"a.png"`, `"../instances.json"`) }, "file_name"},
		"size":           {func(dir string) { changed(t, dir, `"width":384`, `"width":383`) }, "383"},
		"twice":          {func(dir string) { changed(t, dir, `"id":2,"file_name"`, `"id":1,"file_name"`) }, "1"},
	} {
		dir := dataset(t)
		c.change(dir)
		out := filepath.Join(t.TempDir(), "out.json")
		if _, err := DetectCOCO(t.Context(), tinyEngine(t), Options{Data: dir, Out: out}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
		if _, err := os.Stat(out); err == nil {
			t.Errorf("%s: half of a result was written", name)
		}
	}
}

func changed(t testing.TB, dir, from, to string) {
	t.Helper()
	path := filepath.Join(dir, "instances.json")
	data, err := os.ReadFile(path)
	if err != nil || !strings.Contains(string(data), from) {
		t.Fatalf("%v: no %s in %s", err, from, data)
	}
	if err := os.WriteFile(path, []byte(strings.Replace(string(data), from, to, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestTilesMayHaveNothingInCommon(t *testing.T) {
	pic := picture.New(1280, 640)
	for _, c := range []struct {
		size    int
		overlap float64
		looks   int
	}{{0, 0, 1 + 3}, {640, 0, 1 + 2}, {640, 0.2, 1 + 3}} {
		run := cocoRun{Options: Options{Tiles: bus.PolicyGrid, Size: c.size, Overlap: c.overlap}}
		if got := len(run.look(pic).Regions); got != c.looks {
			t.Errorf("size %d with an overlap of %g: %d looks, want %d", c.size, c.overlap, got, c.looks)
		}
	}
}
