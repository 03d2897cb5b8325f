package quantize

import (
	"errors"
	"fmt"
	"maps"

	"github.com/sightline/sightline/detect/onnx"
	"github.com/sightline/sightline/models/graph"
	"github.com/sightline/sightline/tools/onnxgraph"
)

// DynamicOptions say how a network is quantised without pictures.
type DynamicOptions struct {
	Target  string // CPU, AVX2 or ARM64; "": CPU
	Library string // of onnxruntime; "": found by itself
	Threads int    // 0: one
}

// DynamicReport says what Dynamic did.
type DynamicReport struct {
	Layers      int     `json:"layers" yaml:"layers"`             // convolutions and matrix products with constant weights
	Int8Layers  int     `json:"int8_layers" yaml:"int8_layers"`   // those that compute on whole numbers
	Weights     int64   `json:"weights" yaml:"weights"`           // numbers in the kernels of all layers
	Int8Weights float64 `json:"int8_weights" yaml:"int8_weights"` // share of them that is held in 8 bits
}

// fewWeights is the number of weights behind one result below which a layer stays float: depthwise convolutions, means over bins. They
// hold next to nothing of a file, and the rounding of what they read would weigh most there.
const fewWeights = 32

// Dynamic makes a network whose weights are int8 and whose activations become uint8 anew for every picture, so that no pictures are
// needed beforehand. A layer that cannot be written so stays float. It takes what Simplify takes.
func Dynamic(m *graph.Model, o DynamicOptions) (*graph.Model, DynamicReport, error) {
	q, report, err := o.quantise(m)
	if err != nil {
		return nil, DynamicReport{}, fmt.Errorf("quantise: %w", err)
	}
	return q, report, nil
}

func (o DynamicOptions) quantise(m *graph.Model) (*graph.Model, DynamicReport, error) {
	w := dynamicWriter{m: m.Clone(), read: map[string][3]string{}}
	var err error
	if w.top, err = o.top(); err != nil {
		return nil, w.report, err
	}
	if err := unquantised(m); err != nil {
		return nil, w.report, err
	}
	for _, n := range append([]*graph.Node{}, w.m.Graph.Nodes...) {
		if err := w.node(n); err != nil {
			return nil, w.report, fmt.Errorf("%s %.80s: %w", n.Op, n.Output(), err)
		}
	}
	if w.report.Int8Layers == 0 {
		return nil, w.report, errors.New("no layer has constant weights enough: there is nothing to gain")
	}
	w.report.Int8Weights /= float64(w.report.Weights)
	if err := w.m.Sort(); err != nil {
		return nil, w.report, err
	}
	w.m.Graph.RemoveDead()
	if err := w.m.Check(); err != nil {
		return nil, w.report, err
	}
	return w.m, w.report, o.runs(w.m)
}

// top is the highest level of an int8 weight.
func (o DynamicOptions) top() (float64, error) {
	switch o.Target {
	case "", CPU, ARM64:
		return 127, nil
	case AVX2:
		return 63, nil
	}
	return 0, fmt.Errorf("target %.40q: must be cpu, avx2 or arm64", o.Target)
}

// unquantised refuses a network that was quantised before.
func unquantised(m *graph.Model) error {
	for _, n := range m.Graph.Nodes {
		switch n.Op {
		case "QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "QLinearConv", "QLinearMatMul", "ConvInteger", "MatMulInteger":
			return errors.New("the model is quantised already; give the float original")
		}
	}
	return nil
}

// runs lets onnxruntime compute the network once: it has no such operator for every type.
func (o DynamicOptions) runs(m *graph.Model) error {
	shape, err := m.InputShape()
	if err != nil {
		return err
	}
	s, err := onnxgraph.Open(m, nil, onnxgraph.RunOptions{Library: o.Library, Threads: o.Threads})
	if err != nil {
		return err
	}
	defer s.Close() //nolint:errcheck // frees memory
	_, err = s.Run(onnx.Array{Shape: shape, Data: make([]float32, shape[0]*shape[1]*shape[2]*shape[3])})
	return err
}

// dynamicWriter turns layers into ones on whole numbers, one after the other.
type dynamicWriter struct {
	m      *graph.Model
	top    float64
	read   map[string][3]string // tensor -> its levels, scale and zero point
	report DynamicReport
}

func (w *dynamicWriter) node(n *graph.Node) error {
	if n.Domain != "" || n.Op != "Conv" && n.Op != "MatMul" && n.Op != "Gemm" {
		return nil
	}
	kernel := w.m.Graph.Const(n.Input(1))
	if kernel == nil || kernel.Type != graph.Float || kernel.Len() == 0 || w.m.Graph.Const(n.Input(0)) != nil {
		return nil
	}
	w.report.Layers++
	w.report.Weights += int64(kernel.Len())
	done, err := false, error(nil)
	if n.Op == "Conv" {
		done, err = w.conv(n, kernel)
	} else {
		done, err = w.matrix(n, kernel)
	}
	if done {
		w.report.Int8Layers++
		w.report.Int8Weights += float64(kernel.Len())
	}
	return err
}

// conv writes ConvInteger. On the CPU that knows weights in uint8 only, with one zero point: the middle. The scale of each channel is
// multiplied in behind it, so that a channel does not suffer from another's weights.
func (w *dynamicWriter) conv(n *graph.Node, kernel *graph.Tensor) (bool, error) {
	bias := n.Input(2)
	if len(kernel.Shape) != 4 || int64(kernel.Len())/kernel.Shape[0] < fewWeights || bias != "" && w.m.Graph.Const(bias) == nil {
		return false, nil
	}
	q, err := quantizeWeights(kernel, 127)
	if err != nil {
		return false, err
	}
	const middle = 128
	levels := make([]uint8, len(q.levels))
	for i, v := range q.levels {
		levels[i] = uint8(int(v) + middle)
	}
	g := w.m.Graph
	name := g.Fresh(n.Inputs[1] + "_u8")
	g.Initializers[name] = graph.NewUint8(kernel.Shape, levels)
	if g.Initializers["weight_zero_u8"] == nil {
		g.Initializers["weight_zero_u8"] = graph.NewUint8(nil, []uint8{middle})
	}
	in := w.levels(n.Inputs[0])
	sums := &graph.Node{Name: n.Name, Op: "ConvInteger", Inputs: []string{in[0], name, in[2], "weight_zero_u8"}, Attrs: maps.Clone(n.Attrs)}
	w.finish(n, sums, in[1], q.scales, []int64{1, int64(len(q.scales)), 1, 1})
	return true, nil
}

// matrix writes MatMulInteger, whose weights are int8.
func (w *dynamicWriter) matrix(n *graph.Node, kernel *graph.Tensor) (bool, error) {
	one := func(name string) bool {
		a, ok := n.Attrs[name]
		return !ok || a.Float == 1
	}
	if len(kernel.Shape) != 2 || n.Op == "Gemm" && (n.Int("transA", 0) != 0 || !one("alpha") || !one("beta")) {
		return false, nil
	}
	rows, err := byColumn(kernel, n.Int("transB", 0) != 0)
	if err != nil || rows.Shape[1] < fewWeights {
		return false, err
	}
	q, err := quantizeWeights(rows, w.top)
	if err != nil {
		return false, err
	}
	out, in := int(rows.Shape[0]), int(rows.Shape[1])
	levels := make([]int8, len(q.levels))
	for c := range out {
		for i := range in {
			levels[i*out+c] = q.levels[c*in+i]
		}
	}
	g := w.m.Graph
	name := g.Fresh(n.Inputs[1] + "_s8")
	g.Initializers[name] = graph.NewInt8([]int64{int64(in), int64(out)}, levels)
	read := w.levels(n.Inputs[0])
	sums := &graph.Node{Name: n.Name, Op: "MatMulInteger", Inputs: []string{read[0], name, read[2]}}
	w.finish(n, sums, read[1], q.scales, []int64{int64(out)})
	return true, nil
}

// byColumn gives a matrix [in, out], or [out, in] where it is turned already, as [out, in].
func byColumn(t *graph.Tensor, turned bool) (*graph.Tensor, error) {
	v, err := t.Floats()
	if err != nil || turned {
		return graph.NewFloat(t.Shape, v), err
	}
	in, out := int(t.Shape[0]), int(t.Shape[1])
	rows := make([]float32, len(v))
	for i := range in {
		for c := range out {
			rows[c*in+i] = v[i*out+c]
		}
	}
	return graph.NewFloat([]int64{t.Shape[1], t.Shape[0]}, rows), nil
}

// levels makes uint8 of a tensor, once for all that read it.
func (w *dynamicWriter) levels(name string) [3]string {
	if made, ok := w.read[name]; ok {
		return made
	}
	g := w.m.Graph
	made := [3]string{g.Fresh(name + "_levels"), g.Fresh(name + "_scale"), g.Fresh(name + "_zero")}
	g.Nodes = append(g.Nodes, &graph.Node{Name: name + "_quantize", Op: "DynamicQuantizeLinear", Inputs: []string{name}, Outputs: made[:]})
	w.read[name] = made
	return made
}

// finish makes float of the sums of a layer and adds its bias; what comes of it takes the layer's name.
func (w *dynamicWriter) finish(n, sums *graph.Node, scale string, scales []float32, shape []int64) {
	g, out := w.m.Graph, n.Output()
	constant := g.Fresh(out + "_scales")
	g.Initializers[constant] = graph.NewFloat(shape, scales)
	add := func(op string, attrs map[string]graph.Attr, inputs ...string) string {
		made := g.Fresh(out + "_" + op)
		g.Nodes = append(g.Nodes, &graph.Node{Op: op, Inputs: inputs, Outputs: []string{made}, Attrs: attrs})
		return made
	}
	sums.Outputs = []string{g.Fresh(out + "_sums")}
	g.Nodes = append(g.Nodes, sums)
	float := add("Cast", map[string]graph.Attr{"to": graph.IntAttr(int64(graph.Float))}, sums.Outputs[0])
	add("Mul", nil, float, add("Mul", nil, scale, constant))
	if n.Input(2) != "" {
		add("Add", nil, g.Nodes[len(g.Nodes)-1].Output(), w.bias(n, shape))
	}
	n.Outputs = []string{g.Fresh(out + "_float")} // the layer itself is dead now
	g.Nodes[len(g.Nodes)-1].Outputs[0] = out
}

// bias gives the bias of a convolution, which is constant, the shape in which it is added.
func (w *dynamicWriter) bias(n *graph.Node, shape []int64) string {
	if n.Op != "Conv" {
		return n.Inputs[2]
	}
	g := w.m.Graph
	t := g.Const(n.Inputs[2])
	name := g.Fresh(n.Inputs[2] + "_added")
	g.Initializers[name] = &graph.Tensor{Type: t.Type, Shape: shape, Data: t.Data}
	return name
}
