package capacity

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sightline/sightline/detect"
	"github.com/sightline/sightline/pipeline/bus"
)

func options(source string) Options {
	return Options{
		Detector: detect.Config{Model: filepath.Join("..", "..", "detect", "testdata", "tiny.onnx"), MaxBatch: 2},
		Source:   source, Tiles: Tiles{Size: 640, Overlap: 0.2, Budget: 5}, Each: 10 * time.Millisecond,
		Progress: func(string, int, int) {},
	}
}

// TestEverythingIsMeasured: with a real model and video that is made, coded and decoded here.
func TestEverythingIsMeasured(t *testing.T) {
	r, err := Measure(t.Context(), options(""))
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Layouts) < 2 || len(r.Videos) != 3 || r.Processors < 1 || r.Model == "" {
		t.Fatalf("%+v", r)
	}
	for i, l := range r.Layouts {
		if l.Rate <= 0 || l.Workers*l.Threads > r.Processors || i > 0 && l.Rate > r.Layouts[i-1].Rate {
			t.Errorf("layout %+v, after %+v", l, r.Layouts[max(i-1, 0)])
		}
	}
	for _, v := range r.Videos {
		if v.Decode <= 0 || v.Plan <= 0 || v.Prepare <= 0 || v.Picture <= 0 || len(v.Fits) != 4 {
			t.Errorf("%+v", v)
		}
	}
	var text bytes.Buffer
	if err := r.Write(&text); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{r.Model, "3840x2160", "adaptive", "at 25", "Best settings: detectors"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("%q is not in\n%s", want, text.String())
		}
	}
}

func TestWhatFits(t *testing.T) {
	v := Video{Width: 3840, Height: 2160, Decode: 10, Plan: 1, Prepare: 2, Merge: 3}
	inputs := func(r []bus.Region) float64 { return float64(len(r)-1) + 0.5 }
	v.fit(Tiles{Size: 640, Overlap: 0.2, Budget: 5}, inputs, network{processors: 2, infer: 8})
	for i, want := range []Fit{
		{bus.PolicyOff, 1, 0.5, 16, 125, []int{17, 8, 5, 3}},
		{bus.PolicyAdaptive, 2, 1.5, 27, 2000.0 / 27, []int{10, 5, 3, 2}},
		{bus.PolicyAdaptive, 6, 5.5, 67, 2000.0 / 67, []int{4, 2, 1, 0}},
		{bus.PolicyGrid, 33, 32.5, 339, 2000.0 / 339, []int{0, 0, 0, 0}},
	} {
		got := v.Fits[i]
		if got.Policy != want.Policy || got.Looks != want.Looks || got.Inputs != want.Inputs || got.Cost != want.Cost || got.Fastest != want.Fastest {
			t.Errorf("%+v, want %+v", got, want)
		}
		for n := range want.Cameras {
			if got.Cameras[n] != want.Cameras[n] {
				t.Errorf("%+v, want %+v", got, want)
			}
		}
	}
}

// TestADeviceComputesBesideTheProcessors: whoever is slower says how many frames there are.
func TestADeviceComputesBesideTheProcessors(t *testing.T) {
	r := Report{Processors: 2, Device: "cuda", Layouts: []detect.Layout{{Workers: 2, Threads: 1, MaxBatch: 8, Rate: 500}}}
	v := Video{Width: 3840, Height: 2160, Decode: 10, Plan: 1, Prepare: 2, Merge: 3}
	v.fit(Tiles{Size: 640, Overlap: 0.2, Budget: 5}, func(r []bus.Region) float64 { return float64(len(r)) }, r.network())
	if off, grid := v.Fits[0], v.Fits[3]; off.Cost != 12 || off.Fastest != 2000.0/12 || grid.Cost != 13+33*2 || grid.Fastest != 500.0/33 {
		t.Errorf("%+v, %+v", off, grid)
	}
	r.Videos = []Video{v}
	var text bytes.Buffer
	if err := r.Write(&text); err != nil || !strings.Contains(text.String(), "infer on cuda") || strings.Contains(text.String(), "workers: auto") {
		t.Errorf("%s, %v", text.String(), err)
	}
	r.Device = "cpu"
	if n := r.network(); n.elsewhere || n.infer != 4 {
		t.Errorf("%+v", n)
	}
}

func TestSourcesThatAreNoVideoAreRefused(t *testing.T) {
	if _, err := Measure(t.Context(), options(filepath.Join("..", "..", "go.mod"))); err == nil || !strings.Contains(err.Error(), "go.mod") {
		t.Errorf("%v", err)
	}
}
