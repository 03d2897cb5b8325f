package gradient

import (
	"fmt"

	"github.com/sightline/sightline/models/graph"
)

// window is how a convolution goes over its input.
type window struct {
	outputs, inputs, group int64 // inputs of a group
	kernel, stride, pad    [2]int64
	end                    [2]int64 // padding behind
}

func (b *builder) windowOf(node *graph.Node, shape []int64) (window, error) {
	w := window{outputs: shape[0], inputs: shape[1], group: node.Int("group", 1), kernel: [2]int64{shape[2], shape[3]}, stride: [2]int64{1, 1}}
	if auto, ok := node.Attrs["auto_pad"]; ok && auto.Text != "NOTSET" {
		return w, fmt.Errorf("auto_pad %s: %w", auto.Text, ErrUnknown)
	}
	for _, d := range node.Ints("dilations") {
		if d != 1 {
			return w, fmt.Errorf("dilation %d: %w", d, ErrUnknown)
		}
	}
	if s := node.Ints("strides"); len(s) == 2 {
		w.stride = [2]int64{s[0], s[1]}
	}
	if p := node.Ints("pads"); len(p) == 4 {
		w.pad, w.end = [2]int64{p[0], p[1]}, [2]int64{p[2], p[3]}
	}
	if w.group > 1 && (w.inputs != 1 || w.outputs != w.group) {
		return w, fmt.Errorf("a convolution of %d groups: %w", w.group, ErrUnknown)
	}
	return w, nil
}

// conv gives back what its input, kernel and bias get.
func (b *builder) conv(n *Network, node *graph.Node, dy string) error {
	kernel := b.g.Initializers[node.Inputs[1]]
	if kernel == nil || len(b.g.Consumers(node.Inputs[1])) > 1 {
		return fmt.Errorf("a kernel that is no constant of its own: %w", ErrUnknown)
	}
	w, err := b.windowOf(node, kernel.Shape)
	if err != nil {
		return err
	}
	x := node.Inputs[0]
	if b.shapes[x] == nil {
		return ErrUnknown
	}
	if x != b.g.Inputs[0].Name {
		b.give(x, b.convInput(node, w, dy))
	}
	if n.moves != nil && !n.moves[node.Output()] {
		return nil
	}
	size := b.shapes[node.Output()]
	columns := b.columns(x, w, size)
	var grad string
	var order func([]float32) []float32
	if w.group > 1 {
		grad, order = b.depthwise(columns, dy), w.fromDepthwise
	} else {
		grad, order = b.dense(columns, dy, w, size[2]*size[3]), w.fromColumns
	}
	if err := n.add(b, node.Inputs[1], grad, order); err != nil || node.Input(2) == "" {
		return err
	}
	if len(b.g.Consumers(node.Inputs[2])) > 1 {
		return nil // a bias that is shared stays as it is
	}
	sum := b.op("ReduceSum", []string{dy, b.ints(0, 2, 3)}, map[string]graph.Attr{"keepdims": graph.IntAttr(0)})
	return n.add(b, node.Inputs[2], sum, func(v []float32) []float32 { return v })
}

func (n *Network) add(b *builder, name, grad string, order func([]float32) []float32) error {
	t := b.g.Initializers[name]
	if t == nil {
		return nil
	}
	v, err := t.Floats()
	n.Parameters = append(n.Parameters, &Parameter{Name: name, Shape: t.Shape, Value: v, from: grad, order: order})
	return err
}

// convInput is the transposed convolution.
func (b *builder) convInput(node *graph.Node, w window, dy string) string {
	size := b.shapes[node.Inputs[0]]
	var more [2]int64
	for i := range more {
		more[i] = (size[2+i] + w.pad[i] + w.end[i] - w.kernel[i]) % w.stride[i]
	}
	return b.op("ConvTranspose", []string{dy, node.Inputs[1]}, map[string]graph.Attr{
		"strides": graph.IntsAttr(w.stride[:]...), "pads": graph.IntsAttr(w.pad[0], w.pad[1], w.end[0], w.end[1]),
		"output_padding": graph.IntsAttr(more[:]...), "group": graph.IntAttr(w.group),
	})
}

// columns gives what each place of the kernel sees of the input, in the output's size.
func (b *builder) columns(x string, w window, size []int64) []string {
	if w.kernel == [2]int64{1, 1} && w.stride == [2]int64{1, 1} && w.pad == [2]int64{} && w.end == [2]int64{} {
		return []string{x}
	}
	if w.pad != [2]int64{} || w.end != [2]int64{} {
		x = b.op("Pad", []string{x, b.ints(0, 0, w.pad[0], w.pad[1], 0, 0, w.end[0], w.end[1])}, nil)
	}
	axes, steps := b.ints(2, 3), b.ints(w.stride[:]...)
	var list []string
	for u := range w.kernel[0] {
		for v := range w.kernel[1] {
			from := b.ints(u, v)
			to := b.ints(u+w.stride[0]*(size[2]-1)+1, v+w.stride[1]*(size[3]-1)+1)
			list = append(list, b.op("Slice", []string{x, from, to, axes, steps}, nil))
		}
	}
	return list
}

// dense gives [outputs, places of the kernel * inputs].
func (b *builder) dense(columns []string, dy string, w window, cells int64) string {
	all := columns[0]
	if len(columns) > 1 {
		all = b.op("Concat", columns, map[string]graph.Attr{"axis": graph.IntAttr(1)})
	}
	x := b.op("Reshape", []string{all, b.ints(-1, cells)}, nil)
	y := b.op("Reshape", []string{dy, b.ints(w.outputs, cells)}, nil)
	return b.op("Gemm", []string{y, x}, map[string]graph.Attr{"transB": graph.IntAttr(1)})
}

// depthwise gives [places of the kernel, channels].
func (b *builder) depthwise(columns []string, dy string) string {
	var sums []string
	for _, c := range columns {
		sums = append(sums, b.op("ReduceSum", []string{b.op("Mul", []string{c, dy}, nil), b.ints(2, 3)}, map[string]graph.Attr{"keepdims": graph.IntAttr(0)}))
	}
	if len(sums) == 1 {
		return sums[0]
	}
	return b.op("Concat", sums, map[string]graph.Attr{"axis": graph.IntAttr(0)})
}

// fromColumns brings a gradient into the order of the kernel.
func (w window) fromColumns(v []float32) []float32 {
	places := int(w.kernel[0] * w.kernel[1])
	in, to := int(w.inputs), make([]float32, len(v))
	for o := range int(w.outputs) {
		for k := range places {
			for i := range in {
				to[(o*in+i)*places+k] = v[(o*places+k)*in+i]
			}
		}
	}
	return to
}

func (w window) fromDepthwise(v []float32) []float32 {
	places, to := int(w.kernel[0]*w.kernel[1]), make([]float32, len(v))
	for k := range places {
		for c := range int(w.outputs) {
			to[c*places+k] = v[k*int(w.outputs)+c]
		}
	}
	return to
}
