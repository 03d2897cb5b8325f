// Package channels finds which channels of a network belong together, and cuts them out so that what is left computes exactly what
// the whole network computes without them.
package channels

import (
	"fmt"
	"slices"

	"github.com/sightline/sightline/models/graph"
)

// Map knows of every channel of every tensor with which others it stands and falls. It belongs to the network that it was made of.
type Map struct {
	graph    *graph.Graph
	tensors  map[string][]int // the class of every channel along axis 1; tensors that nothing is known of are not there
	parent   []int            // union-find
	fixed    map[int]bool     // by root
	barriers []Barrier
}

// Barrier is a place where channels have to stay, because nothing is known of what becomes of them there.
type Barrier struct {
	Op       string `json:"op"`       // the operator, or "input" and "output" for those of the network
	Tensor   string `json:"tensor"`   // that reaches it
	Channels int    `json:"channels"` // that it holds; 0 where their number is not known
}

// Find goes through the network once. Operators that it does not know hold all channels that reach them.
func Find(m *graph.Model) *Map {
	x := &Map{graph: m.Graph, tensors: map[string][]int{}, fixed: map[int]bool{}}
	for _, v := range m.Graph.Inputs {
		if len(v.Shape) == 4 && v.Shape[1] > 0 {
			x.tensors[v.Name] = x.fresh(int(v.Shape[1]))
		}
		x.hold("input", v.Name)
	}
	for _, n := range m.Graph.Nodes {
		x.visit(n)
	}
	for _, v := range m.Graph.Outputs {
		x.hold("output", v.Name)
	}
	x.settle()
	return x
}

// Barriers lists the places that hold channels, in the order of the network.
func (x *Map) Barriers() []Barrier { return slices.Clone(x.barriers) }

// Of gives the class of every channel of a tensor; nil where nothing is known of it. Channels of one class stay or go together; a
// tensor may have several of one class.
func (x *Map) Of(tensor string) []int { return x.tensors[tensor] }

// Free tells whether a class may go.
func (x *Map) Free(class int) bool { return !x.fixed[class] }

// fresh makes new classes of one channel each.
func (x *Map) fresh(n int) []int {
	classes := make([]int, n)
	for i := range classes {
		classes[i] = len(x.parent)
		x.parent = append(x.parent, classes[i])
	}
	return classes
}

func (x *Map) root(c int) int {
	for x.parent[c] != c {
		x.parent[c] = x.parent[x.parent[c]]
		c = x.parent[c]
	}
	return c
}

// join makes one class of two. The older one stays, so that the result does not depend on the order of a map.
func (x *Map) join(a, b int) {
	a, b = x.root(a), x.root(b)
	if a == b {
		return
	}
	if b < a {
		a, b = b, a
	}
	x.parent[b] = a
	if x.fixed[b] {
		x.fixed[a] = true
	}
}

func (x *Map) fix(classes []int) {
	for _, c := range classes {
		x.fixed[x.root(c)] = true
	}
}

// hold fixes the channels of a tensor that reaches a barrier.
func (x *Map) hold(op, tensor string) {
	classes := x.tensors[tensor]
	if op != "input" && op != "output" && len(classes) == 0 {
		return // it was held before
	}
	x.fix(classes)
	x.barriers = append(x.barriers, Barrier{op, tensor, len(classes)})
}

// settle puts the root in the place of every class.
func (x *Map) settle() {
	for _, classes := range x.tensors {
		for i, c := range classes {
			classes[i] = x.root(c)
		}
	}
}

// Conv is a convolution of the network, with what its kernel [outputs, inputs of a group, height, width] does to channels.
type Conv struct {
	Node      *graph.Node
	Kernel    *graph.Tensor
	Depthwise bool // every output has one input channel
}

// Convs lists the convolutions with constant kernels in two dimensions, in the order of the network.
func (x *Map) Convs() []Conv {
	var list []Conv
	for _, n := range x.graph.Nodes {
		if c, ok := x.conv(n); ok {
			list = append(list, c)
		}
	}
	return list
}

func (x *Map) conv(n *graph.Node) (Conv, bool) {
	if n.Op != "Conv" || n.Domain != "" {
		return Conv{}, false
	}
	t := x.graph.Const(n.Input(1))
	if t == nil || len(t.Shape) != 4 {
		return Conv{}, false
	}
	return Conv{n, t, n.Int("group", 1) > 1 && t.Shape[1] == 1}, true
}

// Dense tells whether every output reads every input.
func (c Conv) Dense() bool { return c.Node.Int("group", 1) == 1 }

// String names the operator, the tensor, and how many of its channels are held.
func (b Barrier) String() string { return fmt.Sprintf("%s %.60s (%d)", b.Op, b.Tensor, b.Channels) }
