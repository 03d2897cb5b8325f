package leastsquares

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"gonum.org/v1/gonum/mat"

	"github.com/sightline/sightline/detect/onnx"
	"github.com/sightline/sightline/models/graph"
	"github.com/sightline/sightline/tools/onnxgraph"
)

func numbers(seed uint64, n int64) []float32 {
	random := rand.New(rand.NewPCG(seed, 3))
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(random.NormFloat64())
	}
	return v
}

func multiplier(t *testing.T) *Multiplier {
	t.Helper()
	p, err := NewMultiplier(onnxgraph.RunOptions{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() }) //nolint:errcheck // frees memory
	return p
}

// TestWeightsAreFoundFromWhatAConvolutionDoes: what is covered, times weights that are solved from samples alone, is what onnxruntime computes
// with the true ones, for every kind of kernel.
func TestWeightsAreFoundFromWhatAConvolutionDoes(t *testing.T) {
	p := multiplier(t)
	for name, attrs := range map[string]map[string]graph.Attr{
		"plain": {}, "padded": {"pads": graph.IntsAttr(1, 1, 1, 1)}, "strided": {"strides": graph.IntsAttr(2, 3), "pads": graph.IntsAttr(0, 2, 1, 0)},
		"dilated": {"dilations": graph.IntsAttr(2, 2)}, "grouped": {"group": graph.IntAttr(2)},
	} {
		shape := []int64{6, 4, 3, 2}
		if name == "grouped" {
			shape[1] = 2
		}
		w, b := numbers(1, shape[0]*shape[1]*shape[2]*shape[3]), numbers(2, shape[0])
		x := onnx.Array{Shape: []int64{1, 4, 20, 20}, Data: numbers(3, 1600)}
		node := &graph.Node{Op: "Conv", Inputs: []string{"x", "w", "b"}, Outputs: []string{"y"}, Attrs: attrs}
		m := &graph.Model{IRVersion: 7, Opsets: map[string]int64{"": 13}, Graph: &graph.Graph{
			Inputs: []graph.Value{{Name: "x", Type: graph.Float, Shape: x.Shape}}, Outputs: []graph.Value{{Name: "y", Type: graph.Float}}, Nodes: []*graph.Node{node},
			Initializers: map[string]*graph.Tensor{"w": graph.NewFloat(shape, w), "b": graph.NewFloat(shape[:1], b)},
		}}
		s, err := onnxgraph.Open(m, nil, onnxgraph.RunOptions{Threads: 1})
		if err != nil {
			t.Fatal(err)
		}
		out, err := s.Run(x)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if err != nil {
			t.Fatal(err)
		}
		k, y := KernelOf(node, shape), out["y"]
		for g := range k.Groups {
			samples := NewSamples(k.Width()+1, k.Rows)
			for _, at := range Places(5, 400, int(y.Shape[2]), int(y.Shape[3])) {
				from, to := samples.Row()
				k.Cover(from, x, g, at[0], at[1])
				for r := range to {
					to[r] = y.Data[(int64(g*k.Rows+r)*y.Shape[2]+int64(at[0]))*y.Shape[3]+int64(at[1])]
				}
			}
			if err := samples.Flush(p, true); err != nil {
				t.Fatal(err)
			}
			found := mat.NewDense(k.Rows, k.Width()+1, nil)
			if err := samples.Solve(found, 0); err != nil {
				t.Fatal(err)
			}
			for r := range k.Rows {
				for i := range k.Width() {
					if want := float64(w[(g*k.Rows+r)*k.Width()+i]); math.Abs(found.At(r, i)-want) > 1e-3 {
						t.Fatalf("%s: weight %d of output %d is %g, want %g", name, i, r, found.At(r, i), want)
					}
				}
				if want := float64(b[g*k.Rows+r]); math.Abs(found.At(r, k.Width())-want) > 1e-3 {
					t.Errorf("%s: bias %g, want %g", name, found.At(r, k.Width()), want)
				}
			}
		}
	}
}

// TestTheRidgeHoldsWeightsBack: they go from where they are towards the solution, less far the higher it is.
func TestTheRidgeHoldsWeightsBack(t *testing.T) {
	s := NewSamples(2, 1)
	for i := range 8 {
		x, y := s.Row()
		x[0], x[1], y[0] = float32(i), 1, float32(3*i)
	}
	if err := s.Flush(multiplier(t), true); err != nil {
		t.Fatal(err)
	}
	before := 0.0
	for _, ridge := range []float64{1e6, 100, 1, 0} {
		w := mat.NewDense(1, 2, nil)
		if err := s.Solve(w, ridge); err != nil {
			t.Fatal(err)
		}
		if w.At(0, 0) <= before || w.At(0, 0) > 3.0001 {
			t.Errorf("ridge %g: weight %g, after %g", ridge, w.At(0, 0), before)
		}
		before = w.At(0, 0)
	}
	if math.Abs(before-3) > 1e-6 {
		t.Errorf("without a ridge the weight is %g, want 3", before)
	}
	if d := s.MeanDiagonal(1); d != 140 {
		t.Errorf("mean diagonal %g, want 140", d)
	}
	s.Square[0] = math.NaN()
	if err := s.Solve(mat.NewDense(1, 2, nil), 1); err == nil || !strings.Contains(err.Error(), "give more pictures") {
		t.Errorf("no solution: %v", err)
	}
}

func TestRowsComeApartAsTheyWerePutTogether(t *testing.T) {
	w, bias := numbers(1, 12), numbers(2, 3)
	rows := Rows(w, bias)
	if rows.At(1, 4) != float64(bias[1]) || rows.At(2, 3) != float64(w[11]) {
		t.Errorf("rows %v", rows)
	}
	gotW, gotBias := make([]float32, 12), make([]float32, 3)
	Split(rows, gotW, gotBias)
	if !slices.Equal(gotW, w) || !slices.Equal(gotBias, bias) {
		t.Errorf("%v and %v, want %v and %v", gotW, gotBias, w, bias)
	}
}
