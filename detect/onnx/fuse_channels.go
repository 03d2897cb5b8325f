package onnx

import (
	"slices"

	"github.com/sightline/sightline/models/graph"
)

// fuseChannels finds SiLUs of tensors that have levels for each channel, which onnxruntime can only run in float, and makes one
// operator of each. It returns how many it made. The operator wants channels last, as int8 convolutions do: the optimiser cancels
// the transpositions around it.
func fuseChannels(m *graph.Model) (int, error) {
	g, fused := m.Graph, 0
	for _, d := range slices.Clone(g.Nodes) {
		from, ok := channelLevels(g, d)
		if !ok || g.IsOutput(d.Output()) {
			continue
		}
		f, ok := readChannels(g, g.Index(), d, from)
		if !ok {
			continue
		}
		name := g.Fresh(f.to + "_tables")
		g.Initializers[name] = graph.NewUint8([]int64{int64(len(f.tables) / 256), 256}, f.tables)
		last, looked := g.Fresh(f.to+"_last"), g.Fresh(f.to+"_looked")
		g.Nodes = slices.DeleteFunc(g.Nodes, func(n *graph.Node) bool { return n.Outputs[0] == f.to })
		g.InsertAfter(d,
			&graph.Node{Op: "Transpose", Inputs: []string{d.Inputs[0]}, Outputs: []string{last}, Attrs: map[string]graph.Attr{"perm": graph.IntsAttr(0, 2, 3, 1)}},
			&graph.Node{Op: "LookupChannels", Domain: kernelDomain, Inputs: []string{last, name}, Outputs: []string{looked}},
			&graph.Node{Op: "Transpose", Inputs: []string{looked}, Outputs: []string{f.to}, Attrs: map[string]graph.Attr{"perm": graph.IntsAttr(0, 3, 1, 2)}})
		fused++
	}
	if fused == 0 {
		return 0, nil
	}
	g.RemoveDead()
	m.Opsets[kernelDomain] = 1
	return fused, m.Sort()
}

// channelsSiLU is a SiLU from levels by channel to levels of a tensor.
type channelsSiLU struct {
	to     string // the tensor that it makes
	tables []uint8
}

// readChannels expects, behind a DequantizeLinear by channel, a SiLU, perhaps a factor for each channel, and a QuantizeLinear.
func readChannels(g *graph.Graph, x graph.Index, d *graph.Node, from []levels) (channelsSiLU, bool) {
	product := siluBehind(x, d.Output())
	if product == nil {
		return channelsSiLU{}, false
	}
	q := onlyReader(g, x, product.Output())
	factors := make([]float64, len(from))
	for c := range factors {
		factors[c] = 1
	}
	if q != nil && q.Op == "Mul" {
		var ok bool
		if factors, ok = channelFactors(g, q, product.Output(), len(from)); !ok {
			return channelsSiLU{}, false
		}
		q = onlyReader(g, x, q.Output())
	}
	if q == nil || q.Op != "QuantizeLinear" {
		return channelsSiLU{}, false
	}
	to, ok := levelsAt(g, q, 1)
	f := channelsSiLU{to: q.Output()}
	for c, l := range from {
		t := table(l, to, func(v float64) float64 { return factors[c] * silu(v) })
		f.tables = append(f.tables, t[:]...)
	}
	return f, ok
}

// channelLevels are those of a DequantizeLinear along the channels of a picture.
func channelLevels(g *graph.Graph, d *graph.Node) ([]levels, bool) {
	if d.Op != "DequantizeLinear" || d.Int("axis", 1) != 1 {
		return nil, false
	}
	scale, zero := g.Const(d.Input(1)), g.Const(d.Input(2))
	if scale == nil || zero == nil || len(scale.Shape) != 1 || scale.Type != graph.Float || zero.Type != graph.Uint8 || zero.Len() != scale.Len() {
		return nil, false
	}
	v, err := scale.Floats()
	list := make([]levels, len(v))
	for c := range list {
		list[c] = levels{float64(v[c]), float64(zero.Data[c])}
	}
	return list, err == nil
}

// siluBehind is the product of a tensor, which nothing else reads, and its sigmoid.
func siluBehind(x graph.Index, name string) *graph.Node {
	readers := x.Consumers[name]
	if len(readers) != 2 {
		return nil
	}
	s, product := readers[0], readers[1]
	if s.Op != "Sigmoid" {
		s, product = product, s
	}
	if s.Op == "Sigmoid" && product.Op == "Mul" && slices.Contains(product.Inputs, s.Output()) && len(x.Consumers[s.Output()]) == 1 {
		return product
	}
	return nil
}

// onlyReader is the one node that reads a tensor; nil where there are more, or where it is an output.
func onlyReader(g *graph.Graph, x graph.Index, name string) *graph.Node {
	if readers := x.Consumers[name]; len(readers) == 1 && !g.IsOutput(name) {
		return readers[0]
	}
	return nil
}

// channelFactors reads the constant [1,C,1,1] that a tensor is multiplied with.
func channelFactors(g *graph.Graph, n *graph.Node, of string, channels int) ([]float64, bool) {
	for i, name := range n.Inputs {
		t := g.Const(name)
		if t == nil || len(n.Inputs) != 2 || n.Inputs[1-i] != of || !slices.Equal(t.Shape, []int64{1, int64(channels), 1, 1}) {
			continue
		}
		v, err := t.Floats()
		list := make([]float64, len(v))
		for c := range list {
			list[c] = float64(v[c])
		}
		return list, err == nil
	}
	return nil, false
}
