package evaluate

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/sightline/sightline/models/graph"
)

const tiny = "../../detect/testdata/tiny.onnx"

// blindTiny is the tiny network with kernels of zeros: it is as fast and sees nothing.
func blindTiny(t *testing.T) string {
	t.Helper()
	m, err := graph.Read(tiny)
	if err != nil {
		t.Fatal(err)
	}
	changed := 0
	for _, n := range m.Graph.Nodes {
		if n.Op == "Conv" {
			clear(m.Graph.Const(n.Inputs[1]).Data)
			changed++
		}
	}
	path := filepath.Join(t.TempDir(), "blind.onnx")
	if err := m.Write(path); err != nil || changed == 0 {
		t.Fatalf("%v, %d kernels", err, changed)
	}
	return path
}

func TestModelsAreMeasured(t *testing.T) {
	files := []string{tiny, "../../detect/testdata/tiny_v5.onnx", blindTiny(t), tiny}
	var steps []string
	r, err := Measure(t.Context(), files, MeasureOptions{Data: dataset(t), Rounds: 3, Resamples: 50, Step: func(what string, done, total int) {
		if !slices.Contains(steps, what) {
			steps = append(steps, what)
		}
		if done > total {
			t.Errorf("%s: %d of %d", what, done, total)
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	if r.Images != 3 || r.Objects != 3 || r.Rounds != 3 || r.Resamples != 50 || r.Runtime == "" || r.Machine == "" || len(r.Models) != 4 || len(steps) != 6 {
		t.Errorf("%+v, steps %q", r, steps)
	}
	first, other, blind, again := r.Models[0], r.Models[1], r.Models[2], r.Models[3]
	if !strings.HasSuffix(first.Name, "tiny") || again.Name != first.Name+" (2)" || other.Name != "tiny_v5" || blind.Name != "blind" {
		t.Errorf("names %s, %s, %s, %s", first.Name, other.Name, blind.Name, again.Name)
	}
	if first.AP < 0.9 || first.Recall < 0.9 || first.Difference != (Difference{}) || again.Difference != (Difference{}) || first.Small != -1 {
		t.Errorf("first %+v", first)
	}
	if len(first.Classes) != 1 || first.Classes[0].Name != "red" || first.Classes[0].Objects != 3 || math.Abs(first.Classes[0].AP-first.AP) > 1e-9 {
		t.Errorf("classes %+v", first.Classes)
	}
	if blind.AP != 0 || blind.Layers[0].Zeros != blind.Layers[0].Weights || blind.Sparsity <= first.Sparsity || blind.Difference.Mean != -first.AP || blind.Difference.High > -0.8 || blind.MACs != first.MACs {
		t.Errorf("blind %+v", blind)
	}
	for _, m := range r.Models {
		if !(m.Network.Milliseconds > 0) || !(m.Whole.Milliseconds > 0) || !(m.Network.Low <= m.Network.Faster && m.Network.Faster <= m.Network.High) || m.MACs == 0 || len(m.Layers) == 0 || m.SHA256 == "" {
			t.Errorf("%s: %+v %+v", m.Name, m.Network, m.Whole)
		}
	}
	whole, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var back Report
	if err := json.Unmarshal(whole, &back); err != nil {
		t.Fatal(err)
	}
	if again, err := json.Marshal(back); err != nil || !bytes.Equal(whole, again) {
		t.Errorf("JSON that is read back differs (%v)", err)
	}
}

func TestWhatCannotBeMeasuredIsRefusedAtOnce(t *testing.T) {
	data := dataset(t)
	text := filepath.Join(t.TempDir(), "text.onnx")
	if err := os.WriteFile(text, []byte("not a network"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		files []string
		o     MeasureOptions
		want  string
	}{
		"no model":        {nil, MeasureOptions{Data: data}, "at least one"},
		"no folder":       {[]string{tiny}, MeasureOptions{Data: filepath.Join(data, "nowhere")}, "nowhere"},
		"a missing model": {[]string{tiny, "nowhere.onnx"}, MeasureOptions{Data: data}, "nowhere.onnx"},
		"no network":      {[]string{tiny, text}, MeasureOptions{Data: data}, "text.onnx"},
		"negative":        {[]string{tiny}, MeasureOptions{Data: data, Rounds: -1}, "-1 rounds"},
	} {
		c.o.Step = func(what string, _, _ int) { t.Errorf("%s: %s before what is wrong was said", name, what) }
		if _, err := Measure(t.Context(), c.files, c.o); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

func TestMeasuringStops(t *testing.T) {
	for _, at := range []string{"pictures", "networks", "detection"} {
		ctx, cancel := context.WithCancel(t.Context())
		_, err := Measure(ctx, []string{tiny}, MeasureOptions{Data: dataset(t), Rounds: 50, Step: func(what string, done, _ int) {
			if strings.Contains(what, at) && done == 1 {
				cancel()
			}
		}})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("at %s: %v", at, err)
		}
		cancel()
	}
}

func TestDominatedModelsAreFound(t *testing.T) {
	at := func(name string, ap, faster float64) ModelReport {
		return ModelReport{Name: name, Accuracy: Accuracy{AP: ap}, Whole: Latency{Faster: faster}}
	}
	r := Report{Models: []ModelReport{at("first", .30, 1), at("worse", .29, .9), at("fast", .28, 2), at("slower", .28, 1.5), at("twin", .28, 2), at("worst", .1, .1)}}
	r.markDominated()
	var got []string
	for _, m := range r.Models {
		got = append(got, m.DominatedBy)
	}
	if want := []string{"", "first", "", "fast", "", "first"}; !reflect.DeepEqual(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestNamesTellModelsApart(t *testing.T) {
	got := names([]string{"a/yolo.onnx", "b/../b/yolo.onnx", "x.onnx", "x", "c/nano.onnx", "c/nano.onnx"})
	if want := []string{"a/yolo", "b/yolo", "x", "x (2)", "c/nano", "c/nano (2)"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
