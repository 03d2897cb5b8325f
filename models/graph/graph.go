package graph

import (
	"errors"
	"fmt"
	"maps"
	"slices"
)

// Index finds the nodes around a tensor, as the graph was when the index was made.
type Index struct {
	Producer  map[string]*Node   // of inputs and initializers there is none
	Consumers map[string][]*Node // in order
}

// Index looks at all nodes once: for many questions, where Producer and Consumers answer one.
func (g *Graph) Index() Index {
	x := Index{map[string]*Node{}, map[string][]*Node{}}
	for _, n := range g.Nodes {
		for _, name := range n.Outputs {
			x.Producer[name] = n
		}
		reads := n.reads()
		for i, name := range reads {
			if name != "" && !slices.Contains(reads[:i], name) {
				x.Consumers[name] = append(x.Consumers[name], n)
			}
		}
	}
	return x
}

// Producer gives the node that makes a tensor, nil for inputs and initializers.
func (g *Graph) Producer(name string) *Node {
	for _, n := range g.Nodes {
		if slices.Contains(n.Outputs, name) {
			return n
		}
	}
	return nil
}

// Consumers gives the nodes that read a tensor, in order.
func (g *Graph) Consumers(name string) []*Node {
	var all []*Node
	for _, n := range g.Nodes {
		if slices.Contains(n.reads(), name) {
			all = append(all, n)
		}
	}
	return all
}

// Const gives a tensor's value where it is an initializer or made by a Constant node, else nil.
func (g *Graph) Const(name string) *Tensor {
	if t, ok := g.Initializers[name]; ok {
		return t
	}
	if n := g.Producer(name); n != nil && n.Op == "Constant" && n.Domain == "" {
		return n.Attrs["value"].Tensor
	}
	return nil
}

// IsOutput tells whether a tensor is an output of the graph.
func (g *Graph) IsOutput(name string) bool {
	return slices.ContainsFunc(g.Outputs, func(v Value) bool { return v.Name == name })
}

// Fresh gives a name that no tensor has yet.
func (g *Graph) Fresh(prefix string) string {
	used := g.names()
	for i, name := 1, prefix; ; i++ {
		if !used[name] {
			return name
		}
		name = fmt.Sprintf("%s_%d", prefix, i)
	}
}

func (g *Graph) names() map[string]bool {
	used := map[string]bool{}
	for name := range g.Initializers {
		used[name] = true
	}
	for _, v := range g.Inputs {
		used[v.Name] = true
	}
	for _, n := range g.Nodes {
		for _, name := range n.Outputs {
			used[name] = true
		}
	}
	return used
}

// Replace makes every reader of a tensor, and the graph's outputs, take another.
func (g *Graph) Replace(old, by string) {
	for _, n := range g.Nodes {
		for i, name := range n.Inputs {
			if name == old {
				n.Inputs[i] = by
			}
		}
	}
	for i := range g.Outputs {
		if g.Outputs[i].Name == old {
			g.Outputs[i].Name = by
		}
	}
}

// InsertAfter puts nodes right behind another one; nil puts them first.
func (g *Graph) InsertAfter(n *Node, more ...*Node) {
	g.Nodes = slices.Insert(g.Nodes, slices.Index(g.Nodes, n)+1, more...)
}

// RemoveDead removes nodes and initializers that no output depends on, and returns how many.
func (g *Graph) RemoveDead() int {
	needed := map[string]bool{}
	for _, v := range g.Outputs {
		needed[v.Name] = true
	}
	var kept []*Node
	for _, n := range slices.Backward(g.Nodes) {
		if !slices.ContainsFunc(n.Outputs, func(name string) bool { return needed[name] }) {
			continue
		}
		kept = append(kept, n)
		for _, name := range n.reads() {
			needed[name] = true
		}
	}
	slices.Reverse(kept)
	removed := len(g.Nodes) - len(kept) + len(g.Initializers)
	g.Nodes = kept
	maps.DeleteFunc(g.Initializers, func(name string, _ *Tensor) bool { return !needed[name] })
	maps.DeleteFunc(g.Values, func(name string, _ Value) bool { return !needed[name] })
	g.Inputs = slices.DeleteFunc(g.Inputs, func(v Value) bool { return g.Initializers[v.Name] != nil })
	return removed - len(g.Initializers)
}

// Check tells whether every tensor is defined once and before it is read.
func (m *Model) Check() error {
	g, known := m.Graph, map[string]bool{"": true}
	for name := range g.Initializers {
		known[name] = true
	}
	for _, v := range g.Inputs {
		known[v.Name] = true
	}
	for _, n := range g.Nodes {
		if len(n.Outputs) == 0 || n.Op == "" {
			return fmt.Errorf("node %.60q has no operator or no output", n.Name)
		}
		for _, name := range n.Inputs {
			if !known[name] {
				return fmt.Errorf("node %.60q (%.40s) reads the tensor %.60q, which nothing before it makes", n.Name, n.Op, name)
			}
		}
		for _, name := range n.Outputs {
			if name != "" && known[name] {
				return fmt.Errorf("tensor %.60q is made twice", name)
			}
			known[name] = true
		}
	}
	if len(g.Outputs) == 0 {
		return errors.New("the graph has no outputs")
	}
	for _, v := range g.Outputs {
		if !known[v.Name] {
			return fmt.Errorf("output %.60q is made by nothing", v.Name)
		}
	}
	return nil
}

// Clone copies a model so that changes of one do not show in the other. The data of tensors is shared: it is replaced, never
// written into.
func (m *Model) Clone() *Model {
	c := *m
	c.Opsets, c.Metadata = maps.Clone(m.Opsets), maps.Clone(m.Metadata)
	g := *m.Graph
	g.Initializers, g.Values = maps.Clone(g.Initializers), maps.Clone(g.Values)
	g.Inputs, g.Outputs = slices.Clone(g.Inputs), slices.Clone(g.Outputs)
	g.Nodes = make([]*Node, len(m.Graph.Nodes))
	for i, n := range m.Graph.Nodes {
		copied := *n
		copied.Inputs, copied.Outputs, copied.Attrs = slices.Clone(n.Inputs), slices.Clone(n.Outputs), maps.Clone(n.Attrs)
		g.Nodes[i] = &copied
	}
	c.Graph = &g
	return &c
}

// InputShape is the fixed shape of the model's one input.
func (m *Model) InputShape() ([]int64, error) {
	g := m.Graph
	if len(g.Inputs) != 1 {
		return nil, fmt.Errorf("the model has %d inputs: must be one picture", len(g.Inputs))
	}
	shape := append([]int64{}, g.Inputs[0].Shape...)
	if len(shape) != 4 {
		return nil, fmt.Errorf("input %s has shape %v: must be [N, 3, height, width]", g.Inputs[0].Name, shape)
	}
	if shape[0] < 0 {
		shape[0] = 1
	}
	for _, size := range shape {
		if size <= 0 {
			return nil, fmt.Errorf("input %s has shape %v: must be fixed; export the model with a fixed size", g.Inputs[0].Name, shape)
		}
	}
	return shape, nil
}
