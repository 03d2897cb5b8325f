package channels

import (
	"math"
	"slices"

	"github.com/sightline/sightline/models/graph"
)

// passing are the operators that treat every channel for itself, in the same place.
var passing = []string{
	"Sigmoid", "Relu", "LeakyRelu", "Clip", "HardSwish", "HardSigmoid", "Tanh", "Elu", "Softplus", "Mish", "Gelu", "Erf", "Exp", "Abs", "Neg", "Sqrt",
	"MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool", "Cast", "Identity", "Dropout",
}

// combining are the operators on two tensors that treat every channel for itself.
var combining = []string{"Add", "Mul", "Sub", "Div", "Max", "Min", "Pow", "PRelu"}

// visit gives a node's outputs their classes, or holds what reaches it.
func (x *Map) visit(n *graph.Node) {
	if !x.reads(n) {
		return // constants make constants
	}
	if known := n.Domain == "" && x.rule(n); known {
		return
	}
	for i, name := range n.Inputs {
		if !slices.Contains(n.Inputs[:i], name) {
			x.hold(n.Op, name)
		}
	}
}

// reads tells whether any input has channels.
func (x *Map) reads(n *graph.Node) bool {
	return slices.ContainsFunc(n.Inputs, func(name string) bool { return x.tensors[name] != nil }) || n.Op == "Conv"
}

func (x *Map) rule(n *graph.Node) bool {
	switch {
	case n.Op == "Conv":
		return x.convolve(n)
	case slices.Contains(passing, n.Op):
		return x.pass(n)
	case slices.Contains(combining, n.Op):
		return x.combine(n)
	case n.Op == "BatchNormalization":
		return len(n.Outputs) == 1 && x.allConst(n.Inputs[1:]) && x.pass(n)
	case n.Op == "Resize":
		return x.resizes(n) && x.pass(n)
	case n.Op == "Pad":
		return x.pads(n) && x.pass(n)
	case n.Op == "Concat":
		return x.concat(n)
	case n.Op == "Split":
		return x.split(n)
	case n.Op == "Slice":
		return x.slice(n)
	}
	return false
}

func (x *Map) pass(n *graph.Node) bool {
	classes := x.tensors[n.Input(0)]
	x.tensors[n.Output()] = slices.Clone(classes)
	return classes != nil
}

func (x *Map) allConst(names []string) bool {
	return !slices.ContainsFunc(names, func(name string) bool { return x.constant(name) == nil })
}

// constant gives the value of a tensor that does not depend on the input, also where it is only cast.
func (x *Map) constant(name string) *graph.Tensor {
	if t := x.graph.Const(name); t != nil {
		return t
	}
	if n := x.graph.Producer(name); n != nil && (n.Op == "Cast" || n.Op == "Identity") {
		return x.constant(n.Input(0))
	}
	return nil
}

// convolve: dense ones make channels of their own; depthwise ones hand on those they have; others hold what they read and make.
func (x *Map) convolve(n *graph.Node) bool {
	c, ok := x.conv(n)
	if !ok {
		return false
	}
	group, outputs := int(n.Int("group", 1)), int(c.Kernel.Shape[0])
	if x.tensors[n.Inputs[0]] == nil { // of an operator that nothing is known of
		x.tensors[n.Inputs[0]] = x.fresh(int(c.Kernel.Shape[1]) * group)
		x.fix(x.tensors[n.Inputs[0]])
	}
	read := x.tensors[n.Inputs[0]]
	if bias := n.Input(2); len(read) != int(c.Kernel.Shape[1])*group || outputs%group != 0 || bias != "" && x.graph.Const(bias) == nil {
		x.hold(n.Op, n.Inputs[0])
		x.tensors[n.Output()] = x.fresh(outputs)
		x.fix(x.tensors[n.Output()])
		return true
	}
	made := x.fresh(outputs)
	x.tensors[n.Output()] = made
	switch {
	case c.Depthwise:
		for i := range made {
			x.join(made[i], read[i/(outputs/group)])
		}
	case group > 1:
		x.fix(made)
		x.hold(n.Op, n.Inputs[0])
	}
	return true
}

// combine couples two tensors channel by channel; a constant with a number for each channel will be cut along.
func (x *Map) combine(n *graph.Node) bool {
	if len(n.Inputs) != 2 {
		return false
	}
	a, b := x.tensors[n.Inputs[0]], x.tensors[n.Inputs[1]]
	for i, name := range n.Inputs {
		if t := x.constant(name); t != nil {
			other := x.tensors[n.Inputs[1-i]]
			if !alongChannels(t, len(other)) {
				return false
			}
			x.tensors[n.Output()] = slices.Clone(other)
			return true
		}
	}
	switch {
	case a == nil || b == nil:
		return false
	case len(a) == len(b):
		for i := range a {
			x.join(a[i], b[i])
		}
	case len(a) == 1:
		a, b = b, a
	case len(b) != 1:
		return false
	}
	x.tensors[n.Output()] = slices.Clone(a)
	return true
}

// alongChannels tells whether a constant is broadcast over a tensor with so many channels without making more of them.
func alongChannels(t *graph.Tensor, channels int) bool {
	if len(t.Shape) > 4 {
		return false
	}
	size := channelsOf(t)
	return size == 1 || size == channels
}

// channelsOf is the size of a constant along axis 1 of what it is combined with, 1 where it has none.
func channelsOf(t *graph.Tensor) int {
	if len(t.Shape) < 3 {
		return 1
	}
	return int(t.Shape[len(t.Shape)-3])
}

// resizes holds where channels would become more, or where the new size cannot be read.
func (x *Map) resizes(n *graph.Node) bool {
	if n.Attrs["axes"].Ints != nil {
		return false
	}
	if name := n.Input(3); name != "" {
		t := x.graph.Const(name)
		return t != nil && t.Len() == 4
	}
	t := x.constant(n.Input(2))
	if t == nil {
		return false
	}
	scales, err := t.Floats()
	return err == nil && len(scales) == 4 && scales[1] == 1
}

func (x *Map) pads(n *graph.Node) bool {
	pads := n.Ints("pads")
	if t := x.constant(n.Input(1)); t != nil {
		pads, _ = t.Int64s()
	}
	return len(pads) == 8 && n.Input(3) == "" && pads[0]|pads[1]|pads[4]|pads[5] == 0
}

// concat puts channels behind each other, or along another axis couples them.
func (x *Map) concat(n *graph.Node) bool {
	var parts [][]int
	for _, name := range n.Inputs {
		if x.tensors[name] == nil {
			return false
		}
		parts = append(parts, x.tensors[name])
	}
	switch n.Int("axis", 0) {
	case 1, -3:
		x.tensors[n.Output()] = slices.Concat(parts...)
		return true
	case 2, 3, -1, -2:
		for _, p := range parts[1:] {
			if len(p) != len(parts[0]) {
				return false
			}
			for i := range p {
				x.join(parts[0][i], p[i])
			}
		}
		x.tensors[n.Output()] = slices.Clone(parts[0])
		return true
	}
	return false
}

func (x *Map) split(n *graph.Node) bool {
	classes := x.tensors[n.Inputs[0]]
	switch n.Int("axis", 0) {
	case 2, 3, -1, -2:
		for _, name := range n.Outputs {
			x.tensors[name] = slices.Clone(classes)
		}
		return classes != nil
	case 1, -3:
	default:
		return false
	}
	sizes := x.splitSizes(n, len(classes))
	total := 0
	for _, size := range sizes {
		total += int(size)
	}
	if len(sizes) != len(n.Outputs) || total != len(classes) || slices.Min(sizes) < 0 {
		return false
	}
	for i, name := range n.Outputs {
		x.tensors[name], classes = slices.Clone(classes[:sizes[i]]), classes[sizes[i]:]
	}
	return true
}

func (x *Map) splitSizes(n *graph.Node, channels int) []int64 {
	if sizes := n.Ints("split"); sizes != nil {
		return sizes
	}
	if name := n.Input(1); name != "" {
		if t := x.graph.Const(name); t != nil {
			sizes, _ := t.Int64s()
			return sizes
		}
		return nil
	}
	each := (channels + len(n.Outputs) - 1) / len(n.Outputs)
	var sizes []int64
	for range n.Outputs {
		sizes = append(sizes, int64(min(each, channels)))
		channels -= min(each, channels)
	}
	return sizes
}

// slice takes a range of channels; of other axes anything.
func (x *Map) slice(n *graph.Node) bool {
	classes := x.tensors[n.Inputs[0]]
	r, ok := x.sliceRange(n, len(classes))
	if !ok || classes == nil {
		return false
	}
	x.tensors[n.Output()] = slices.Clone(classes[r[0]:r[1]])
	return true
}

// sliceRange gives the channels from and to that a Slice takes, all where it is along other axes.
func (x *Map) sliceRange(n *graph.Node, channels int) ([2]int, bool) {
	all := [2]int{0, channels}
	starts, ends, axes, steps := x.ints(n.Input(1)), x.ints(n.Input(2)), x.ints(n.Input(3)), x.ints(n.Input(4))
	if starts == nil || len(ends) != len(starts) {
		return all, false
	}
	for i := range starts {
		axis := int64(i)
		if n.Input(3) != "" {
			if len(axes) != len(starts) {
				return all, false
			}
			axis = axes[i]
		}
		if axis != 1 && axis != -3 {
			if axis == 0 {
				return all, false
			}
			continue
		}
		if n.Input(4) != "" && (len(steps) != len(starts) || steps[i] != 1) {
			return all, false
		}
		all = [2]int{place(starts[i], channels), place(ends[i], channels)}
	}
	return all, all[0] < all[1]
}

// place is an index as Slice counts: from the end where negative, at most the size.
func place(i int64, size int) int {
	if i < 0 {
		i += int64(size)
	}
	return int(max(0, min(i, int64(size), math.MaxInt32)))
}

func (x *Map) ints(name string) []int64 {
	t := x.graph.Const(name)
	if t == nil {
		return nil
	}
	v, err := t.Int64s()
	if err != nil {
		return nil
	}
	return v
}
