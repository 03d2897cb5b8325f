package gradient

import (
	"fmt"
	"slices"

	"github.com/sightline/sightline/models/graph"
)

// differentiable are the operators that gradients go through.
var differentiable = []string{"Conv", "Sigmoid", "Relu", "Mul", "Add", "Sub", "Concat", "MaxPool", "Resize", "Cast", "Identity"}

// builder adds nodes to a network that go backward through it.
type builder struct {
	g      *graph.Graph
	shapes map[string][]int64
	grads  map[string][]string // what comes back to a tensor, from each of its readers
	made   int
	watch  map[string]bool // tensors whose gradients are looked at
	// What is seen of them: the sums over places of its squares, for every channel.
	watched, squares []string
}

// see notes the squares of a gradient that is watched.
func (b *builder) see(tensor, dy string) {
	if b.watch[tensor] {
		sum := b.op("ReduceSum", []string{b.op("Mul", []string{dy, dy}, nil), b.ints(0, 2, 3)}, map[string]graph.Attr{"keepdims": graph.IntAttr(0)})
		b.watched, b.squares = append(b.watched, tensor), append(b.squares, sum)
	}
}

func (b *builder) op(op string, inputs []string, attrs map[string]graph.Attr) string {
	return b.ops(op, inputs, attrs, 1)[0]
}

func (b *builder) ops(op string, inputs []string, attrs map[string]graph.Attr, outputs int) []string {
	var names []string
	for range outputs {
		names = append(names, b.name())
	}
	b.g.Nodes = append(b.g.Nodes, &graph.Node{Op: op, Inputs: inputs, Outputs: names, Attrs: attrs})
	return names
}

func (b *builder) name() string {
	b.made++
	return fmt.Sprintf("gradient/%d", b.made)
}

func (b *builder) ints(v ...int64) string {
	name := b.name()
	b.g.Initializers[name] = graph.NewInt64([]int64{int64(len(v))}, v)
	return name
}

func (b *builder) number(v float32) string {
	name := b.name()
	b.g.Initializers[name] = graph.NewFloat(nil, []float32{v})
	return name
}

func (b *builder) input(name string, shape []int64) {
	b.g.Inputs = append(b.g.Inputs, graph.Value{Name: name, Type: graph.Float, Shape: shape})
}

// loss adds what an output costs, and begins its gradient.
func (b *builder) loss(l Loss) string {
	target, weight := l.Output+"/target", l.Output+"/weight"
	b.input(target, b.shapes[l.Output])
	b.input(weight, b.shapes[l.Output])
	value := l.Output
	if l.Sigmoid {
		value = b.op("Sigmoid", []string{l.Output}, nil)
	}
	off := b.op("Sub", []string{value, target}, nil)
	grad := b.op("Mul", []string{weight, off}, nil)
	b.give(l.Output, grad)
	square := b.op("Mul", []string{grad, off}, nil)
	return b.op("ReduceSum", []string{square}, nil)
}

// give notes a part of a tensor's gradient; constants and the network's input need none.
func (b *builder) give(tensor, grad string) {
	if b.shapes[tensor] != nil && tensor != b.g.Inputs[0].Name {
		b.grads[tensor] = append(b.grads[tensor], grad)
	}
}

// take sums up a tensor's gradient, "" where there is none.
func (b *builder) take(tensor string) string {
	parts := b.grads[tensor]
	switch len(parts) {
	case 0:
		return ""
	case 1:
		return parts[0]
	}
	return b.op("Sum", parts, nil)
}

// back goes through one node.
func (b *builder) back(n *Network, node *graph.Node) error {
	dy := b.take(node.Output())
	if dy == "" {
		return nil
	}
	b.see(node.Output(), dy)
	switch node.Op {
	case "Conv":
		return b.conv(n, node, dy)
	case "Sigmoid":
		y := node.Output()
		b.give(node.Inputs[0], b.op("Mul", []string{dy, b.op("Sub", []string{y, b.op("Mul", []string{y, y}, nil)}, nil)}, nil))
	case "Relu":
		on := b.op("Sign", []string{node.Output()}, nil)
		b.give(node.Inputs[0], b.op("Mul", []string{dy, on}, nil))
	case "Mul":
		return b.mul(node, dy)
	case "Add", "Sub":
		return b.add(node, dy)
	case "Cast", "Identity":
		b.give(node.Inputs[0], dy)
	case "Concat":
		return b.concat(node, dy)
	case "MaxPool":
		b.maxPool(node, dy)
	case "Resize":
		return b.resize(node, dy)
	default:
		return ErrUnknown
	}
	return nil
}

// mul knows y = x*sigmoid(x), whose gradient is dy*(s + y - y*s).
func (b *builder) mul(node *graph.Node, dy string) error {
	x, s := node.Inputs[0], node.Inputs[1]
	if b.shapes[x] == nil || b.shapes[s] == nil || !slices.Equal(b.shapes[x], b.shapes[s]) {
		return ErrUnknown
	}
	if p := b.g.Producer(x); p != nil && p.Op == "Sigmoid" && p.Inputs[0] == s {
		x, s = s, x
	}
	if p := b.g.Producer(s); p != nil && p.Op == "Sigmoid" && p.Inputs[0] == x {
		y := node.Output()
		slope := b.op("Add", []string{s, b.op("Sub", []string{y, b.op("Mul", []string{y, s}, nil)}, nil)}, nil)
		b.give(x, b.op("Mul", []string{dy, slope}, nil))
		return nil
	}
	b.give(x, b.op("Mul", []string{dy, s}, nil))
	b.give(s, b.op("Mul", []string{dy, x}, nil))
	return nil
}

func (b *builder) add(node *graph.Node, dy string) error {
	for i, in := range node.Inputs {
		switch {
		case b.g.Const(in) != nil:
		case !slices.Equal(b.shapes[in], b.shapes[node.Output()]):
			return ErrUnknown
		case i == 1 && node.Op == "Sub":
			b.give(in, b.op("Neg", []string{dy}, nil))
		default:
			b.give(in, dy)
		}
	}
	return nil
}

func (b *builder) concat(node *graph.Node, dy string) error {
	axis := node.Int("axis", 0)
	if axis < 0 {
		axis += 4
	}
	var sizes []int64
	for _, in := range node.Inputs {
		if b.shapes[in] == nil {
			return ErrUnknown
		}
		sizes = append(sizes, b.shapes[in][axis])
	}
	parts := b.ops("Split", []string{dy, b.ints(sizes...)}, map[string]graph.Attr{"axis": graph.IntAttr(axis)}, len(sizes))
	for i, in := range node.Inputs {
		b.give(in, parts[i])
	}
	return nil
}

// maxPool sends each gradient to where the largest value was.
func (b *builder) maxPool(node *graph.Node, dy string) {
	if len(node.Outputs) < 2 {
		node.Outputs = append(node.Outputs, b.name())
	}
	x, flat := node.Inputs[0], b.ints(-1)
	reshape := func(name string) string { return b.op("Reshape", []string{name, flat}, nil) }
	nothing := b.op("Mul", []string{reshape(x), b.number(0)}, nil)
	sum := b.op("ScatterElements", []string{nothing, reshape(node.Outputs[1]), reshape(dy)},
		map[string]graph.Attr{"reduction": {Kind: graph.AttrText, Text: "add"}})
	b.give(x, b.op("Reshape", []string{sum, b.ints(b.shapes[x]...)}, nil))
}

// resize knows whole factors of the nearest neighbour.
func (b *builder) resize(node *graph.Node, dy string) error {
	from, to := b.shapes[node.Inputs[0]], b.shapes[node.Output()]
	if mode, ok := node.Attrs["mode"]; ok && mode.Text != "nearest" || from == nil || to[2]%from[2] != 0 || to[3]%from[3] != 0 {
		return ErrUnknown
	}
	h, w := to[2]/from[2], to[3]/from[3]
	mean := b.op("AveragePool", []string{dy}, map[string]graph.Attr{"kernel_shape": graph.IntsAttr(h, w), "strides": graph.IntsAttr(h, w)})
	b.give(node.Inputs[0], b.op("Mul", []string{mean, b.number(float32(h * w))}, nil))
	return nil
}
