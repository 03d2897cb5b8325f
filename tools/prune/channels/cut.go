package channels

import (
	"errors"
	"fmt"
	"slices"

	"github.com/sightline/sightline/models/graph"
)

// Cut gives the network without some classes. m is the network that the map was made of, or one that differs from it in the values
// of kernels and biases. Inferred shapes are dropped, since they are wrong now.
func (x *Map) Cut(m *graph.Model, gone map[int]bool) (*graph.Model, error) {
	c := cutter{x, m.Clone(), gone}
	if len(gone) == 0 {
		return c.m, nil
	}
	for class := range gone {
		if !x.Free(class) {
			return nil, fmt.Errorf("cut channels: class %d has to stay", class)
		}
	}
	for _, n := range c.m.Graph.Nodes {
		if err := c.node(n); err != nil {
			return nil, fmt.Errorf("cut channels: node %.60q (%s): %w", n.Name, n.Op, err)
		}
	}
	c.m.Graph.RemoveDead()
	clear(c.m.Graph.Values)
	return c.m, c.m.Check()
}

// Mask gives the whole network with the columns of its dense convolutions that read these classes set to zero: it computes what the
// network without them does.
func (x *Map) Mask(m *graph.Model, gone map[int]bool) (*graph.Model, error) {
	c := cutter{x, m.Clone(), gone}
	for _, n := range c.m.Graph.Nodes {
		conv, ok := x.conv(n)
		if !ok || !conv.Dense() {
			continue
		}
		if err := c.mask(n); err != nil {
			return nil, fmt.Errorf("mask channels: %w", err)
		}
	}
	return c.m, nil
}

// cutter is a network on its way.
type cutter struct {
	x    *Map
	m    *graph.Model
	gone map[int]bool
}

func (c cutter) mask(n *graph.Node) error {
	t := c.m.Graph.Const(n.Inputs[1])
	w, err := t.Floats()
	if err != nil {
		return err
	}
	columns, size := int(t.Shape[1]), int(t.Shape[2]*t.Shape[3])
	for i, class := range c.x.tensors[n.Inputs[0]] {
		for o := 0; c.gone[class] && o < int(t.Shape[0]); o++ {
			clear(w[(o*columns+i)*size : (o*columns+i+1)*size])
		}
	}
	c.put(n, 1, graph.NewFloat(t.Shape, w))
	return nil
}

// put gives a node a constant of its own.
func (c cutter) put(n *graph.Node, input int, t *graph.Tensor) {
	name := n.Inputs[input]
	if g := c.m.Graph; g.Initializers[name] == nil || len(g.Consumers(name)) > 1 || g.IsOutput(name) {
		name = g.Fresh(n.Output() + fmt.Sprintf("_cut%d", input))
	}
	c.m.Graph.Initializers[name] = t
	n.Inputs[input] = name
}

func (c cutter) kept(tensor string) []int { return kept(c.x.tensors[tensor], c.gone) }

// whole tells whether a tensor loses nothing.
func (c cutter) whole(tensor string) bool { return len(c.kept(tensor)) == len(c.x.tensors[tensor]) }

func (c cutter) node(n *graph.Node) error {
	if n.Domain != "" || c.x.tensors[n.Output()] == nil {
		return nil
	}
	switch {
	case n.Op == "Conv":
		return c.conv(n)
	case slices.Contains(combining, n.Op):
		return c.combined(n)
	case n.Op == "BatchNormalization":
		for i := 1; i < len(n.Inputs) && !c.whole(n.Inputs[0]); i++ {
			if err := c.take(n, i, 0, c.kept(n.Inputs[0])); err != nil {
				return err
			}
		}
	case n.Op == "Resize" && n.Input(3) != "":
		return c.resized(n)
	case n.Op == "Split":
		return c.split(n)
	case n.Op == "Slice":
		return c.sliced(n)
	}
	return nil
}

// take keeps some rows of one of a node's constants.
func (c cutter) take(n *graph.Node, input, axis int, keep []int) error {
	t := c.x.constant(n.Input(input))
	if t == nil {
		return fmt.Errorf("input %d is no constant", input)
	}
	cut, err := takeAlong(t, axis, keep)
	if err != nil {
		return err
	}
	c.put(n, input, cut)
	return nil
}

// takeAlong keeps some indices along one axis.
func takeAlong(t *graph.Tensor, axis int, keep []int) (*graph.Tensor, error) {
	if axis >= len(t.Shape) || len(keep) > 0 && keep[len(keep)-1] >= int(t.Shape[axis]) {
		return nil, fmt.Errorf("a constant of shape %v has no such channels", t.Shape)
	}
	inner := t.Type.Size()
	for _, d := range t.Shape[axis+1:] {
		inner *= int(d)
	}
	size := int(t.Shape[axis])
	var data []byte
	for at := 0; at < len(t.Data); at += size * inner {
		for _, k := range keep {
			data = append(data, t.Data[at+k*inner:at+(k+1)*inner]...)
		}
	}
	shape := slices.Clone(t.Shape)
	shape[axis] = int64(len(keep))
	return &graph.Tensor{Type: t.Type, Shape: shape, Data: data}, nil
}

func (c cutter) conv(n *graph.Node) error {
	conv, ok := c.x.conv(n)
	if !ok || !conv.Dense() && !conv.Depthwise {
		return nil
	}
	in, out := c.kept(n.Inputs[0]), c.kept(n.Output())
	if len(in) == 0 || len(out) == 0 {
		return errors.New("no channel is left")
	}
	t := c.m.Graph.Const(n.Inputs[1])
	cut, err := takeAlong(t, 0, out)
	if err == nil && conv.Dense() && c.x.tensors[n.Inputs[0]] != nil {
		cut, err = takeAlong(cut, 1, in)
	}
	if err != nil {
		return err
	}
	if slices.Equal(cut.Shape, t.Shape) {
		return nil
	}
	c.put(n, 1, cut)
	if conv.Depthwise {
		n.Attrs["group"] = graph.IntAttr(int64(len(in)))
	}
	if n.Input(2) == "" || c.whole(n.Output()) {
		return nil
	}
	bias, err := takeAlong(c.m.Graph.Const(n.Inputs[2]), 0, out)
	if err == nil {
		c.put(n, 2, bias)
	}
	return err
}

// combined cuts a constant along with the channels that it belongs to.
func (c cutter) combined(n *graph.Node) error {
	for i, name := range n.Inputs {
		t := c.x.constant(name)
		if t == nil || c.whole(n.Output()) || channelsOf(t) == 1 {
			continue
		}
		if err := c.take(n, i, len(t.Shape)-3, c.kept(n.Output())); err != nil {
			return err
		}
	}
	return nil
}

func (c cutter) resized(n *graph.Node) error {
	sizes, err := c.m.Graph.Const(n.Inputs[3]).Int64s()
	if err != nil || c.whole(n.Output()) {
		return err
	}
	sizes[1] = int64(len(c.kept(n.Output())))
	c.put(n, 3, graph.NewInt64([]int64{4}, sizes))
	return nil
}

func (c cutter) split(n *graph.Node) error {
	axis := n.Int("axis", 0)
	if axis != 1 && axis != -3 || c.whole(n.Inputs[0]) {
		return nil
	}
	var sizes []int64
	for _, name := range n.Outputs {
		sizes = append(sizes, int64(len(c.kept(name))))
	}
	if slices.Min(sizes) == 0 {
		return errors.New("no channel is left of a part")
	}
	if c.m.Opset() < 13 {
		n.Attrs["split"] = graph.IntsAttr(sizes...)
		return nil
	}
	delete(n.Attrs, "num_outputs")
	if len(n.Inputs) < 2 {
		n.Inputs = append(n.Inputs, "")
	}
	c.put(n, 1, graph.NewInt64([]int64{int64(len(sizes))}, sizes))
	return nil
}

// sliced moves a range of channels to where it lies now.
func (c cutter) sliced(n *graph.Node) error {
	classes := c.x.tensors[n.Inputs[0]]
	r, _ := c.x.sliceRange(n, len(classes))
	if c.whole(n.Inputs[0]) || r == [2]int{0, len(classes)} {
		return nil
	}
	from := len(kept(classes[:r[0]], c.gone))
	to := from + len(kept(classes[r[0]:r[1]], c.gone))
	if from == to {
		return errors.New("no channel is left")
	}
	at := 1
	if axes := c.x.ints(n.Input(3)); axes != nil {
		at = slices.IndexFunc(axes, func(a int64) bool { return a == 1 || a == -3 })
	}
	for i, v := range []int{from, to} {
		all := c.x.ints(n.Inputs[i+1])
		all[at] = int64(v)
		c.put(n, i+1, likeInts(c.x.graph.Const(n.Inputs[i+1]), all))
	}
	return nil
}

// likeInts keeps the type, since all of a Slice's inputs must have the same.
func likeInts(t *graph.Tensor, v []int64) *graph.Tensor {
	if t.Type != graph.Int32 {
		return graph.NewInt64(t.Shape, v)
	}
	narrow := make([]int32, len(v))
	for i := range v {
		narrow[i] = int32(v[i])
	}
	return graph.NewInt32(t.Shape, narrow)
}
