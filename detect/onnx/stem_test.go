package onnx

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/sightline/sightline/models/graph"
)

// stemNetwork is a first convolution in int8, in QDQ form.
func stemNetwork(shape []int64, kernel, stride int64, pads []int64, outputs int64, bias bool) *graph.Model {
	random := rand.New(rand.NewPCG(7, 8))
	m := &graph.Model{IRVersion: 7, Opsets: map[string]int64{"": 13}, Graph: &graph.Graph{
		Inputs:       []graph.Value{{Name: "x", Type: graph.Float, Shape: shape}},
		Outputs:      []graph.Value{{Name: "y", Type: graph.Float}},
		Initializers: map[string]*graph.Tensor{}, Values: map[string]graph.Value{},
	}}
	g := m.Graph
	node := func(op, to string, attrs map[string]graph.Attr, from ...string) {
		g.Nodes = append(g.Nodes, &graph.Node{Op: op, Inputs: from, Outputs: []string{to}, Attrs: attrs})
	}
	g.Initializers["x_scale"], g.Initializers["x_zero"] = graph.NewFloat([]int64{}, []float32{1.0 / 255}), graph.NewUint8([]int64{}, []uint8{0})
	g.Initializers["y_scale"], g.Initializers["y_zero"] = graph.NewFloat([]int64{}, []float32{0.05}), graph.NewUint8([]int64{}, []uint8{120})
	weights, scales, biases, steps := make([]int8, outputs*shape[1]*kernel*kernel), make([]float32, outputs), make([]int32, outputs), make([]float32, outputs)
	for i := range weights {
		weights[i] = int8(random.IntN(255) - 127)
	}
	for i := range scales {
		scales[i], biases[i] = 0.002+0.002*random.Float32(), int32(random.IntN(40000)-20000)
		steps[i] = scales[i] / 255
	}
	g.Initializers["w_q"] = graph.NewInt8([]int64{outputs, shape[1], kernel, kernel}, weights)
	g.Initializers["w_scale"], g.Initializers["b_scale"] = graph.NewFloat([]int64{outputs}, scales), graph.NewFloat([]int64{outputs}, steps)
	g.Initializers["w_zero"], g.Initializers["b_q"] = graph.NewInt8([]int64{outputs}, make([]int8, outputs)), graph.NewInt32([]int64{outputs}, biases)
	along := map[string]graph.Attr{"axis": graph.IntAttr(0)}
	node("QuantizeLinear", "x_q", nil, "x", "x_scale", "x_zero")
	node("DequantizeLinear", "x_dq", nil, "x_q", "x_scale", "x_zero")
	node("DequantizeLinear", "w", along, "w_q", "w_scale", "w_zero")
	from := []string{"x_dq", "w"}
	if bias {
		node("DequantizeLinear", "b", along, "b_q", "b_scale")
		from = append(from, "b")
	}
	node("Conv", "a", map[string]graph.Attr{"strides": graph.IntsAttr(stride, stride), "pads": graph.IntsAttr(pads...)}, from...)
	node("QuantizeLinear", "a_q", nil, "a", "y_scale", "y_zero")
	node("DequantizeLinear", "y", nil, "a_q", "y_scale", "y_zero")
	g.RemoveDead()
	return m
}

// TestStemGivesTheSame: kernels, strides, paddings on each side, widths that are no multiple of a register, two pictures at once, and levels
// that are not those of the picture.
func TestStemGivesTheSame(t *testing.T) {
	for _, c := range []struct {
		shape          []int64
		kernel, stride int64
		pads           []int64
		outputs        int64
		bias           bool
		scale          float32 // of the picture's levels
		zero           uint8
	}{
		{[]int64{1, 3, 64, 96}, 6, 2, []int64{2, 2, 2, 2}, 16, true, 1.0 / 255, 0},
		{[]int64{2, 3, 33, 47}, 3, 2, []int64{1, 1, 1, 1}, 32, true, 0.9 / 255, 0},
		{[]int64{1, 3, 20, 21}, 3, 1, []int64{0, 1, 2, 0}, 48, false, 1.0 / 255, 0},
		{[]int64{1, 1, 9, 7}, 5, 3, []int64{2, 0, 0, 2}, 16, true, 1.0 / 255, 0},
		{[]int64{1, 2, 16, 16}, 1, 1, []int64{0, 0, 0, 0}, 16, true, 1.3 / 255, 31},
	} {
		t.Run(fmt.Sprint(c.shape, c.kernel, c.stride), func(t *testing.T) {
			m := stemNetwork(c.shape, c.kernel, c.stride, c.pads, c.outputs, c.bias)
			m.Graph.Initializers["x_scale"], m.Graph.Initializers["x_zero"] = graph.NewFloat([]int64{}, []float32{c.scale}), graph.NewUint8([]int64{}, []uint8{c.zero})
			if stemSupported() {
				if count := fusedOperators(t, m); count["Stem"] != 1 || count["QLinearConv"]+count["Conv"] > 0 {
					t.Errorf("the network has %v", count)
				}
			}
			levels := make([]uint8, c.shape[0]*c.shape[1]*c.shape[2]*c.shape[3])
			random := rand.New(rand.NewPCG(9, 9))
			for i := range levels {
				levels[i] = uint8(random.IntN(256))
			}
			own, plain := openStem(t, m, false), openStem(t, m, true)
			if own.Levels() != nil != stemSupported() || plain.Levels() != nil {
				t.Fatal("levels are taken where they should not be, or not where they should")
			}
			got, want := runStem(t, own, levels), runStem(t, plain, levels)
			for i := range want {
				if math.Abs(float64(got[i]-want[i])) > 1.01*0.05 {
					t.Fatalf("%g instead of %g at %d", got[i], want[i], i)
				}
			}
		})
	}
}

// openStem opens a network that is given level 255 as the number 1.
func openStem(t testing.TB, m *graph.Model, plain bool) *Session {
	t.Helper()
	data, err := m.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "stem.onnx")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	s, ok := readStem(m.Graph, m.Graph.Index(), "x")
	if !ok {
		t.Fatal("there is no stem")
	}
	in := m.Graph.Inputs[0].Shape
	height, width := s.size(in)
	out := []int64{in[0], s.kernel.Shape[0], height, width}
	session, err := Open(Options{Model: path, Input: Tensor{"x", in}, Outputs: []Tensor{{"y", out}}, Unit: 1.0 / 255, Plain: plain})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = session.Close() })
	return session
}

// runStem gives what comes of a picture, whatever the session wants it as.
func runStem(t testing.TB, s *Session, levels []uint8) []float32 {
	t.Helper()
	copy(s.Levels(), levels)
	for i := range s.Input() {
		s.Input()[i] = float32(levels[i]) / 255
	}
	for range 2 { // the second run has a buffer already
		if err := s.Run(s.most); err != nil {
			t.Fatal(err)
		}
	}
	return s.Outputs()[0]
}

// TestOtherStemsStay: what the operator cannot run is left to the library.
func TestOtherStemsStay(t *testing.T) {
	for name, m := range map[string]*graph.Model{
		"12 outputs":   stemNetwork([]int64{1, 3, 16, 16}, 3, 1, []int64{1, 1, 1, 1}, 12, true),
		"kernel of 9":  stemNetwork([]int64{1, 3, 16, 16}, 9, 1, []int64{4, 4, 4, 4}, 16, true),
		"four colours": stemNetwork([]int64{1, 4, 16, 16}, 3, 1, []int64{1, 1, 1, 1}, 16, true),
	} {
		if made, err := fuseStem(m, 1); made || err != nil {
			t.Errorf("%s: %v, %v", name, made, err)
		}
	}
}

// TestOurOperatorsAreNotForFiles: they trust what they are given, so a file that names one is refused by the library.
func TestOurOperatorsAreNotForFiles(t *testing.T) {
	m := quantisedNetwork("SiLU")
	m.Opsets[kernelDomain] = 1
	g := m.Graph
	g.Initializers["short"] = graph.NewUint8([]int64{1}, []uint8{1})
	for _, n := range g.Nodes {
		if n.Output() == "b_q" {
			n.Outputs[0] = "b_before"
			g.InsertAfter(n, &graph.Node{Op: "Lookup", Domain: kernelDomain, Inputs: []string{"b_before", "short"}, Outputs: []string{"b_q"}})
			break
		}
	}
	data, err := m.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	if s, err := OpenGraph(GraphOptions{Model: data, Inputs: []string{"x"}, Outputs: []string{"y"}}); err == nil {
		_ = s.Close()
		t.Error("it was opened")
	}
}

func BenchmarkStem(b *testing.B) {
	m := stemNetwork([]int64{1, 3, 640, 640}, 6, 2, []int64{2, 2, 2, 2}, 16, true)
	m.Graph.Nodes = m.Graph.Nodes[:len(m.Graph.Nodes)-1]
	m.Graph.Nodes = append(m.Graph.Nodes, &graph.Node{Op: "Cast", Inputs: []string{"a_q"}, Outputs: []string{"y"}, Attrs: map[string]graph.Attr{"to": graph.IntAttr(1)}})
	for name, plain := range map[string]bool{"onnxruntime": true, "fused": false} {
		b.Run(name, func(b *testing.B) {
			s := openStem(b, m, plain)
			b.ReportAllocs()
			for b.Loop() {
				if err := s.Run(1); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
