package evaluate

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// scoredByPython lets pycocotools score the same files.
func scoredByPython(t *testing.T, in Instances, results []Result) Accuracy {
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
	out, err := exec.Command(python, filepath.Join("testdata", "score.py"), dir).Output()
	if err != nil {
		t.Fatalf("run %s: %v (run make deps)", python, err)
	}
	var a Accuracy
	if err := json.Unmarshal(out, &a); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return a
}

// invented makes annotations and results that meet every rule: crowds, all sizes, ties, pictures and classes without anything.
func invented(seed uint64) (Instances, []Result) {
	random := rand.New(rand.NewPCG(seed, 1))
	var in Instances
	var results []Result
	for c := range 5 {
		in.Categories = append(in.Categories, Category{ID: int64(10 * (c + 1)), Name: string(rune('a' + c))})
	}
	for i := range 20 {
		image := Image{ID: int64(100 - i), FileName: "x.jpg", Width: 640, Height: 480}
		in.Images = append(in.Images, image)
		for range random.IntN(12) {
			side := math.Pow(2, 3+random.Float64()*5)
			box := [4]float64{random.Float64() * 400, random.Float64() * 300, side, side * (0.5 + random.Float64())}
			category := in.Categories[random.IntN(4)].ID
			a := Annotation{ImageID: image.ID, CategoryID: category, Box: box, Area: box[2] * box[3] * 0.9}
			if random.IntN(10) == 0 {
				a.Crowd = 1
			}
			in.Annotations = append(in.Annotations, a)
			for range random.IntN(4) {
				shift := func(v float64) float32 { return float32(v + side*0.15*random.NormFloat64()) }
				results = append(results, Result{image.ID, category, [4]float32{shift(box[0]), shift(box[1]), float32(box[2]), float32(box[3])},
					float32(random.IntN(20)) / 20})
			}
		}
		for range random.IntN(150) { // more than count
			results = append(results, Result{image.ID, 10, [4]float32{random.Float32() * 600, random.Float32() * 400, 20, 20}, random.Float32() / 2})
		}
	}
	return in, results
}

func TestScoreEqualsPycocotools(t *testing.T) {
	for seed := range uint64(3) {
		in, results := invented(seed)
		same(t, Score(in, results), scoredByPython(t, in, results))
	}
}

func same(t *testing.T, got, want Accuracy) {
	t.Helper()
	if want.AP < 0.05 {
		t.Errorf("AP %v: nothing to compare", want.AP)
	}
	for i, pair := range [][2]float64{{got.AP, want.AP}, {got.AP50, want.AP50}, {got.AP75, want.AP75}, {got.Small, want.Small}, {got.Medium, want.Medium}, {got.Large, want.Large}} {
		if d := math.Abs(pair[0] - pair[1]); !(d < 1e-4) {
			t.Errorf("figure %d: %v, pycocotools says %v", i, pair[0], pair[1])
		}
	}
}

func TestScoreOfPerfectAndOfNoResults(t *testing.T) {
	in, _ := invented(7)
	var perfect []Result
	for _, a := range in.Annotations {
		if a.Crowd == 0 {
			b := a.Box
			perfect = append(perfect, Result{a.ImageID, a.CategoryID, [4]float32{float32(b[0]), float32(b[1]), float32(b[2]), float32(b[3])}, 1})
		}
	}
	if ap := Score(in, perfect).AP; ap < 0.999 {
		t.Errorf("perfect results have AP %v", ap)
	}
	if ap := Score(in, nil).AP; ap != 0 {
		t.Errorf("no results have AP %v", ap)
	}
	if ap := Score(Instances{}, nil).AP; ap != -1 {
		t.Errorf("no pictures give AP %v", ap)
	}
}
