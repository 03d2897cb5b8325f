package evaluate

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sightline/sightline/models"
	"github.com/sightline/sightline/models/graph"
)

// network starts a model on a picture [1, 3, 8, 8] that ends in y.
func network(opset int64, nodes ...*graph.Node) *graph.Model {
	return &graph.Model{IRVersion: 8, Opsets: map[string]int64{"": opset}, Graph: &graph.Graph{
		Name: "made", Initializers: map[string]*graph.Tensor{}, Values: map[string]graph.Value{}, Nodes: nodes,
		Inputs:  []graph.Value{{Name: "x", Type: graph.Float, Shape: []int64{1, 3, 8, 8}}},
		Outputs: []graph.Value{{Name: "y", Type: graph.Float}},
	}}
}

func node(op, output string, inputs ...string) *graph.Node {
	return &graph.Node{Op: op, Inputs: inputs, Outputs: []string{output}, Attrs: map[string]graph.Attr{}}
}

func with(n *graph.Node, name string, v ...int64) *graph.Node {
	n.Attrs[name] = graph.IntsAttr(v...)
	if len(v) == 1 {
		n.Attrs[name] = graph.IntAttr(v[0])
	}
	return n
}

// halfZero gives numbers of which every second is zero.
func halfZero(shape ...int64) *graph.Tensor {
	n := int64(1)
	for _, d := range shape {
		n *= d
	}
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(i%2) / 8
	}
	return graph.NewFloat(shape, v)
}

var picture8 = []int64{1, 3, 8, 8}

func layersOf(t *testing.T, m *graph.Model) []Layer {
	t.Helper()
	layers, err := Layers(m, picture8)
	if err != nil {
		t.Fatal(err)
	}
	return layers
}

func TestLayersAreCounted(t *testing.T) {
	m := network(17,
		with(with(node("Conv", "a", "x", "w0", "b0"), "strides", 2, 2), "pads", 1, 1, 1, 1), // [1, 6, 4, 4]
		with(with(node("Conv", "b", "a", "w1"), "group", 6), "pads", 1, 1, 1, 1),            // depthwise
		with(node("ConvTranspose", "c", "b", "w2"), "strides", 2, 2),                        // [1, 2, 8, 8]
		node("Relu", "d", "c"),        // no layer
		node("MatMul", "e", "d", "d"), // of two activations
		&graph.Node{Name: "last", Op: "MatMul", Inputs: []string{"e", "w3"}, Outputs: []string{"f"}}, // [1, 2, 8, 5]
		&graph.Node{Name: "foreign", Op: "Identity", Inputs: []string{"f"}, Outputs: []string{"y"}})
	m.Graph.Initializers["w0"], m.Graph.Initializers["b0"] = halfZero(6, 3, 3, 3), halfZero(6)
	m.Graph.Initializers["w1"], m.Graph.Initializers["w2"] = halfZero(6, 1, 3, 3), halfZero(6, 2, 2, 2)
	m.Graph.Initializers["w3"] = halfZero(8, 5)
	got := layersOf(t, m)
	want := []Layer{
		{Name: "a", Op: "Conv", Kernel: []int64{6, 3, 3, 3}, MACs: 6 * 4 * 4 * 27, Weights: 162, Zeros: 81},
		{Name: "b", Op: "Conv", Kernel: []int64{6, 1, 3, 3}, MACs: 6 * 4 * 4 * 9, Weights: 54, Zeros: 27},
		{Name: "c", Op: "ConvTranspose", Kernel: []int64{6, 2, 2, 2}, MACs: 6 * 4 * 4 * 2 * 4, Weights: 48, Zeros: 24},
		{Name: "e", Op: "MatMul", MACs: 2 * 8 * 8 * 8},
		{Name: "last", Op: "MatMul", Kernel: []int64{8, 5}, MACs: 2 * 8 * 5 * 8, Weights: 40, Zeros: 20},
	}
	if len(got) != len(want) {
		t.Fatalf("%d layers, want %d", len(got), len(want))
	}
	for i, g := range got {
		g.node, g.kernel, g.offset = nil, nil, nil
		if w := want[i]; g.Name != w.Name || g.Op != w.Op || !slices.Equal(g.Kernel, w.Kernel) || g.MACs != w.MACs || g.Weights != w.Weights || g.Zeros != w.Zeros || g.Int8 {
			t.Errorf("layer %d: %+v, want %+v", i, g, w)
		}
	}
	if n := parameters(m.Graph); n != 162+6+54+48+40 {
		t.Errorf("%d parameters", n)
	}
}

// int8Model is a convolution between int8 tensors; without a Q behind it onnxruntime leaves it in float.
func int8Model(requantised bool) *graph.Model {
	last := "y"
	if requantised {
		last = "c"
	}
	m := network(17,
		node("QuantizeLinear", "xq", "x", "s", "z"), node("DequantizeLinear", "xd", "xq", "s", "z"),
		with(node("DequantizeLinear", "wd", "w", "ws", "wz"), "axis", 0),
		with(node("DequantizeLinear", "bd", "b", "bs"), "axis", 0),
		node("Conv", last, "xd", "wd", "bd"))
	if requantised {
		m.Graph.Nodes = append(m.Graph.Nodes, node("QuantizeLinear", "yq", "c", "s", "z"), node("DequantizeLinear", "y", "yq", "s", "z"))
	}
	i := m.Graph.Initializers
	i["s"], i["z"] = graph.NewFloat(nil, []float32{0.1}), graph.NewUint8(nil, []uint8{3})
	w := make([]int8, 4*3*3*3)
	for k := 0; k < len(w); k += 4 {
		w[k] = int8(k)
	}
	i["w"], i["ws"], i["wz"] = graph.NewInt8([]int64{4, 3, 3, 3}, w), graph.NewFloat([]int64{4}, []float32{.1, .2, .3, .4}), graph.NewInt8([]int64{4}, make([]int8, 4))
	// onnxruntime fuses only a bias in steps of input times kernel.
	i["b"], i["bs"] = graph.NewInt32([]int64{4}, []int32{1, 2, 3, 4}), graph.NewFloat([]int64{4}, []float32{.01, .02, .03, .04})
	return m
}

func TestInt8IsWhatRunsInInt8(t *testing.T) {
	for _, requantised := range []bool{true, false} {
		m := int8Model(requantised)
		l := layersOf(t, m)
		if len(l) != 1 || l[0].Int8 != requantised || l[0].MACs != 4*6*6*27 || l[0].Weights != 108 || l[0].Zeros != 108-26 {
			t.Errorf("requantised %v: %+v", requantised, l)
		}
		if n := parameters(m.Graph); n != 108+4 {
			t.Errorf("%d parameters", n)
		}
	}
}

// TestDynamicInt8IsCounted: its kernels are uint8 about a zero point.
func TestDynamicInt8IsCounted(t *testing.T) {
	m := network(17,
		&graph.Node{Op: "DynamicQuantizeLinear", Inputs: []string{"x"}, Outputs: []string{"q", "s", "z"}},
		node("ConvInteger", "i", "q", "w", "z", "wz"), with(node("Cast", "f", "i"), "to", int64(graph.Float)), node("Mul", "y", "f", "s"))
	w := make([]uint8, 2*3)
	for i := range w {
		w[i] = uint8(126 + i) // one of them 128
	}
	m.Graph.Initializers["w"], m.Graph.Initializers["wz"] = graph.NewUint8([]int64{2, 3, 1, 1}, w), graph.NewUint8(nil, []uint8{128})
	l := layersOf(t, m)
	if len(l) != 1 || !l[0].Int8 || l[0].MACs != 2*8*8*3 || l[0].Zeros != 1 {
		t.Errorf("%+v", l)
	}
}

func TestZeroPointsByChannel(t *testing.T) {
	w := graph.NewUint8([]int64{2, 3}, []uint8{5, 0, 5, 9, 9, 5})
	if n := zeros(w, graph.NewUint8([]int64{2}, []uint8{5, 9})); n != 4 {
		t.Errorf("%d zeros, want 4", n)
	}
	if n := zeros(w, nil); n != 1 {
		t.Errorf("%d zeros without zero points, want 1", n)
	}
}

func TestNetworkWithoutLayers(t *testing.T) {
	if l := layersOf(t, network(17, node("Relu", "y", "x"))); len(l) != 0 {
		t.Errorf("%+v", l)
	}
}

func TestNetworkThatCannotRunIsAnError(t *testing.T) {
	m := network(17, node("Conv", "y", "x", "w"))
	m.Graph.Initializers["w"] = halfZero(4, 5, 1, 1) // for pictures of five channels
	if _, err := Layers(m, picture8); err == nil || !strings.Contains(err.Error(), "count multiply-adds") {
		t.Errorf("%v", err)
	}
}

// TestRealNetworksAreWeighed: the shipped model against its original, and the figures that their authors give.
func TestRealNetworksAreWeighed(t *testing.T) {
	weigh := func(path string) Size {
		spec, err := models.Load(path)
		if err != nil {
			t.Fatal(err)
		}
		s, err := Weigh(spec)
		if err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(path); err != nil || info.Size() != s.Bytes || s.Gzip <= 0 || s.Gzip >= s.Bytes {
			t.Errorf("%s: %d bytes, gzip %d, %v", path, s.Bytes, s.Gzip, err)
		}
		return s
	}
	shipped := weigh(filepath.Join("..", "..", "models", "yolox-nano-int8.onnx"))
	if shipped.Int8 < 0.9 || shipped.Int8 > 1 || shipped.Sparsity > 0.05 {
		t.Errorf("shipped: int8 %v, sparsity %v", shipped.Int8, shipped.Sparsity)
	}
	original := weigh(shared(t, "models", "yolox_nano.onnx"))
	if original.Int8 != 0 || original.MACs != shipped.MACs || original.Parameters != shipped.Parameters || original.Parameters < 900_000 || original.Parameters > 920_000 {
		t.Errorf("original %d MACs, %d parameters, int8 %v; shipped %d and %d", original.MACs, original.Parameters, original.Int8, shipped.MACs, shipped.Parameters)
	}
	half, single := weigh(shared(t, "models", "yolov5n.onnx")), weigh(shared(t, "models", "yolov5n_fp32.onnx"))
	if half.MACs != single.MACs || half.Parameters != single.Parameters || single.MACs/1e6 != 2234 || len(single.Layers) != 60 {
		t.Errorf("float16 %d MACs, %d parameters; float32 %d and %d in %d layers", half.MACs, half.Parameters, single.MACs, single.Parameters, len(single.Layers))
	}
}
