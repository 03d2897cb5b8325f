package evaluate

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/sightline/sightline/pipeline/bus"
)

// detailed is what testdata/classes.py prints.
type detailed struct {
	Accuracy
	Recall  float64      `json:"recall"`
	Classes []ClassScore `json:"classes"`
}

// detailedByPython lets pycocotools score the same files, class by class.
func detailedByPython(t *testing.T, in Instances, results []Result) (d detailed) {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, v := range map[string]any{"instances.json": in, "results.json": results} {
		data, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	python := filepath.Join(cache, "sightline", "python", "bin", "python3")
	out, err := exec.Command(python, filepath.Join("testdata", "classes.py"), dir).Output()
	if err != nil {
		t.Fatalf("run %s: %v (run make deps)", python, err)
	}
	if err := json.Unmarshal(out, &d); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return d
}

// sameInDetail holds every figure against pycocotools' and gives the greatest distance.
func sameInDetail(t *testing.T, in Instances, results []Result) (furthest float64) {
	t.Helper()
	want := detailedByPython(t, in, results)
	s := newScorer(in, results, maxPerImage)
	got, classes := s.accuracy(nil), s.classes(in.Categories)
	near := func(what string, got, want float64) {
		t.Helper()
		furthest = max(furthest, math.Abs(got-want))
		if !(math.Abs(got-want) < 1e-6) {
			t.Errorf("%s: %v, pycocotools says %v", what, got, want)
		}
	}
	near("AP", got.AP, want.AP)
	near("AP50", got.AP50, want.AP50)
	near("AP75", got.AP75, want.AP75)
	near("AP small", got.Small, want.Small)
	near("AP medium", got.Medium, want.Medium)
	near("AP large", got.Large, want.Large)
	near("recall", meanRecall(classes), want.Recall)
	near("AP of the ranking", averagePrecisionOf(s.rank(0), &curve{}, s.once()), want.AP)
	byName := map[string]ClassScore{}
	for _, c := range classes {
		byName[c.Name] = c
	}
	for _, w := range want.Classes {
		g, ok := byName[w.Name]
		if ok != (w.AP >= 0) {
			t.Errorf("class %s: listed %v, AP %v", w.Name, ok, w.AP)
		}
		if ok {
			near(w.Name, g.AP, w.AP)
			near(w.Name+" 50", g.AP50, w.AP50)
			near(w.Name+" recall", g.Recall, w.Recall)
		}
	}
	return furthest
}

// scene is a case of few objects, written short.
type scene struct {
	images  int
	objects []Annotation
	results []Result
}

func (s scene) instances() Instances {
	in := Instances{Categories: []Category{{1, "one"}, {2, "two"}, {7, "never marked"}}, Annotations: s.objects}
	if in.Annotations == nil {
		in.Annotations = []Annotation{}
	}
	for i := range s.images {
		in.Images = append(in.Images, Image{int64(i + 1), fmt.Sprintf("%d.jpg", i), 640, 480})
	}
	return in
}

func object(image, category int64, x, y, w, h float64) Annotation {
	return Annotation{ImageID: image, CategoryID: category, Box: [4]float64{x, y, w, h}, Area: w * h}
}

func crowd(a Annotation) Annotation {
	a.Crowd = 1
	return a
}

func found(image, category int64, score float32, x, y, w, h float32) Result {
	return Result{image, category, [4]float32{x, y, w, h}, score}
}

// scenes are the corners of the rules. What each must give is pycocotools' business.
func scenes() map[string]scene {
	many := scene{images: 1, objects: []Annotation{object(1, 1, 300, 300, 50, 50), object(1, 2, 0, 0, 50, 50)}}
	for i := range 130 { // the hit is the 121st of its class, the other class is not touched by that
		many.results = append(many.results, found(1, 1, 1-float32(i)/200, float32(i), 0, 20, 20))
	}
	many.results[120].Box = [4]float32{300, 300, 50, 50}
	many.results = append(many.results, found(1, 2, 0.01, 0, 0, 50, 50))
	return map[string]scene{
		"more than 100 results": many,
		"a crowd takes many": {2, []Annotation{crowd(object(1, 1, 0, 0, 200, 200)), object(1, 1, 300, 300, 80, 80), object(2, 1, 0, 0, 60, 60)},
			[]Result{found(1, 1, .9, 10, 10, 50, 50), found(1, 1, .8, 90, 90, 50, 50), found(1, 1, .7, 300, 300, 80, 80), found(1, 1, .6, 301, 300, 80, 80), found(2, 1, .5, 2, 2, 60, 60)}},
		"an object before a crowd": {1, []Annotation{crowd(object(1, 1, 0, 0, 100, 100)), object(1, 1, 0, 0, 90, 100)},
			[]Result{found(1, 1, .9, 0, 0, 100, 100), found(1, 1, .8, 0, 0, 99, 100)}},
		"nothing but a crowd": {1, []Annotation{crowd(object(1, 1, 0, 0, 100, 100)), object(1, 2, 5, 5, 9, 9)}, []Result{found(1, 1, .9, 0, 0, 90, 90), found(1, 2, .9, 5, 5, 9, 9)}},
		"ranges of area, on their edges": {3, []Annotation{object(1, 1, 0, 0, 32, 32), object(1, 1, 100, 0, 31, 31), object(2, 1, 0, 0, 96, 96), object(2, 1, 200, 0, 97, 97), object(3, 1, 0, 0, 33, 33)},
			[]Result{found(1, 1, .9, 0, 0, 32, 32), found(1, 1, .8, 100, 0, 34, 31), found(2, 1, .7, 0, 0, 96, 96), found(2, 1, .6, 200, 0, 95, 95), found(3, 1, .5, 0, 0, 40, 40), found(3, 1, .4, 300, 300, 10, 10)}},
		"ties within and between pictures": {3, []Annotation{object(1, 1, 0, 0, 50, 50), object(2, 1, 0, 0, 50, 50), object(3, 1, 0, 0, 50, 50)},
			[]Result{found(3, 1, .5, 0, 0, 50, 50), found(1, 1, .5, 200, 0, 50, 50), found(1, 1, .5, 0, 0, 50, 50), found(2, 1, .5, 3, 3, 50, 50), found(2, 1, .5, 0, 0, 50, 50)}},
		"two objects of equal overlap": {1, []Annotation{object(1, 1, 0, 0, 100, 100), object(1, 1, 20, 0, 100, 100)},
			[]Result{found(1, 1, .9, 10, 0, 100, 100), found(1, 1, .8, 10, 0, 100, 100), found(1, 1, .7, 10, 0, 100, 100)}},
		"pictures and classes with nothing": {4, []Annotation{object(3, 2, 0, 0, 50, 50)}, []Result{found(1, 1, .9, 0, 0, 9, 9), found(2, 7, .9, 0, 0, 9, 9), found(3, 2, .2, 0, 0, 45, 50)}},
		"the wrong class":                   {1, []Annotation{object(1, 1, 0, 0, 50, 50), object(1, 2, 99, 99, 50, 50)}, []Result{found(1, 2, .9, 0, 0, 50, 50), found(1, 2, .8, 99, 99, 50, 50)}},
		"no result of a class with objects": {1, []Annotation{object(1, 1, 0, 0, 50, 50), object(1, 2, 99, 99, 50, 50)}, []Result{found(1, 2, .8, 99, 99, 50, 50)}},
	}
}

func TestEveryRuleIsPycocotools(t *testing.T) {
	for name, s := range scenes() {
		t.Run(name, func(t *testing.T) { sameInDetail(t, s.instances(), s.results) })
	}
	in, results := invented(11)
	sameInDetail(t, in, results)
}

// TestRealResultsAreScoredAsByPycocotools: on photographs, with every class.
func TestRealResultsAreScoredAsByPycocotools(t *testing.T) {
	in, results := realResults(t)
	t.Logf("furthest figure: %.1e away", sameInDetail(t, in, results))
}

func realResults(t *testing.T) (Instances, []Result) {
	t.Helper()
	dir := shared(t, "coco-dev")
	in, err := ReadFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	results, err := detectWith(t.Context(), filepath.Join("..", "..", "models", "yolox-nano-int8.onnx"), in, Options{Data: dir, Tiles: bus.PolicyOff})
	if err != nil {
		t.Fatal(err)
	}
	return in, results
}

// TestPicturesCountAsOftenAsTheyStand: a picture that counts twice is a folder that holds it twice.
func TestPicturesCountAsOftenAsTheyStand(t *testing.T) {
	in, results := invented(5)
	for i := range results { // no ties: results of one picture with one score stand together here and in turns in a copied folder
		results[i].Score += float32(i) * 1e-5
	}
	slices.SortStableFunc(in.Images, func(a, b Image) int { return cmp.Compare(a.ID, b.ID) })
	s := newScorer(in, results, maxPerImage)
	all := s.rank(0)
	for _, times := range draw(20, len(in.Images)) {
		var copies Instances
		var copied []Result
		copies.Categories = in.Categories
		for place, n := range times {
			for range n {
				image := in.Images[place]
				id := int64(1000 + len(copies.Images))
				for _, a := range in.Annotations {
					if a.ImageID == image.ID {
						a.ImageID = id
						copies.Annotations = append(copies.Annotations, a)
					}
				}
				for _, r := range results {
					if r.ImageID == image.ID {
						r.ImageID = id
						copied = append(copied, r)
					}
				}
				image.ID = id
				copies.Images = append(copies.Images, image)
			}
		}
		got, want := averagePrecisionOf(all, &curve{}, times), Score(copies, copied).AP
		if math.Abs(got-want) > 1e-9 || want < 0.05 {
			t.Errorf("AP %v, of the copied folder %v", got, want)
		}
	}
}
