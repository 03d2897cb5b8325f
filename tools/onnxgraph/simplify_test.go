package onnxgraph

import (
	"bytes"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/sightline/sightline/models/graph"
)

// builder makes small networks, node after node.
type builder struct {
	m *graph.Model
	g *graph.Graph
}

// newBuilder starts a network of opset 13 with one input "x"; a size of -1 is any.
func newBuilder(shape ...int64) builder {
	g := &graph.Graph{Initializers: map[string]*graph.Tensor{}, Values: map[string]graph.Value{}}
	g.Inputs = []graph.Value{{Name: "x", Type: graph.Float, Shape: shape}}
	return builder{&graph.Model{IRVersion: 7, Opsets: map[string]int64{"": 13}, Graph: g}, g}
}

// op adds a node; what it makes is named by to.
func (b builder) op(kind, to string, attrs map[string]graph.Attr, from ...string) string {
	if attrs == nil {
		attrs = map[string]graph.Attr{}
	}
	b.g.Nodes = append(b.g.Nodes, &graph.Node{Op: kind, Inputs: from, Outputs: []string{to}, Attrs: attrs})
	return to
}

func (b builder) floats(name string, shape []int64, v ...float32) string {
	b.g.Initializers[name] = graph.NewFloat(shape, v)
	return name
}

func (b builder) ints(name string, v ...int64) string {
	b.g.Initializers[name] = graph.NewInt64([]int64{int64(len(v))}, v)
	return name
}

func (b builder) conv(from, to string, in, out, kernel int64) string {
	b.floats(to+"_w", []int64{out, in, kernel, kernel}, ramp(int(out*in*kernel*kernel))...)
	b.floats(to+"_b", []int64{out}, ramp(int(out))...)
	pad := kernel / 2
	return b.op("Conv", to, map[string]graph.Attr{"pads": graph.IntsAttr(pad, pad, pad, pad)}, from, to+"_w", to+"_b")
}

func (b builder) gives(names ...string) *graph.Model {
	for _, name := range names {
		b.g.Outputs = append(b.g.Outputs, graph.Value{Name: name, Type: graph.Float})
	}
	return b.m
}

// simplified simplifies a copy and holds what it gives against the original.
func simplified(t *testing.T, m *graph.Model, input []int64) (*graph.Model, Simplified) {
	t.Helper()
	after := m.Clone()
	s, err := Simplify(after, RunOptions{})
	if err != nil {
		t.Fatal(err)
	}
	picture := noise(input, 1)
	want, got := run(t, m, picture), run(t, after, picture)
	for name, w := range want {
		if !slices.Equal(w.Shape, got[name].Shape) {
			t.Errorf("%s has shape %v, want %v", name, got[name].Shape, w.Shape)
		}
		if err := sameNumbers(w.Data, got[name].Data); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	return after, s
}

func ops(m *graph.Model) string {
	count := map[string]int{}
	for _, n := range m.Graph.Nodes {
		count[n.Op]++
	}
	return strings.Join(slices.Sorted(maps.Keys(count)), " ")
}

// TestConstantsAreComputed: whole numbers keep all their digits, also those that float cannot hold.
func TestConstantsAreComputed(t *testing.T) {
	b := newBuilder(1, 3, 8, 8)
	b.op("Constant", "most", map[string]graph.Attr{"value": {Kind: graph.AttrTensor, Tensor: graph.NewInt64([]int64{1}, []int64{math.MaxInt64 - 1})}})
	b.op("Constant", "one", map[string]graph.Attr{"value_ints": graph.IntsAttr(1)})
	b.op("Add", "end", nil, "most", "one")
	b.op("Slice", "rows", nil, "x", b.ints("start", 2), "end", b.ints("axis", 2), b.ints("step", 1))
	b.op("Concat", "shape", map[string]graph.Attr{"axis": graph.IntAttr(0)}, b.ints("batch", 1), b.ints("rest", -1))
	b.op("Cast", "half", map[string]graph.Attr{"to": graph.IntAttr(int64(graph.Float))}, b.ints("two", 2))
	b.op("Mul", "doubled", nil, "rows", "half")
	b.op("Reshape", "y", nil, "doubled", "shape")
	m, s := simplified(t, b.gives("y"), []int64{1, 3, 8, 8})
	if ops(m) != "Mul Reshape Slice" || s.Folded != 5 {
		t.Errorf("left %s, %d nodes folded", ops(m), s.Folded)
	}
	if end, _ := m.Graph.Initializers["end"].Int64s(); !slices.Equal(end, []int64{math.MaxInt64}) {
		t.Errorf("end is %v", end)
	}
}

func TestWhatIsRandomOrMarksInt8IsNotComputed(t *testing.T) {
	b := newBuilder(1, 3, 8, 8)
	b.op("RandomNormal", "noise", map[string]graph.Attr{"shape": graph.IntsAttr(1)})
	b.g.Initializers["q"] = graph.NewInt8([]int64{1}, []int8{5})
	b.op("DequantizeLinear", "five", nil, "q", b.floats("scale", nil, 0.5))
	b.op("Add", "sum", nil, "noise", "five")
	b.op("Mul", "y", nil, "x", "sum")
	m := b.gives("y")
	if _, err := Simplify(m, RunOptions{}); err != nil || ops(m) != "Add DequantizeLinear Mul RandomNormal" {
		t.Errorf("left %s, %v", ops(m), err)
	}
}

func TestBatchNormGoesIntoTheConvolution(t *testing.T) {
	b := newBuilder(1, 3, 8, 8)
	norm := func(from, to string, channels int64) string {
		var names []string
		for _, p := range []string{"scale", "shift", "mean"} {
			names = append(names, b.floats(to+p, []int64{channels}, ramp(int(channels))...))
		}
		variance := ramp(int(channels))
		for i := range variance {
			variance[i] = 1 + variance[i]
		}
		names = append(names, b.floats(to+"variance", []int64{channels}, variance...))
		return b.op("BatchNormalization", to, map[string]graph.Attr{"epsilon": {Kind: graph.AttrFloat, Float: 0.01}}, append([]string{from}, names...)...)
	}
	norm(b.conv("x", "a", 3, 5, 3), "an", 5)
	b.conv("an", "c", 5, 4, 1)
	b.g.Nodes[2].Inputs = b.g.Nodes[2].Inputs[:2] // without a bias
	norm("c", "cn", 4)
	norm(b.conv("cn", "d", 4, 4, 1), "dn", 4) // d is an output too: its numbers must stay
	norm("x", "xn", 3)                        // of no convolution
	m, s := simplified(t, b.gives("dn", "d", "xn"), []int64{1, 3, 8, 8})
	if s.BatchNorms != 2 || len(m.Graph.Nodes) != 5 {
		t.Errorf("%d folded, left %d nodes", s.BatchNorms, len(m.Graph.Nodes))
	}
}

// TestIdleNodesGo: weights behind an Identity become constants of the convolution, and outputs keep their names.
func TestIdleNodesGo(t *testing.T) {
	b := newBuilder(1, 3, 8, 8)
	b.conv("cast", "a", 3, 4, 1)
	b.op("Identity", "w", nil, "a_w")
	b.g.Nodes[0].Inputs[1] = "w"
	b.g.Nodes[0], b.g.Nodes[1] = b.g.Nodes[1], b.g.Nodes[0]
	b.op("Cast", "cast", map[string]graph.Attr{"to": graph.IntAttr(int64(graph.Float))}, "x")
	b.op("Dropout", "dropped", nil, "a")
	b.op("Relu", "r", nil, "dropped")
	b.op("Identity", "y", nil, "r")
	b.op("Identity", "same", nil, "x")
	m := b.gives("y", "same")
	if err := m.Sort(); err != nil {
		t.Fatal(err)
	}
	m, s := simplified(t, m, []int64{1, 3, 8, 8})
	if s.Idle != 4 || ops(m) != "Conv Identity Relu" || m.Graph.Initializers["a_w"] == nil {
		t.Errorf("%d went, left %s", s.Idle, ops(m))
	}
}

func TestEqualConstantsBecomeOne(t *testing.T) {
	b := newBuilder(1, 3, 8, 8)
	one := []int64{1}
	b.op("Mul", "a", nil, "x", b.floats("two", one, 2))
	b.op("Mul", "b", nil, "a", b.floats("zwei", one, 2))
	b.op("Mul", "c", nil, "b", b.floats("deux", nil, 2)) // of another shape
	b.conv("c", "d", 3, 3, 1)
	b.conv("d", "y", 3, 3, 1) // the same weights, which stay apart
	m, s := simplified(t, b.gives("y"), []int64{1, 3, 8, 8})
	if s.Merged != 1 || len(m.Graph.Initializers) != 6 {
		t.Errorf("%d merged, %d constants left", s.Merged, len(m.Graph.Initializers))
	}
}

func TestShapesAreFoundByRunning(t *testing.T) {
	b := newBuilder(-1, 3, 8, 8)
	b.op("MaxPool", "p", map[string]graph.Attr{"kernel_shape": graph.IntsAttr(2, 2), "strides": graph.IntsAttr(2, 2)}, "x")
	b.op("Shape", "s", nil, "p")
	b.op("Reshape", "y", nil, "p", b.ints("flat", 0, -1))
	m := b.gives("y")
	m.Graph.Values["p"] = graph.Value{Name: "p", Type: graph.Float, Shape: []int64{7, 7, 7, 7}} // stale
	m.Graph.Values["gone"] = graph.Value{Name: "gone", Type: graph.Float}
	if err := InferShapes(m, RunOptions{}); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]graph.Value{
		"p": {Type: graph.Float, Shape: []int64{-1, 3, 4, 4}}, "s": {Type: graph.Int64, Shape: []int64{4}}, "y": {Type: graph.Float, Shape: []int64{-1, 48}},
	} {
		if got := m.Graph.Values[name]; got.Type != want.Type || !slices.Equal(got.Shape, want.Shape) {
			t.Errorf("%s is %+v, want %+v", name, got, want)
		}
	}
	if len(m.Graph.Values) != 3 {
		t.Errorf("%v", m.Graph.Values)
	}
	if out := run(t, m, noise([]int64{3, 3, 8, 8}, 1))["y"]; !slices.Equal(out.Shape, []int64{3, 48}) {
		t.Errorf("with its shapes written the model gives %v", out.Shape)
	}
}

// upsampled enlarges by two, to a size that is computed from that of another tensor, as exporters write it.
func upsampled(batch int64) *graph.Model {
	b := newBuilder(batch, 3, 8, 8)
	b.conv("x", "a", 3, 4, 1)
	b.op("MaxPool", "p", map[string]graph.Attr{"kernel_shape": graph.IntsAttr(2, 2), "strides": graph.IntsAttr(2, 2)}, "a")
	b.op("Shape", "s", nil, "a")
	b.op("Gather", "all", nil, "s", b.ints("which", 0, 1, 2, 3))
	b.op("Resize", "u", map[string]graph.Attr{"mode": {Kind: graph.AttrText, Text: "nearest"},
		"coordinate_transformation_mode": {Kind: graph.AttrText, Text: "asymmetric"}, "nearest_mode": {Kind: graph.AttrText, Text: "floor"}}, "p", "", "", "all")
	b.op("Add", "y", nil, "u", "a")
	return b.gives("y")
}

func TestSizesThatFollowFromTheInputAreSettled(t *testing.T) {
	m, _ := simplified(t, upsampled(1), []int64{1, 3, 8, 8})
	if ops(m) != "Add Conv MaxPool Resize" {
		t.Errorf("left %s", ops(m))
	}
	m.Graph.Inputs[0].Shape = []int64{1, 3, 4, 4} // a smaller input still fits
	if out := run(t, m, noise([]int64{1, 3, 4, 4}, 1))["y"]; !slices.Equal(out.Shape, []int64{1, 4, 4, 4}) {
		t.Errorf("%v", out.Shape)
	}
	m, _ = simplified(t, upsampled(-1), []int64{2, 3, 8, 8}) // any batch: nothing is the same for every input
	if !strings.Contains(ops(m), "Shape") {
		t.Errorf("left %s", ops(m))
	}
}

// TestSizesThatTheBatchDoesNotTouchAreSettled: half of the channels, as exporters compute it.
func TestSizesThatTheBatchDoesNotTouchAreSettled(t *testing.T) {
	b := newBuilder(-1, 3, 8, 8)
	b.conv("x", "a", 3, 4, 1)
	b.op("Shape", "s", nil, "a")
	b.g.Initializers["one"] = graph.NewInt64(nil, []int64{1})
	b.op("Gather", "channels", nil, "s", "one")
	b.op("Div", "half", nil, "channels", b.ints("two", 2))
	b.op("Slice", "first", nil, "a", b.ints("from", 0), "half", b.ints("axis", 1))
	b.op("Gather", "batch", nil, "s", b.ints("last", -4))
	b.op("Concat", "shape", map[string]graph.Attr{"axis": graph.IntAttr(0)}, "batch", b.ints("rest", -1))
	b.op("Reshape", "y", nil, "first", "shape")
	m, _ := simplified(t, b.gives("y"), []int64{2, 3, 8, 8})
	if ops(m) != "Concat Conv Gather Reshape Shape Slice" {
		t.Errorf("left %s", ops(m))
	}
	if half := m.Graph.Initializers["half"]; half == nil {
		t.Error("half of the channels is computed anew for every picture")
	}
}

// TestUnknownOperatorsAreBarriers: what is around them is simplified, they are named, and what a subgraph reads stays.
func TestUnknownOperatorsAreBarriers(t *testing.T) {
	inner := newBuilder()
	inner.g.Name, inner.g.Inputs = "branch", nil
	inner.op("Mul", "inside", nil, "idle", "outer")
	inner.gives("inside")
	if _, err := inner.m.Marshal(); err == nil {
		t.Fatal("a graph that reads what it does not make is no model")
	}
	inner.g.Inputs = []graph.Value{{Name: "idle"}, {Name: "outer"}}
	inside, err := inner.m.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	b := newBuilder(1, 3, 8, 8)
	b.m.Opsets["com.microsoft"] = 1
	b.op("QuickGelu", "q", map[string]graph.Attr{"alpha": {Kind: graph.AttrFloat, Float: 1}}, "x")
	b.g.Nodes[0].Domain = "com.microsoft"
	b.op("Erf", "e", nil, "q")
	b.op("Erf", "f", nil, "e")
	b.op("Identity", "idle", nil, "f")
	b.floats("outer", []int64{1}, 3)
	branch := graph.Attr{Kind: graph.AttrGraph, Graph: graphOf(t, inside)}
	b.g.Initializers["yes"] = &graph.Tensor{Type: graph.Bool, Shape: []int64{1}, Data: []byte{1}}
	b.op("If", "y", map[string]graph.Attr{"then_branch": branch, "else_branch": branch}, "yes")
	_, s := simplified(t, b.gives("y"), []int64{1, 3, 8, 8})
	if want := []string{"Erf (2)", "If", "com.microsoft.QuickGelu"}; !slices.Equal(s.Barriers, want) {
		t.Errorf("barriers %v, want %v", s.Barriers, want)
	}
}

// graphOf takes the graph out of a model, without its inputs.
func graphOf(t *testing.T, model []byte) []byte {
	t.Helper()
	const field, inputs = 7, 11
	graph, ok := part(model, field)
	if !ok {
		t.Fatal("the model has no graph")
	}
	return without(graph, inputs)
}

func TestSimplifyGivesTheSameBytes(t *testing.T) {
	var first []byte
	for range 3 {
		m := upsampled(1)
		if _, err := Simplify(m, RunOptions{}); err != nil {
			t.Fatal(err)
		}
		data, err := m.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = data
		}
		if !bytes.Equal(first, data) {
			t.Error("two runs gave two models")
		}
	}
}
