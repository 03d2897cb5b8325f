package onnx

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/sightline/sightline/models/graph"
)

// quantised is a convolution in int8 with a function behind it, in QDQ form; the names of its inner tensors tell what they are.
func quantisedNetwork(function string) *graph.Model {
	random := rand.New(rand.NewPCG(3, 4))
	m := &graph.Model{IRVersion: 7, Opsets: map[string]int64{"": 13}, Graph: &graph.Graph{
		Inputs:       []graph.Value{{Name: "x", Type: graph.Float, Shape: []int64{1, 16, 12, 12}}},
		Outputs:      []graph.Value{{Name: "y", Type: graph.Float}},
		Initializers: map[string]*graph.Tensor{}, Values: map[string]graph.Value{},
	}}
	g := m.Graph
	node := func(op, to string, from ...string) {
		g.Nodes = append(g.Nodes, &graph.Node{Op: op, Inputs: from, Outputs: []string{to}, Attrs: map[string]graph.Attr{}})
	}
	through := func(name string, scale float32, zero uint8) string {
		g.Initializers[name+"_scale"] = graph.NewFloat([]int64{}, []float32{scale})
		g.Initializers[name+"_zero"] = graph.NewUint8([]int64{}, []uint8{zero})
		node("QuantizeLinear", name+"_q", name, name+"_scale", name+"_zero")
		node("DequantizeLinear", name+"_dq", name+"_q", name+"_scale", name+"_zero")
		return name + "_dq"
	}
	weights, scales, zeros := make([]int8, 16*16), make([]float32, 16), make([]int8, 16)
	for i := range weights {
		weights[i] = int8(random.IntN(255) - 127)
	}
	for i := range scales {
		scales[i] = 0.01 + 0.01*random.Float32()
	}
	g.Initializers["w_q"], g.Initializers["w_scale"] = graph.NewInt8([]int64{16, 16, 1, 1}, weights), graph.NewFloat([]int64{16}, scales)
	g.Initializers["w_zero"] = graph.NewInt8([]int64{16}, zeros)
	node("DequantizeLinear", "w", "w_q", "w_scale", "w_zero")
	g.Nodes[0].Attrs["axis"] = graph.IntAttr(0)
	node("Conv", "a", through("x", 1.0/128, 128), "w")
	in := through("a", 0.08, 130)
	switch function {
	case "SiLU":
		node("Sigmoid", "s", in)
		node("Mul", "b", in, through("s", 1.0/256, 0))
	case "LeakyRelu":
		node("LeakyRelu", "b", in)
		g.Nodes[len(g.Nodes)-1].Attrs["alpha"] = graph.Attr{Kind: graph.AttrFloat, Float: 0.1}
	default:
		node(function, "b", in)
	}
	out := through("b", 0.05, 10)
	node("Identity", "y", out)
	return m
}

// run gives the output of a network of quantisedNetwork, and the operators that onnxruntime ran.
func runQuantised(t testing.TB, m *graph.Model, level Optimisation, plain bool) []float32 {
	t.Helper()
	data, err := m.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	s := openGraph(t, GraphOptions{Model: data, Inputs: []string{"x"}, Outputs: []string{"y"}, Level: level, Plain: plain})
	in := Array{Shape: []int64{1, 16, 12, 12}, Data: make([]float32, 16*12*12)}
	random := rand.New(rand.NewPCG(5, 6))
	for i := range in.Data {
		in.Data[i] = 2*random.Float32() - 1
	}
	out, err := s.Run(in)
	if err != nil {
		t.Fatal(err)
	}
	return out[0].Data
}

// TestFusedFunctionsGiveTheSame: within a level of what the library gives, and not further from the truth.
func TestFusedFunctionsGiveTheSame(t *testing.T) {
	for _, function := range []string{"SiLU", "Sigmoid", "LeakyRelu"} {
		t.Run(function, func(t *testing.T) {
			m := quantisedNetwork(function)
			count := fusedOperators(t, m)
			if count["Lookup"] != 1 || count["QLinearMul"]+count["QLinearSigmoid"]+count["QLinearLeakyRelu"] > 0 || count["QLinearConv"] != 1 {
				t.Errorf("the network has %v", count)
			}
			got, plain := runQuantised(t, m, OptimiseAll, false), runQuantised(t, m, OptimiseAll, true)
			for i := range got {
				if math.Abs(float64(got[i]-plain[i])) > 1.01*0.05 {
					t.Fatalf("%g instead of %g at %d", got[i], plain[i], i)
				}
			}
		})
	}
}

// byChannel gives the input of a SiLU in quantisedNetwork levels for each channel, and its output factors.
func byChannel(m *graph.Model, factors bool) *graph.Model {
	g := m.Graph
	scales, zeros, v := make([]float32, 16), make([]uint8, 16), make([]float32, 16)
	for c := range scales {
		scales[c], zeros[c], v[c] = 0.02+0.01*float32(c), uint8(100+3*c), 0.5+0.1*float32(c)
	}
	g.Initializers["scales"], g.Initializers["zeros"] = graph.NewFloat([]int64{16}, scales), graph.NewUint8([]int64{16}, zeros)
	g.Initializers["factors"] = graph.NewFloat([]int64{1, 16, 1, 1}, v)
	for _, n := range g.Nodes {
		switch {
		case n.Output() == "a_dq":
			n.Inputs, n.Attrs = []string{"a_q", "scales", "zeros"}, map[string]graph.Attr{"axis": graph.IntAttr(1)}
		case n.Output() == "b":
			n.Inputs[1] = "s" // no levels inside
		case factors && n.Output() == "b_q":
			n.Inputs[0] = "even"
		}
	}
	if factors {
		g.InsertAfter(g.Producer("b"), &graph.Node{Op: "Mul", Inputs: []string{"b", "factors"}, Outputs: []string{"even"}})
	}
	g.RemoveDead()
	return m
}

// TestFusedSiLUByChannelGivesTheSame: with and without factors, and with transpositions that cancel.
func TestFusedSiLUByChannelGivesTheSame(t *testing.T) {
	for _, factors := range []bool{false, true} {
		m := byChannel(quantisedNetwork("SiLU"), factors)
		count := fusedOperators(t, m)
		if count["LookupChannels"] != 1 || count["QLinearConv"] != 1 || count["QuickGelu"]+count["Sigmoid"] > 0 || count["Transpose"] > 2 {
			t.Errorf("factors %v: the network has %v", factors, count)
		}
		got, plain := runQuantised(t, m, OptimiseAll, false), runQuantised(t, m, OptimiseNothing, true)
		far := 0
		for i := range got {
			if d := math.Abs(float64(got[i] - plain[i])); d > 1.01*0.05 {
				t.Fatalf("factors %v: %g instead of %g at %d", factors, got[i], plain[i], i)
			} else if d > 1e-6 {
				far++
			}
		}
		if far > len(got)/50 { // where a float sum lies between two levels
			t.Errorf("factors %v: %d of %d are a level off", factors, far, len(got))
		}
	}
}

func fusedOperators(t testing.TB, m *graph.Model) map[string]int {
	t.Helper()
	data, err := m.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	fused, _, err := fuse(recipe{model: data, unit: 1.0 / 255})
	if err != nil || fused == nil {
		t.Fatalf("nothing was fused, %v", err)
	}
	n, err := graph.Parse(fused)
	if err != nil {
		t.Fatal(err)
	}
	count := map[string]int{}
	for _, node := range n.Graph.Nodes {
		count[node.Op]++
	}
	return count
}

// TestWhatCannotBeFusedStays: zero points of another type, scales that are no constants, products of two tensors.
func TestWhatCannotBeFusedStays(t *testing.T) {
	float := quantisedNetwork("SiLU")
	float.Graph.Nodes = float.Graph.Nodes[len(float.Graph.Nodes)-1:]
	float.Graph.Nodes[0].Inputs[0] = "x"
	float.Graph.RemoveDead()
	other := quantisedNetwork("SiLU")
	for _, n := range other.Graph.Nodes {
		if n.Op == "Sigmoid" { // of something else than it is multiplied with
			n.Inputs[0] = "x_dq"
		}
	}
	for name, c := range map[string]struct {
		m    *graph.Model
		want int
	}{"float": {float, 0}, "sigmoid of another tensor": {other, 1}} {
		data, err := c.m.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		fused, _, err := fuse(recipe{model: data})
		if err != nil || (fused != nil) != (c.want > 0) {
			t.Errorf("%s: %d bytes, %v", name, len(fused), err)
		}
		if fused == nil {
			continue
		}
		n, err := graph.Parse(fused)
		if err != nil {
			t.Fatal(err)
		}
		lookups, products := 0, 0
		for _, node := range n.Graph.Nodes {
			switch node.Op {
			case "Lookup":
				lookups++
			case "QLinearMul":
				products++
			}
		}
		if lookups != c.want || products != 1 {
			t.Errorf("%s: %d look-ups and %d products", name, lookups, products)
		}
	}
}

// TestTable: ends of the range saturate, and the middle is the function's.
func TestTable(t *testing.T) {
	got := table(levels{0.1, 128}, levels{0.05, 6}, silu)
	for i, want := range map[int]uint8{128: 6, 255: 255, 0: 6, 138: 21, 115: 0} {
		if got[i] != want {
			t.Errorf("%d becomes %d, want %d", i, got[i], want)
		}
	}
}
