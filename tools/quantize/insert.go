package quantize

import (
	"fmt"
	"maps"
	"slices"

	"github.com/sightline/sightline/models/graph"
)

// writer turns a float network into one in QDQ form: QuantizeLinear and DequantizeLinear stand around what onnxruntime then runs
// in int8.
type writer struct {
	m       *graph.Model
	levels  map[string]affine // of the tensors that become uint8
	cache   weightCache
	changes map[string]change
	spread  map[string]bool // outputs of convolutions that give levels, not values
}

// weightCache remembers weights once they are quantised: the same network is written again and again.
type weightCache struct {
	top  float64 // highest level of a weight
	done map[*graph.Tensor]weights
}

func newWeightCache(top float64) weightCache {
	return weightCache{top, map[*graph.Tensor]weights{}}
}

func (c weightCache) get(t *graph.Tensor) (weights, error) {
	if w, ok := c.done[t]; ok {
		return w, nil
	}
	w, err := quantizeWeights(t, c.top)
	c.done[t] = w
	return w, err
}

// apply writes the network. Changes are named by the outputs of convolutions.
func apply(m *graph.Model, levels map[string]affine, cache weightCache, changes map[string]change) (*graph.Model, error) {
	w := &writer{m: m.Clone(), levels: levels, cache: cache, changes: changes, spread: map[string]bool{}}
	for _, n := range append([]*graph.Node{}, w.m.Graph.Nodes...) {
		if n.Op != "Conv" {
			continue
		}
		if err := w.conv(n); err != nil {
			return nil, fmt.Errorf("quantise convolution %.80s: %w", n.Name, err)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(levels)) {
		w.tensor(name)
	}
	if err := w.m.Sort(); err != nil {
		return nil, err
	}
	w.m.Graph.RemoveDead()
	return w.m, w.m.Check()
}

// conv quantises the weights of a convolution that reads and makes uint8.
func (w *writer) conv(n *graph.Node) error {
	in, ok := w.levels[n.Inputs[0]]
	if in.factors != nil {
		if err := w.undo(n, in.factors); err != nil {
			return err
		}
	}
	out, also := w.levels[n.Output()]
	if !ok || !also {
		return w.floatBias(n)
	}
	q, err := w.kernel(n, in)
	if err != nil {
		return err
	}
	bias, err := w.biasOf(n)
	if err != nil {
		return err
	}
	scales, name := q.scales, n.Inputs[1]
	if w.changes[n.Output()].kernel != nil {
		name = w.m.Graph.Fresh(name + "_solved") // other convolutions may share the kernel
	}
	if out.channels != nil {
		scales, bias = spread(out.channels, scales, bias)
		name = w.m.Graph.Fresh(name + "_spread") // other convolutions may share the kernel
		w.spread[n.Output()] = true
	}
	channels := int64(len(scales))
	w.dequantize(name, graph.NewInt8(q.shape, q.levels), scales, graph.NewInt8([]int64{channels}, make([]int8, channels)))
	n.Inputs[1] = name + "_dq"
	w.int32Bias(n, in, scales, bias)
	return nil
}

// kernel gives the weights of a convolution as int8. Those that undo factors are its own and are not remembered.
func (w *writer) kernel(n *graph.Node, in affine) (weights, error) {
	if c := w.changes[n.Output()]; c.kernel != nil {
		return *c.kernel, nil
	}
	kernel := w.m.Graph.Const(n.Inputs[1])
	if in.factors != nil {
		return quantizeWeights(kernel, w.cache.top)
	}
	return w.cache.get(kernel)
}

// undo gives a convolution a kernel for an input whose channels are multiplied.
func (w *writer) undo(n *graph.Node, factors []float64) error {
	kernel, err := undo(w.m.Graph.Const(n.Inputs[1]), int(n.Int("group", 1)), factors)
	if err != nil {
		return err
	}
	name := w.m.Graph.Fresh(n.Inputs[1] + "_undo")
	w.m.Graph.Initializers[name] = kernel
	n.Inputs[1] = name
	return nil
}

func (w *writer) biasOf(n *graph.Node) ([]float32, error) {
	if c, ok := w.changes[n.Output()]; ok {
		return c.bias, nil
	}
	if n.Input(2) == "" {
		return nil, nil
	}
	t := w.m.Graph.Const(n.Input(2))
	if t == nil {
		return nil, fmt.Errorf("its bias is no constant")
	}
	return t.Floats()
}

// floatBias gives a convolution that stays float its corrected bias.
func (w *writer) floatBias(n *graph.Node) error {
	c, ok := w.changes[n.Output()]
	if !ok {
		return nil
	}
	name := w.m.Graph.Fresh(n.Output() + "_bias")
	w.m.Graph.Initializers[name] = graph.NewFloat([]int64{int64(len(c.bias))}, c.bias)
	n.Inputs = append(n.Inputs[:2], name)
	return nil
}

func (w *writer) int32Bias(n *graph.Node, in affine, scales, b []float32) {
	if b == nil {
		return
	}
	levels, steps := make([]int32, len(b)), make([]float32, len(b))
	for c, v := range b {
		steps[c] = float32(in.scale) * scales[c]
		levels[c] = int32(min(1<<31-1, max(-1<<31, float64(v)/float64(steps[c]))) + sign(v)*0.5)
	}
	name := w.m.Graph.Fresh(n.Output() + "_bias")
	w.dequantize(name, graph.NewInt32([]int64{int64(len(b))}, levels), steps, nil)
	n.Inputs = append(n.Inputs[:2], name+"_dq")
}

func sign(v float32) float64 {
	if v < 0 {
		return -1
	}
	return 1
}

// dequantize adds constants and the node that makes them float again, channel by channel.
func (w *writer) dequantize(name string, levels *graph.Tensor, scales []float32, zero *graph.Tensor) {
	g := w.m.Graph
	if _, done := g.Initializers[name+"_q"]; done {
		return
	}
	g.Initializers[name+"_q"] = levels
	g.Initializers[name+"_scale"] = graph.NewFloat([]int64{int64(len(scales))}, scales)
	inputs := []string{name + "_q", name + "_scale"}
	if zero != nil {
		g.Initializers[name+"_zero"] = zero
		inputs = append(inputs, name+"_zero")
	}
	g.Nodes = append(g.Nodes, &graph.Node{
		Name: name + "_dequantize", Op: "DequantizeLinear", Inputs: inputs, Outputs: []string{name + "_dq"},
		Attrs: map[string]graph.Attr{"axis": graph.IntAttr(0)},
	})
}

// tensor puts a pair behind a tensor, through which all read it. An output of the graph keeps its name.
func (w *writer) tensor(name string) {
	g, a := w.m.Graph, w.levels[name]
	from, to := name, name+"_dq"
	readers := g.Consumers(name)
	if g.IsOutput(name) {
		from, to = name+"_made", name
		producer := g.Producer(name)
		producer.Outputs[0] = from
	}
	for _, n := range readers {
		for i, in := range n.Inputs {
			if in == name {
				n.Inputs[i] = to
			}
		}
	}
	if a.factors != nil {
		from = w.multiply(from, a.factors)
	}
	g.Initializers[name+"_scale"] = graph.NewFloat(nil, []float32{float32(a.scale)})
	g.Initializers[name+"_zero"] = graph.NewUint8(nil, []uint8{uint8(a.zero)})
	params := []string{name + "_scale", name + "_zero"}
	quantize := &graph.Node{Name: name + "_quantize", Op: "QuantizeLinear", Inputs: append([]string{from}, params...), Outputs: []string{name + "_q"}}
	dequantize := &graph.Node{Name: name + "_dequantize", Op: "DequantizeLinear", Inputs: append([]string{name + "_q"}, params...), Outputs: []string{to}}
	if a.channels != nil {
		w.byChannel(dequantize, name, a.channels)
	}
	if a.channels != nil && !w.spread[name] { // the convolution gives values after all
		quantize.Inputs, quantize.Attrs = append([]string{from}, dequantize.Inputs[1:]...), dequantize.Attrs
	}
	g.Nodes = append(g.Nodes, quantize, dequantize)
}

// byChannel gives the node behind an output the levels of each channel.
func (w *writer) byChannel(n *graph.Node, name string, channels []affine) {
	scales, zeros := make([]float32, len(channels)), make([]uint8, len(channels))
	for c, a := range channels {
		scales[c], zeros[c] = float32(a.scale), uint8(a.zero)
	}
	g, shape := w.m.Graph, []int64{int64(len(channels))}
	g.Initializers[name+"_scales"], g.Initializers[name+"_zeros"] = graph.NewFloat(shape, scales), graph.NewUint8(shape, zeros)
	n.Inputs = []string{n.Inputs[0], name + "_scales", name + "_zeros"}
	n.Attrs = map[string]graph.Attr{"axis": graph.IntAttr(1)}
}

// multiply puts factors for each channel behind a tensor.
func (w *writer) multiply(from string, factors []float64) (to string) {
	g, v := w.m.Graph, make([]float32, len(factors))
	for c, f := range factors {
		v[c] = float32(f)
	}
	name, to := g.Fresh(from+"_factors"), g.Fresh(from+"_even")
	g.Initializers[name] = graph.NewFloat([]int64{1, int64(len(v)), 1, 1}, v)
	g.Nodes = append(g.Nodes, &graph.Node{Name: to, Op: "Mul", Inputs: []string{from, name}, Outputs: []string{to}})
	return to
}
