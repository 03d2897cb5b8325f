package channels_test

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/sightline/sightline/detect/onnx"
	"github.com/sightline/sightline/models/graph"
	"github.com/sightline/sightline/tools/onnxgraph"
	"github.com/sightline/sightline/tools/prune/channels"
)

// net builds small networks from x, [1, 3, 12, 12], to y.
type net struct {
	m      *graph.Model
	random *rand.Rand
}

func newNet() *net {
	return &net{random: rand.New(rand.NewPCG(5, 6)), m: &graph.Model{IRVersion: 7, Opsets: map[string]int64{"": 13}, Graph: &graph.Graph{
		Inputs: []graph.Value{{Name: "x", Type: graph.Float, Shape: []int64{1, 3, 12, 12}}}, Outputs: []graph.Value{{Name: "y", Type: graph.Float}},
		Initializers: map[string]*graph.Tensor{}, Values: map[string]graph.Value{"a": {Name: "a", Type: graph.Float, Shape: []int64{1, 8, 12, 12}}},
	}}}
}

func (n *net) floats(name string, shape ...int64) string {
	size := int64(1)
	for _, d := range shape {
		size *= d
	}
	v := make([]float32, size)
	for i := range v {
		v[i] = float32(n.random.Float64() + 0.1)
		if len(shape) == 4 && i%2 == 0 {
			v[i] = -v[i]
		}
	}
	n.m.Graph.Initializers[name] = graph.NewFloat(shape, v)
	return name
}

func (n *net) ints(name string, v ...int64) string {
	n.m.Graph.Initializers[name] = graph.NewInt64([]int64{int64(len(v))}, v)
	return name
}

func (n *net) node(op string, inputs []string, outputs []string, attrs map[string]graph.Attr) *net {
	n.m.Graph.Nodes = append(n.m.Graph.Nodes, &graph.Node{Op: op, Inputs: inputs, Outputs: outputs, Attrs: attrs})
	return n
}

// conv has kernels of 3x3 and keeps the size.
func (n *net) conv(from, to string, out, in, group int64) *net {
	return n.node("Conv", []string{from, n.floats(to+"_w", out, in/group, 3, 3), n.floats(to+"_b", out)}, []string{to},
		map[string]graph.Attr{"pads": graph.IntsAttr(1, 1, 1, 1), "group": graph.IntAttr(group)})
}

func (n *net) op(op, from, to string) *net { return n.node(op, []string{from}, []string{to}, nil) }

func axis(a int64) map[string]graph.Attr { return map[string]graph.Attr{"axis": graph.IntAttr(a)} }

// rules are small networks around one rule each, with the widths of the groups that must be found.
var rules = map[string]struct {
	build  func(*net)
	widths []int
}{
	"nothing between": {func(n *net) { n.conv("x", "a", 8, 3, 1).conv("a", "y", 4, 8, 1) }, []int{8}},
	"silu": {func(n *net) {
		n.conv("x", "a", 8, 3, 1).op("Sigmoid", "a", "s").node("Mul", []string{"a", "s"}, []string{"b"}, nil).conv("b", "y", 4, 8, 1)
	}, []int{8}},
	"chain of activations": {func(n *net) {
		n.conv("x", "a", 8, 3, 1).op("Relu", "a", "b").op("LeakyRelu", "b", "c").op("HardSwish", "c", "d").op("Tanh", "d", "e")
		n.m.Opsets[""] = 14
		n.node("Clip", []string{"e", "", ""}, []string{"f"}, nil).conv("f", "y", 4, 8, 1)
	}, []int{8}},
	"residual chain": {func(n *net) {
		n.conv("x", "a", 8, 3, 1).conv("a", "b", 8, 8, 1).node("Add", []string{"a", "b"}, []string{"c"}, nil)
		n.conv("c", "d", 8, 8, 1).node("Add", []string{"c", "d"}, []string{"e"}, nil).conv("e", "y", 4, 8, 1)
	}, []int{8}},
	"sub and mul of two": {func(n *net) {
		n.conv("x", "a", 8, 3, 1).conv("x", "b", 8, 3, 1).node("Sub", []string{"a", "b"}, []string{"c"}, nil)
		n.node("Mul", []string{"c", "a"}, []string{"d"}, nil).conv("d", "y", 4, 8, 1)
	}, []int{8}},
	"constants of a channel each": {func(n *net) {
		n.conv("x", "a", 8, 3, 1).node("Mul", []string{"a", n.floats("k", 1, 8, 1, 1)}, []string{"b"}, nil)
		n.node("Add", []string{n.floats("l", 8, 1, 1), "b"}, []string{"c"}, nil).node("Div", []string{"c", n.floats("s", 1)}, []string{"d"}, nil)
		n.node("PRelu", []string{"d", n.floats("p", 8, 1, 1)}, []string{"e"}, nil).conv("e", "y", 4, 8, 1)
	}, []int{8}},
	"batch normalisation": {func(n *net) {
		n.conv("x", "a", 8, 3, 1)
		n.node("BatchNormalization", []string{"a", n.floats("s", 8), n.floats("o", 8), n.floats("m", 8), n.floats("v", 8)}, []string{"b"}, nil).conv("b", "y", 4, 8, 1)
	}, []int{8}},
	"depthwise":              {func(n *net) { n.conv("x", "a", 8, 3, 1).conv("a", "b", 8, 8, 8).conv("b", "y", 4, 8, 1) }, []int{8}},
	"depthwise that doubles": {func(n *net) { n.conv("x", "a", 8, 3, 1).conv("a", "b", 16, 8, 8).conv("b", "y", 4, 16, 1) }, []int{8}},
	"pools and pads": {func(n *net) {
		pool := map[string]graph.Attr{"kernel_shape": graph.IntsAttr(3, 3), "pads": graph.IntsAttr(1, 1, 1, 1)}
		n.conv("x", "a", 8, 3, 1).node("MaxPool", []string{"a"}, []string{"b"}, pool).node("AveragePool", []string{"b"}, []string{"c"}, pool)
		n.node("Pad", []string{"c", n.ints("p", 0, 0, 1, 1, 0, 0, 1, 1)}, []string{"d"}, nil).op("GlobalAveragePool", "d", "e").conv("e", "y", 4, 8, 1)
	}, []int{8}},
	"resize by scales": {func(n *net) {
		n.m.Graph.Initializers["k"] = graph.NewFloat([]int64{4}, []float32{1, 1, 2, 2})
		n.conv("x", "a", 8, 3, 1).node("Resize", []string{"a", "", "k"}, []string{"b"}, nil).conv("b", "y", 4, 8, 1)
	}, []int{8}},
	"resize by sizes": {func(n *net) {
		n.conv("x", "a", 8, 3, 1).node("Resize", []string{"a", "", "", n.ints("k", 1, 8, 24, 24)}, []string{"b"}, nil).conv("b", "y", 4, 8, 1)
	}, []int{8}},
	"concat": {func(n *net) {
		n.conv("x", "a", 8, 3, 1).conv("x", "b", 6, 3, 1).node("Concat", []string{"a", "b", "x"}, []string{"c"}, axis(1)).conv("c", "y", 4, 17, 1)
	}, []int{8, 6}},
	"sppf": {func(n *net) {
		pool := map[string]graph.Attr{"kernel_shape": graph.IntsAttr(5, 5), "pads": graph.IntsAttr(2, 2, 2, 2)}
		n.conv("x", "a", 8, 3, 1).node("MaxPool", []string{"a"}, []string{"b"}, pool).node("MaxPool", []string{"b"}, []string{"c"}, pool)
		n.node("MaxPool", []string{"c"}, []string{"d"}, pool).node("Concat", []string{"a", "b", "c", "d"}, []string{"e"}, axis(-3)).conv("e", "y", 4, 32, 1)
	}, []int{8}},
	"split with a bottleneck": {func(n *net) {
		n.conv("x", "a", 16, 3, 1).node("Split", []string{"a", n.ints("k", 10, 6)}, []string{"b", "c"}, axis(1)).conv("c", "d", 6, 6, 1)
		n.node("Add", []string{"c", "d"}, []string{"e"}, nil).node("Concat", []string{"b", "c", "e"}, []string{"f"}, axis(1)).conv("f", "y", 4, 22, 1)
	}, []int{10, 6}},
	"split in equal parts": {func(n *net) {
		n.conv("x", "a", 16, 3, 1).node("Split", []string{"a"}, []string{"b", "c"}, axis(1)).conv("b", "d", 5, 8, 1).conv("c", "e", 5, 8, 1)
		n.node("Add", []string{"d", "e"}, []string{"f"}, nil).conv("f", "y", 4, 5, 1)
	}, []int{8, 8, 5}},
	"slice": {func(n *net) {
		n.conv("x", "a", 16, 3, 1).node("Slice", []string{"a", n.ints("s", 2, 4), n.ints("t", -1, 14), n.ints("k", 2, 1)}, []string{"b"}, nil)
		n.node("Slice", []string{"a", n.ints("q", -6), n.ints("r", math.MaxInt64), n.ints("l", 1)}, []string{"c"}, nil)
		n.conv("b", "d", 5, 10, 1).conv("c", "e", 5, 6, 1).op("GlobalAveragePool", "e", "f")
		n.op("GlobalAveragePool", "d", "g").node("Add", []string{"f", "g"}, []string{"h"}, nil).conv("h", "y", 4, 5, 1)
	}, []int{6, 4, 2, 5}},
	"shared kernel": {func(n *net) {
		n.conv("x", "a", 8, 3, 1).conv("x", "b", 8, 3, 1).conv("a", "c", 4, 8, 1)
		n.node("Conv", []string{"b", "c_w", "c_b"}, []string{"d"}, map[string]graph.Attr{"pads": graph.IntsAttr(1, 1, 1, 1)})
		n.node("Concat", []string{"c", "d"}, []string{"y"}, axis(1))
	}, []int{8, 8}},
	"grouped": {func(n *net) {
		n.conv("x", "a", 8, 3, 1).conv("a", "b", 8, 8, 2).conv("b", "c", 6, 8, 1).conv("c", "y", 4, 6, 1)
	}, []int{6}},
	"unknown operator": {func(n *net) {
		n.conv("x", "a", 8, 3, 1).conv("a", "b", 8, 8, 1).node("Softmax", []string{"b"}, []string{"c"}, axis(1)).conv("c", "d", 6, 8, 1).conv("d", "y", 4, 6, 1)
	}, []int{8, 6}},
}

func run(t testing.TB, m *graph.Model, input onnx.Array) map[string]onnx.Array {
	t.Helper()
	s, err := onnxgraph.Open(m, nil, onnxgraph.RunOptions{Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	out, err := s.Run(input)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func picture(shape []int64, top float64) onnx.Array {
	random := rand.New(rand.NewPCG(9, 9))
	a := onnx.Array{Shape: shape, Data: make([]float32, shape[1]*shape[2]*shape[3])}
	for i := range a.Data {
		a.Data[i] = float32(random.Float64() * top)
	}
	return a
}

// third takes every third class of every group.
func third(x *channels.Map) map[int]bool {
	gone := map[int]bool{}
	for _, g := range x.Groups() {
		for i, class := range g.Classes {
			if i%3 == 1 {
				gone[class] = true
			}
		}
	}
	return gone
}

// sameAsMasked holds the cut network against the whole one with masked columns.
func sameAsMasked(t *testing.T, m *graph.Model, input onnx.Array) *graph.Model {
	t.Helper()
	x := channels.Find(m)
	gone := third(x)
	cut, err := x.Cut(m, gone)
	if err != nil {
		t.Fatal(err)
	}
	masked, err := x.Mask(m, gone)
	if err != nil {
		t.Fatal(err)
	}
	want, got := run(t, masked, input), run(t, cut, input)
	for name, w := range want {
		if !slices.Equal(w.Shape, got[name].Shape) {
			t.Fatalf("%s has shape %v, want %v", name, got[name].Shape, w.Shape)
		}
		for i, v := range w.Data {
			if d := math.Abs(float64(v - got[name].Data[i])); !(d <= 1e-4*(1+math.Abs(float64(v)))) {
				t.Fatalf("%s is %g at %d, want %g", name, got[name].Data[i], i, v)
			}
		}
	}
	return cut
}

func TestEveryRuleCutsExactly(t *testing.T) {
	for name, rule := range rules {
		t.Run(name, func(t *testing.T) {
			n := newNet()
			rule.build(n)
			var widths []int
			for _, g := range channels.Find(n.m).Groups() {
				widths = append(widths, len(g.Classes))
			}
			if !slices.Equal(widths, rule.widths) {
				t.Fatalf("groups of %v channels, want %v", widths, rule.widths)
			}
			before, err := n.m.Marshal()
			if err != nil {
				t.Fatal(err)
			}
			cut := sameAsMasked(t, n.m, picture([]int64{1, 3, 12, 12}, 1))
			if len(cut.Graph.Values) > 0 {
				t.Error("shapes that were inferred for the whole network are still there")
			}
			if after, _ := n.m.Marshal(); !bytes.Equal(before, after) {
				t.Error("the whole network was changed")
			}
		})
	}
}

func TestBarriersAreNamed(t *testing.T) {
	n := newNet()
	rules["unknown operator"].build(n)
	n.m.Graph.Nodes[2].Op, n.m.Graph.Nodes[2].Domain = "Magic", "elsewhere"
	want := []channels.Barrier{{Op: "input", Tensor: "x", Channels: 3}, {Op: "Magic", Tensor: "b", Channels: 8}, {Op: "output", Tensor: "y", Channels: 4}}
	if got := channels.Find(n.m).Barriers(); !slices.Equal(got, want) {
		t.Errorf("barriers %v, want %v", got, want)
	}
}

func TestNothingGoneIsTheSameNetwork(t *testing.T) {
	n := newNet()
	rules["sppf"].build(n)
	want, err := n.m.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	cut, err := channels.Find(n.m).Cut(n.m, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := cut.Marshal(); !bytes.Equal(got, want) {
		t.Error("the network changed")
	}
}

func TestWhatHasToStayIsRefused(t *testing.T) {
	n := newNet()
	rules["nothing between"].build(n)
	x := channels.Find(n.m)
	if _, err := x.Cut(n.m, map[int]bool{x.Of("y")[0]: true}); err == nil {
		t.Error("an output lost a channel")
	}
	if _, err := x.Cut(n.m, setOf(x.Of("a"))); err == nil {
		t.Error("a convolution lost all its channels")
	}
}

func setOf(classes []int) map[int]bool {
	all := map[int]bool{}
	for _, c := range classes {
		all[c] = true
	}
	return all
}

func TestMultiplyAddsAreCounted(t *testing.T) {
	for _, name := range []string{"concat", "depthwise", "residual chain"} {
		n := newNet()
		rules[name].build(n)
		x := channels.Find(n.m)
		gone := third(x)
		cut, err := x.Cut(n.m, gone)
		if err != nil {
			t.Fatal(err)
		}
		whole, err := onnxgraph.MACs(n.m, onnxgraph.RunOptions{})
		if err != nil {
			t.Fatal(err)
		}
		want, err := onnxgraph.TotalMACs(cut, onnxgraph.RunOptions{})
		if got := x.MACs(whole, gone); err != nil || got != want {
			t.Errorf("%s: %d multiply-adds, want %d, %v", name, got, want, err)
		}
	}
}

// TestRealModelsAreCutExactly holds both real networks, a third of each group gone, against their masks.
func TestRealModelsAreCutExactly(t *testing.T) {
	for name, groups := range map[string]int{"yolox_nano.onnx": 67, "yolov5n_fp32.onnx": 50} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join("..", "..", "..", "..", "shared", "data", "models", name)
			if _, err := os.Stat(path); err != nil {
				t.Skip("shared/data is not here: " + path)
			}
			m, err := graph.Read(path)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := onnxgraph.Simplify(m, onnxgraph.RunOptions{Threads: 2}); err != nil {
				t.Fatal(err)
			}
			if n := len(channels.Find(m).Groups()); n != groups {
				t.Errorf("%d groups, want %d", n, groups)
			}
			shape, err := m.InputShape()
			if err != nil {
				t.Fatal(err)
			}
			sameAsMasked(t, m, picture(shape, map[bool]float64{true: 255, false: 1}[name == "yolox_nano.onnx"]))
		})
	}
}

func ExampleMap_Groups() {
	n := newNet()
	rules["residual chain"].build(n)
	for _, g := range channels.Find(n.m).Groups() {
		fmt.Println(g.Name, len(g.Classes), g.Producers, g.Consumers)
	}
	// Output: a 8 [a b d] [b d y]
}
