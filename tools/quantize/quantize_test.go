package quantize

import (
	"bytes"
	"context"
	"errors"
	"image"
	"image/color"
	"image/png"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sightline/sightline/models"
	"github.com/sightline/sightline/models/graph"
	"github.com/sightline/sightline/tools/calibrate"
	"github.com/sightline/sightline/tools/judge"
	"github.com/sightline/sightline/tools/onnxgraph"
)

const side = 64

// spec describes what the small network takes.
var spec = models.Spec{Family: models.YOLOX, Width: side, Height: side, Layout: models.YOLOX.Layout()}

// network is two convolutions with a SiLU between them, a residual, a MaxPool and a Concat: every kind that is quantised.
func network(seed uint64) *graph.Model {
	random := rand.New(rand.NewPCG(seed, 0))
	weights := func(shape ...int64) *graph.Tensor {
		n := int64(1)
		for _, d := range shape {
			n *= d
		}
		v := make([]float32, n)
		for i := range v {
			v[i] = float32(random.NormFloat64()) / float32(math.Sqrt(float64(n/shape[0])))
		}
		return graph.NewFloat(shape, v)
	}
	m := &graph.Model{IRVersion: 7, Opsets: map[string]int64{"": 13}, Graph: &graph.Graph{
		Inputs:       []graph.Value{{Name: "x", Type: graph.Float, Shape: []int64{1, 3, side, side}}},
		Outputs:      []graph.Value{{Name: "y", Type: graph.Float}},
		Initializers: map[string]*graph.Tensor{}, Values: map[string]graph.Value{},
	}}
	g := m.Graph
	conv := func(name, from, to string, in, out, kernel int64) {
		g.Initializers[name+"_w"] = weights(out, in, kernel, kernel)
		g.Initializers[name+"_b"] = weights(out)
		pad := kernel / 2
		g.Nodes = append(g.Nodes, &graph.Node{Op: "Conv", Inputs: []string{from, name + "_w", name + "_b"}, Outputs: []string{to},
			Attrs: map[string]graph.Attr{"pads": graph.IntsAttr(pad, pad, pad, pad)}})
	}
	silu := func(from, to string) {
		g.Nodes = append(g.Nodes, &graph.Node{Op: "Sigmoid", Inputs: []string{from}, Outputs: []string{from + "_s"}},
			&graph.Node{Op: "Mul", Inputs: []string{from, from + "_s"}, Outputs: []string{to}})
	}
	g.Initializers["scale"] = graph.NewFloat(nil, []float32{1.0 / 64})
	conv("a", "x", "a0", 3, 16, 3)
	silu("a0", "a1")
	conv("b", "a1", "b0", 16, 16, 3)
	silu("b0", "b1")
	g.Nodes = append(g.Nodes, &graph.Node{Op: "Add", Inputs: []string{"a1", "b1"}, Outputs: []string{"r"}},
		&graph.Node{Op: "MaxPool", Inputs: []string{"r"}, Outputs: []string{"p"}, Attrs: map[string]graph.Attr{
			"kernel_shape": graph.IntsAttr(3, 3), "pads": graph.IntsAttr(1, 1, 1, 1)}},
		&graph.Node{Op: "Concat", Inputs: []string{"r", "p"}, Outputs: []string{"c"}, Attrs: map[string]graph.Attr{"axis": graph.IntAttr(1)}})
	conv("d", "c", "y", 32, 8, 1)
	delete(g.Initializers, "scale")
	return m
}

// pictures makes a folder of smooth noise; level gives one colour instead.
func pictures(t testing.TB, n int, level *color.Gray) string {
	t.Helper()
	dir := t.TempDir()
	for i := range n {
		random := rand.New(rand.NewPCG(uint64(i), 9))
		pic := image.NewRGBA(image.Rect(0, 0, side, side))
		for y := range side {
			for x := range side {
				if x%8 == 0 || y%8 == 0 {
					pic.Set(x, y, color.RGBA{uint8(random.IntN(256)), uint8(random.IntN(256)), uint8(random.IntN(256)), 255})
				}
				if level != nil {
					pic.Set(x, y, *level)
				}
			}
		}
		var data bytes.Buffer
		if err := png.Encode(&data, pic); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, string(rune('a'+i))+".png"), data.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func calibration(t testing.TB, dir string) *calibrate.Set {
	t.Helper()
	set, err := calibrate.Open(dir, spec, 0)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func TestNetworkRunsInInt8AndGivesNearlyTheSame(t *testing.T) {
	set := calibration(t, pictures(t, 12, nil))
	m := network(1)
	q, report, err := Static(t.Context(), m, nil, spec, StaticOptions{Calibration: set, Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	if report.Convs != 3 || report.Int8Convs < 2 || report.Int8MACs < 0.5 {
		t.Errorf("report %+v, want most in int8", report)
	}
	if report.Error > 0.005 {
		t.Errorf("the outputs are off by a share of %g of their squares", report.Error)
	}
	j, err := judge.New(t.Context(), m, nil, set, onnxgraph.RunOptions{}, judge.Rounding)
	if err != nil {
		t.Fatal(err)
	}
	if e, err := j.Error(q); err != nil || e > 0.005 || e == 0 {
		t.Errorf("error %g, %v", e, err)
	}
}

func TestSameInputsGiveTheSameBytes(t *testing.T) {
	var made [2][]byte
	dir := pictures(t, 6, nil)
	for i := range made {
		q, _, err := Static(t.Context(), network(2), nil, spec, StaticOptions{Calibration: calibration(t, dir), Threads: 1})
		if err != nil {
			t.Fatal(err)
		}
		if made[i], err = q.Marshal(); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(made[0], made[1]) {
		t.Error("two runs gave two networks")
	}
}

func TestWhatCannotBeQuantisedIsRefused(t *testing.T) {
	good := pictures(t, 6, nil)
	broken := network(3)
	w := broken.Graph.Initializers["b_w"]
	v, _ := w.Floats()
	v[5] = float32(math.NaN())
	broken.Graph.Initializers["b_w"] = graph.NewFloat(w.Shape, v)
	done, _, err := Static(t.Context(), network(4), nil, spec, StaticOptions{Calibration: calibration(t, good), Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	plain := network(5)
	plain.Graph.Nodes = plain.Graph.Nodes[1:2]
	plain.Graph.Nodes[0].Inputs[0] = "x"
	plain.Graph.Outputs[0].Name = plain.Graph.Nodes[0].Output()
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for name, c := range map[string]struct {
		ctx  context.Context
		m    *graph.Model
		set  *calibrate.Set
		to   string
		want string
	}{
		"already":     {t.Context(), done, calibration(t, good), "", "quantised already"},
		"no convs":    {t.Context(), plain, calibration(t, good), "", "no convolutions"},
		"NaN":         {t.Context(), broken, calibration(t, good), "", "broken"},
		"no pictures": {t.Context(), network(6), nil, "", "--calib"},
		"one colour":  {t.Context(), network(7), calibration(t, pictures(t, 3, &color.Gray{})), "", "one colour"},
		"target":      {t.Context(), network(8), calibration(t, good), "abacus", "abacus"},
		"interrupt":   {cancelled, network(9), calibration(t, good), "", "canceled"},
	} {
		q, _, err := Static(c.ctx, c.m, nil, spec, StaticOptions{Calibration: c.set, Target: c.to, Threads: 1})
		if err == nil || q != nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

func TestAccuracyIsHeldByLeavingPartsFloat(t *testing.T) {
	asked := 0
	evaluate := func(_ context.Context, m *graph.Model) (float64, error) {
		asked++
		int8s := 0
		for _, n := range m.Graph.Nodes {
			if n.Op == "QuantizeLinear" {
				int8s++
			}
		}
		return 50 - float64(int8s), nil // every int8 tensor costs a point
	}
	o := StaticOptions{Calibration: calibration(t, pictures(t, 6, nil)), Threads: 1, Evaluate: evaluate, MaxDrop: 4.5}
	q, report, err := Static(t.Context(), network(10), nil, spec, o)
	if err != nil {
		t.Fatal(err)
	}
	if points, _ := evaluate(t.Context(), q); points < 45.5 || asked < 4 {
		t.Errorf("%g points after asking %d times, islands %v", points, asked, report.Islands)
	}
	o.Evaluate = func(context.Context, *graph.Model) (float64, error) { return 0, errors.New("no annotations") }
	if _, _, err := Static(t.Context(), network(10), nil, spec, o); err == nil || !strings.Contains(err.Error(), "no annotations") {
		t.Errorf("a failed evaluation: %v", err)
	}
}

func TestLevels(t *testing.T) {
	a := spanning(-1, 3)
	if a.value(a.zero) != 0 || a.level(0) != a.zero {
		t.Error("zero is no level")
	}
	for v := -1.0; v <= 3; v += 0.01 {
		if d := math.Abs(a.value(a.level(v)) - v); d > a.scale/2+1e-9 && v > a.low() && v < a.high() {
			t.Fatalf("%g becomes %g, off by more than half a step of %g", v, a.value(a.level(v)), a.scale)
		}
	}
	if a.level(1e30) != 255 || a.level(-1e30) != 0 {
		t.Error("values beyond the range are not clipped")
	}
	if b := spanning(2, 3); b.low() > 0 {
		t.Error("a range above zero leaves zero out")
	}
}

// TestOutliersAreClipped: one value in a million must not cost all others their resolution.
func TestOutliersAreClipped(t *testing.T) {
	h := &histogram{min: -100, max: 100}
	values := make([]float32, 100_000)
	random := rand.New(rand.NewPCG(1, 2))
	for i := range values {
		values[i] = float32(random.NormFloat64())
	}
	for range 100 {
		h.count(values)
	}
	h.count([]float32{100})
	if a := h.plain(); a.high() > 50 || a.high() < 3 {
		t.Errorf("range %g to %g", a.low(), a.high())
	}
	if a := h.beforeSiLU(); a.low() < -60 {
		t.Errorf("before a SiLU %g to %g: what it makes nothing of takes levels", a.low(), a.high())
	}
}

func TestWeightsAreWithinHalfAStep(t *testing.T) {
	w, err := quantizeWeights(graph.NewFloat([]int64{2, 3, 1, 1}, []float32{1, -0.5, 0.25, 100, -50, 0}), 127)
	if err != nil {
		t.Fatal(err)
	}
	if w.scales[1] < 50*w.scales[0] {
		t.Errorf("scales %v: channels share one", w.scales)
	}
	for i, want := range []float32{1, -0.5, 0.25, 100, -50, 0} {
		got := float32(w.levels[i]) * w.scales[i/3]
		if d := math.Abs(float64(got - want)); d > 0.02*math.Abs(float64(want))+float64(w.scales[i/3]) {
			t.Errorf("weight %d is %g, want %g", i, got, want)
		}
	}
}
