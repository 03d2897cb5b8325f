package quantize

import (
	"math"
	"slices"

	"github.com/sightline/sightline/models/graph"
	"github.com/sightline/sightline/tools/onnxgraph"
)

// plan says which tensors of a network become uint8, and how.
type plan struct {
	graph  *graph.Graph
	order  []string            // quantisable tensors, as they are made; the input first
	silus  map[string]siluPair // by the tensor that the SiLU makes
	before map[string]string   // what a SiLU reads -> what it makes
	sigma  map[string]bool     // outputs of sigmoids
	root   map[string]string   // tensors that only rearrange another one share its levels
	heads  map[string]field    // outputs that convolutions make
	whole  map[string]bool     // tensors that are no float
	levels map[string]affine
}

// siluPair is x*sigmoid(x) in two nodes.
type siluPair struct{ x, sigmoid string }

// rearranging operators move values without changing them: input and output must have the same levels.
var rearranging = []string{"MaxPool", "Resize", "Slice", "Reshape", "Transpose"}

// computing operators have an int8 form in onnxruntime.
var computing = []string{"Conv", "Sigmoid", "Mul", "Add", "Concat"}

// newPlan finds what can be quantised. An operator that is not known is a border: the tensors around it stay float.
func newPlan(m *graph.Model, head *onnxgraph.Head) *plan {
	g := m.Graph
	p := &plan{
		graph: g, silus: map[string]siluPair{}, before: map[string]string{}, sigma: map[string]bool{}, root: map[string]string{}, levels: map[string]affine{},
		heads: headsOf(m, head), whole: wholeTensors(g),
	}
	p.order = append(p.order, g.Inputs[0].Name)
	for _, n := range g.Nodes {
		p.node(n)
	}
	return p
}

func (p *plan) node(n *graph.Node) {
	if n.Domain != "" || len(n.Outputs) != 1 || p.whole[n.Output()] {
		return
	}
	out := n.Output()
	switch {
	case slices.Contains(rearranging, n.Op):
		if !slices.Contains(p.order, n.Inputs[0]) || n.Op == "Resize" && n.Attrs["mode"].Text != "nearest" && n.Attrs["mode"].Text != "" {
			return
		}
		p.root[out] = p.rootOf(n.Inputs[0])
	case !slices.Contains(computing, n.Op):
		return
	case n.Op == "Conv" && p.graph.Const(n.Inputs[1]) == nil:
		return
	case n.Op == "Sigmoid":
		p.sigma[out] = true
	case n.Op == "Mul":
		for i, name := range n.Inputs {
			if s := p.graph.Producer(name); s != nil && s.Op == "Sigmoid" && s.Inputs[0] == n.Inputs[1-i] {
				p.silus[out] = siluPair{n.Inputs[1-i], name}
				p.before[n.Inputs[1-i]] = out
			}
		}
	}
	p.order = append(p.order, out)
}

func (p *plan) rootOf(name string) string {
	if r, ok := p.root[name]; ok {
		return r
	}
	return name
}

// observed lists the tensors whose values must be known: those whose levels follow from nothing else.
func (p *plan) observed() []string {
	var names []string
	for _, name := range p.order[1:] {
		if p.rootOf(name) == name && !p.sigma[name] {
			names = append(names, name)
		}
	}
	return names
}

// choose finds the levels of every tensor. step is the distance of two levels of the input, which are whole numbers times it.
func (p *plan) choose(stats map[string]*histogram, step float64) {
	p.levels[p.order[0]] = affine{scale: float64(float32(step))}
	for _, name := range p.order[1:] {
		h := stats[name]
		_, makesSiLU := p.silus[name]
		switch {
		case p.rootOf(name) != name:
			p.levels[name] = p.levels[p.rootOf(name)]
		case p.sigma[name]:
			p.levels[name] = sigmoidLevels
		case makesSiLU:
			p.levels[name] = h.ofSiLU()
		case p.before[name] != "":
			p.levels[name] = h.beforeSiLU()
		case h.channels != nil:
			p.levels[name] = h.ofHead(p.heads[name])
		default:
			p.levels[name] = h.plain()
		}
	}
	p.unify()
}

// alike is how much coarser than its own the levels of a tensor may become so that a Concat need not convert it.
const alike = 1.5

// unify gives what a Concat puts together the same levels where their ranges are alike: then it copies and does not convert.
func (p *plan) unify() {
	for _, n := range p.graph.Nodes {
		if n.Op != "Concat" {
			continue
		}
		names := append([]string{n.Output()}, n.Inputs...)
		lo, hi, finest := 0.0, 0.0, math.Inf(1)
		for _, name := range names {
			a, ok := p.levels[name]
			if !ok {
				lo, hi = math.Inf(-1), math.Inf(1) // a part that stays float: leave all alone
				break
			}
			lo, hi, finest = min(lo, a.low()), max(hi, a.high()), min(finest, a.scale)
		}
		if all := spanning(lo, hi); all.scale <= alike*finest {
			for _, name := range names {
				p.share(p.rootOf(name), all)
			}
		}
	}
}

// share gives a tensor, and those that rearrange it, levels.
func (p *plan) share(root string, a affine) {
	for _, name := range p.order {
		if p.rootOf(name) == root {
			p.levels[name] = a
		}
	}
}
