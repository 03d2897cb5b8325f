package onnxgraph

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sightline/sightline/detect/onnx"
	"github.com/sightline/sightline/models/graph"
)

// maxFolded is how many numbers a constant may hold that takes the place of what computes it.
const maxFolded = 1 << 22

// Fold computes what depends on constants only, by onnxruntime itself, and returns how many nodes it took away. It computes nothing
// that is random, that has a graph of its own, or that says how int8 is meant.
func Fold(m *graph.Model, o RunOptions) (int, error) {
	g, before := m.Graph, len(m.Graph.Nodes)
	liftConstants(g)
	ready := constantNodes(g)
	if len(ready) == 0 {
		g.RemoveDead()
		return before - len(g.Nodes), nil
	}
	// What others read of it; what only the constant nodes read goes with them.
	var border []string
	x := g.Index()
	for _, n := range g.Nodes {
		for _, name := range n.Outputs {
			leaves := func(reader *graph.Node) bool { return !ready[reader] }
			if ready[n] && name != "" && slices.ContainsFunc(x.Consumers[name], leaves) {
				border = append(border, name)
			}
		}
	}
	if len(border) > 0 {
		if err := compute(m, border, o); err != nil {
			return 0, fmt.Errorf("fold constants: %w", err)
		}
	}
	g.RemoveDead()
	return before - len(g.Nodes), nil
}

// liftConstants makes initializers of Constant nodes that hold a tensor.
func liftConstants(g *graph.Graph) {
	g.Nodes = slices.DeleteFunc(g.Nodes, func(n *graph.Node) bool {
		if n.Op != "Constant" || n.Domain != "" || n.Attrs["value"].Tensor == nil || g.IsOutput(n.Output()) {
			return false
		}
		g.Initializers[n.Output()] = n.Attrs["value"].Tensor
		return true
	})
}

// constantNodes are the nodes whose outputs are always the same.
func constantNodes(g *graph.Graph) map[*graph.Node]bool {
	ready, known := map[*graph.Node]bool{}, map[string]bool{"": true}
	for name := range g.Initializers {
		known[name] = true
	}
	for _, n := range g.Nodes {
		if n.Domain != "" || n.HasSubgraph() || unfoldable(n.Op) ||
			slices.ContainsFunc(n.Inputs, func(name string) bool { return !known[name] }) ||
			slices.ContainsFunc(n.Outputs, g.IsOutput) {
			continue
		}
		ready[n] = true
		for _, name := range n.Outputs {
			known[name] = true
		}
	}
	return ready
}

// unfoldable operators give something else each time, or are marks of int8 that onnxruntime looks for.
func unfoldable(op string) bool {
	return strings.HasPrefix(op, "Random") || op == "Bernoulli" || op == "Multinomial" || strings.HasSuffix(op, "QuantizeLinear") ||
		op == "DequantizeLinear" || strings.HasPrefix(op, "Sequence")
}

// compute puts the values of tensors where nodes made them.
func compute(m *graph.Model, names []string, o RunOptions) error {
	part := m.Clone()
	// An input that nothing reads: onnxruntime_go cannot run a network without one.
	part.Graph.Inputs = []graph.Value{{Name: m.Graph.Fresh("nothing"), Type: graph.Float, Shape: []int64{1}}}
	part.Graph.Outputs = nil
	for _, name := range names {
		part.Graph.Outputs = append(part.Graph.Outputs, graph.Value{Name: name})
	}
	clear(part.Graph.Values)
	part.Graph.RemoveDead()
	values, err := runTyped(part, names, o, onnx.Array{Shape: []int64{1}, Data: make([]float32, 1)})
	if err != nil {
		return err
	}
	g := m.Graph
	for i, v := range values {
		t := &graph.Tensor{Type: graph.DataType(v.Type), Shape: v.Shape, Data: v.Data}
		if t.Len() > maxFolded {
			continue
		}
		producer := g.Producer(names[i])
		producer.Outputs[slices.Index(producer.Outputs, names[i])] = g.Fresh(names[i] + "_folded")
		g.Initializers[names[i]] = t
	}
	return nil
}

// runTyped runs a model as it is written, for outputs of any type.
func runTyped(m *graph.Model, outputs []string, o RunOptions, input onnx.Array) ([]onnx.Typed, error) {
	data, err := m.Marshal()
	if err != nil {
		return nil, err
	}
	var names []string
	for _, v := range m.Graph.Inputs {
		names = append(names, v.Name)
	}
	s, err := onnx.OpenGraph(onnx.GraphOptions{
		Library: o.Library, Model: data, Inputs: names, Outputs: outputs, Threads: o.Threads, Level: onnx.OptimiseNothing,
	})
	if err != nil {
		return nil, err
	}
	defer s.Close() //nolint:errcheck // frees memory
	return s.RunTyped(input)
}
