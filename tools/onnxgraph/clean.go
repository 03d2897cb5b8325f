package onnxgraph

import (
	"bytes"
	"fmt"
	"maps"
	"slices"

	"github.com/sightline/sightline/models/graph"
)

// RemoveIdle takes away nodes that pass on what they read: Identity, Dropout, which only does something in training, and a Cast of the
// input to the type that it has. It returns how many. One that joins an input with an output of the model stays.
func RemoveIdle(m *graph.Model) int {
	g, n := m.Graph, 0
	for _, node := range slices.Clone(g.Nodes) {
		if !idle(g, node) {
			continue
		}
		from, to := node.Inputs[0], node.Output()
		if !bypass(g, node, from, to) {
			continue
		}
		g.Nodes = slices.DeleteFunc(g.Nodes, func(other *graph.Node) bool { return other == node })
		n++
	}
	if n > 0 {
		g.RemoveDead()
	}
	return n
}

func idle(g *graph.Graph, n *graph.Node) bool {
	if n.Domain != "" || len(n.Inputs) == 0 || n.Inputs[0] == "" {
		return false
	}
	switch n.Op {
	case "Identity":
		return true
	case "Cast":
		return slices.ContainsFunc(g.Inputs, func(v graph.Value) bool {
			return v.Name == n.Inputs[0] && v.Type == graph.DataType(n.Int("to", 0))
		})
	case "Dropout":
		for _, mask := range n.Outputs[1:] {
			if mask != "" && (g.IsOutput(mask) || len(g.Consumers(mask)) > 0) {
				return false
			}
		}
		if n.Input(2) == "" {
			return true
		}
		training := g.Const(n.Input(2))
		return training != nil && !slices.ContainsFunc(training.Data, func(b byte) bool { return b != 0 })
	}
	return false
}

// bypass lets the readers of one tensor read the one that it is a copy of. A tensor that a subgraph reads by name stays, and an output
// of the model keeps its name.
func bypass(g *graph.Graph, node *graph.Node, from, to string) bool {
	named := func(n *graph.Node) bool { return n != node && n.HasSubgraph() }
	if slices.ContainsFunc(g.Consumers(to), named) {
		return false
	}
	if !g.IsOutput(to) {
		g.Replace(to, from)
		return true
	}
	producer := g.Producer(from)
	if producer == nil || g.IsOutput(from) || slices.ContainsFunc(g.Consumers(from), named) {
		return false
	}
	node.Outputs[0] = g.Fresh(to + "_idle")
	g.Replace(from, to)
	producer.Outputs[slices.Index(producer.Outputs, from)] = to
	return true
}

// learned says which inputs of an operator training found: they stay one for each layer, since tools change them layer by layer.
var learned = map[string][]int{
	"Conv": {1, 2}, "ConvTranspose": {1, 2}, "Gemm": {1, 2}, "MatMul": {0, 1}, "BatchNormalization": {1, 2, 3, 4}, "PRelu": {1},
}

// MergeConstants makes one of constants that are equal in type, shape and value, and returns how many it took away. Weights, biases and
// what subgraphs name are left alone.
func MergeConstants(m *graph.Model) int {
	g := m.Graph
	own := map[string]bool{}
	for _, n := range g.Nodes {
		for _, i := range learned[n.Op] {
			own[n.Input(i)] = true
		}
		if n.HasSubgraph() {
			return 0
		}
	}
	first, n := map[string]string{}, 0
	for _, name := range slices.Sorted(maps.Keys(g.Initializers)) {
		if own[name] || g.IsOutput(name) {
			continue
		}
		t := g.Initializers[name]
		key := fmt.Sprint(t.Type, t.Shape, len(t.Data), checksum(t.Data))
		one, ok := first[key]
		if !ok {
			first[key] = name
			continue
		}
		if bytes.Equal(g.Initializers[one].Data, t.Data) {
			g.Replace(name, one)
			delete(g.Initializers, name)
			n++
		}
	}
	return n
}
