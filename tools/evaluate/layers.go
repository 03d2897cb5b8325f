package evaluate

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/sightline/sightline/detect/onnx"
	"github.com/sightline/sightline/models/graph"
	"github.com/sightline/sightline/tools/onnxgraph"
)

// Layer is one operator that multiplies with weights: a convolution, also transposed, or a matrix product.
type Layer struct {
	Name    string  `json:"name"`             // the node's, or its output's where it has none
	Op      string  `json:"op"`               // as ONNX names it
	Kernel  []int64 `json:"kernel,omitempty"` // shape of its weights; none of a product of two activations
	MACs    int64   `json:"macs"`             // multiply-adds for one picture
	Weights int64   `json:"weights"`
	Zeros   int64   `json:"zeros"` // weights that are zero, also those that int8 rounds to zero
	Int8    bool    `json:"int8"`  // onnxruntime runs it on whole numbers

	node           *graph.Node
	kernel, offset *graph.Tensor // offset: the zero point of an int8 kernel, nil for none
}

// product says which inputs of an operator hold its weights and their zero point, -1 for none.
type product struct{ weights, offset int }

var products = map[string]product{
	"Conv": {1, -1}, "ConvTranspose": {1, -1}, "Gemm": {1, -1}, "MatMul": {1, -1},
	"ConvInteger": {1, 3}, "MatMulInteger": {1, 3}, "QLinearConv": {3, 5}, "QLinearMatMul": {3, 5},
}

// whole are the operators that compute on whole numbers, in files and in what onnxruntime makes of them.
var whole = []string{"ConvInteger", "MatMulInteger", "QLinearConv", "QLinearMatMul", "QGemm", "QAttention", "MatMulIntegerToFloat", "DynamicQuantizeMatMul"}

// Layers lists the operators of a network that multiply with weights, in the order that they run in. Input is the shape of one
// picture, [1, 3, height, width].
func Layers(m *graph.Model, input []int64) ([]Layer, error) {
	m = m.Clone()
	var layers []Layer
	for i, n := range m.Graph.Nodes {
		p, ok := products[n.Op]
		if !ok || n.Domain != "" {
			continue
		}
		l := Layer{Name: n.Name, Op: n.Op, node: n}
		if l.Name == "" {
			l.Name = n.Output()
		}
		if l.kernel, l.offset = constant(m.Graph, n.Input(p.weights)); l.kernel != nil {
			if p.offset >= 0 {
				l.offset = m.Graph.Const(n.Input(p.offset))
			}
			l.Kernel, l.Weights = l.kernel.Shape, int64(l.kernel.Len())
			l.Zeros = zeros(l.kernel, l.offset)
		}
		layers = append(layers, l)
		n.Name = fmt.Sprintf("layer %d", i) // found again in the optimised network
	}
	if len(layers) == 0 {
		return nil, nil
	}
	if err := countMACs(m, layers, input); err != nil {
		return nil, fmt.Errorf("count multiply-adds: %w", err)
	}
	if err := markInt8(m, layers); err != nil {
		return nil, fmt.Errorf("look at what onnxruntime makes of the network: %w", err)
	}
	return layers, nil
}

// constant follows a tensor back to the constant that it is, through operators that only change how its numbers are written,
// and gives its zero point where it was int8.
func constant(g *graph.Graph, name string) (t, offset *graph.Tensor) {
	for range 8 {
		if t := g.Const(name); t != nil {
			return t, offset
		}
		n := g.Producer(name)
		if n == nil || !slices.Contains([]string{"Cast", "DequantizeLinear", "Identity", "QuantizeLinear", "Transpose", "Reshape", "Unsqueeze"}, n.Op) {
			return nil, nil
		}
		if n.Op == "DequantizeLinear" && n.Input(2) != "" {
			offset = g.Const(n.Input(2))
		}
		name = n.Input(0)
	}
	return nil, nil
}

// zeros counts the weights that stand for zero. Zero points that differ go by output channel, the first axis.
func zeros(t, offset *graph.Tensor) (n int64) {
	if v, err := t.Floats(); err == nil {
		for _, w := range v {
			if w == 0 {
				n++
			}
		}
		return n
	}
	v, err := t.Int64s()
	if err != nil {
		return 0 // numbers of no kind that weights have
	}
	points := []int64{0}
	if offset != nil {
		if p, err := offset.Int64s(); err == nil && len(p) > 0 && len(v)%len(p) == 0 {
			points = p
		}
	}
	each := len(v) / len(points)
	for i, w := range v {
		if w == points[i/max(1, each)] {
			n++
		}
	}
	return n
}

// countMACs lets onnxruntime tell the shapes: the network's outputs become the shapes of what the layers read and give.
func countMACs(m *graph.Model, layers []Layer, input []int64) error {
	m = m.Clone()
	g := m.Graph
	var outputs []string
	ask := func(tensor string) {
		shape := g.Fresh(fmt.Sprintf("shape of layer %d", len(outputs)))
		name := g.Fresh(shape + " in float")
		g.Nodes = append(g.Nodes,
			&graph.Node{Op: "Shape", Inputs: []string{tensor}, Outputs: []string{shape}},
			&graph.Node{Op: "Cast", Inputs: []string{shape}, Outputs: []string{name}, Attrs: map[string]graph.Attr{"to": graph.IntAttr(int64(graph.Float))}})
		outputs = append(outputs, name)
	}
	for _, l := range layers {
		ask(l.node.Input(0))
		ask(l.node.Output())
	}
	s, err := onnxgraph.Open(m, outputs, onnxgraph.RunOptions{Level: onnx.OptimiseNothing})
	if err != nil {
		return err
	}
	defer s.Close() //nolint:errcheck // frees memory
	size := int64(1)
	for _, n := range input {
		size *= n
	}
	shapes, err := s.Run(onnx.Array{Shape: input, Data: make([]float32, size)})
	if err != nil {
		return err
	}
	for i := range layers {
		layers[i].count(shapes[outputs[2*i]].Data, shapes[outputs[2*i+1]].Data)
	}
	return nil
}

// count takes the shapes of what the layer reads first and of what it gives, for one picture.
func (l *Layer) count(in, out []float32) {
	size := func(shape []float32) int64 {
		n := int64(1)
		for _, d := range shape {
			n *= int64(d)
		}
		return n
	}
	switch l.Op {
	case "ConvTranspose": // every number that it reads meets its share of the kernel
		if l.Weights > 0 {
			l.MACs = size(in) * l.Weights / l.Kernel[0]
		}
	case "Conv", "ConvInteger", "QLinearConv":
		if l.Weights > 0 {
			l.MACs = size(out) * l.Weights / l.Kernel[0]
		}
	default: // matrix products: the sums are as long as the last side of what they read
		if len(in) == 0 {
			return
		}
		length := int64(in[len(in)-1])
		if l.node.Int("transA", 0) != 0 {
			length = int64(in[0])
		}
		l.MACs = size(out) * length
	}
}

// markInt8 finds out what runs on whole numbers. A file that holds int8 need not run so: only the optimised network tells.
func markInt8(m *graph.Model, layers []Layer) error {
	quantised := false
	for i, l := range layers {
		layers[i].Int8 = slices.Contains(whole, l.Op)
	}
	for _, n := range m.Graph.Nodes {
		quantised = quantised || n.Op == "QuantizeLinear"
	}
	if !quantised {
		return nil
	}
	names, err := runningWhole(m)
	if err != nil {
		return err
	}
	for i, l := range layers {
		layers[i].Int8 = l.Int8 || names[l.node.Name]
	}
	return nil
}

// runningWhole gives the names of the nodes that run on whole numbers.
func runningWhole(m *graph.Model) (names map[string]bool, err error) {
	dir, err := os.MkdirTemp("", "sightline-*")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	path := filepath.Join(dir, "optimised.onnx")
	s, err := onnxgraph.Open(m, nil, onnxgraph.RunOptions{Level: onnx.OptimiseExtended, Optimised: path})
	if err != nil {
		return nil, err
	}
	if err := s.Close(); err != nil {
		return nil, err
	}
	optimised, err := graph.Read(path)
	if err != nil {
		return nil, err
	}
	names = map[string]bool{}
	for _, n := range optimised.Graph.Nodes {
		if slices.Contains(whole, n.Op) {
			names[n.Name] = true
		}
	}
	return names, nil
}
