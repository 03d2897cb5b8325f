package quantize

import (
	"context"
	"maps"
	"math"
	"slices"

	"github.com/sightline/sightline/models/graph"
)

// fineAbove is the error of the outputs from which a part alone is tried with levels for each channel.
const fineAbove = tolerable / 40

// refine gives those SiLUs that suffer most from rounding levels for each channel, where that helps, and returns the units anew,
// the worst first.
func (s *static) refine(ctx context.Context, units []unit) ([]unit, error) {
	var tried []int
	names := map[string]field{}
	for i, u := range units {
		if u.error > fineAbove && s.plan.canBeFine(u.name) {
			tried = append(tried, i)
			for _, name := range []string{u.name, s.plan.silus[u.name].x} {
				names[name] = field{channels: s.plan.channelsOf(s.plan.silus[u.name].x)}
			}
		}
	}
	if len(tried) == 0 {
		return units, nil
	}
	stats, err := observe(ctx, s.m, slices.Sorted(maps.Keys(names)), names, s.o.Calibration, s.run, s.o.Progress)
	if err != nil {
		return nil, err
	}
	for done, i := range tried {
		if err := s.refineOne(&units[i], stats); err != nil {
			return nil, err
		}
		s.o.Progress.show("levels by channel", done+1, len(tried))
	}
	worstFirst(units)
	return units, nil
}

// canBeFine tells whether a tensor is a SiLU of what a convolution makes for it alone.
func (p *plan) canBeFine(name string) bool {
	silu, ok := p.silus[name]
	if !ok || p.graph.IsOutput(name) || p.graph.IsOutput(silu.x) {
		return false
	}
	n := p.graph.Producer(silu.x)
	return n != nil && n.Op == "Conv" && p.graph.Const(n.Inputs[1]) != nil && len(p.graph.Consumers(silu.x)) == 2 && len(p.graph.Consumers(silu.sigmoid)) == 1
}

// fields are the heads, and what SiLUs read that can have levels for each channel.
func (p *plan) fields() map[string]field {
	all := maps.Clone(p.heads)
	for name, silu := range p.silus {
		if p.canBeFine(name) {
			all[silu.x] = field{reaches: p.channelsOf(silu.x)}
		}
	}
	return all
}

// channelsOf is how many channels a convolution makes.
func (p *plan) channelsOf(made string) int {
	return int(p.graph.Const(p.graph.Producer(made).Inputs[1]).Shape[0])
}

// refineOne tries what can be done by channel, for what the SiLU reads and for what it makes, and keeps what leaves the least error.
func (s *static) refineOne(u *unit, stats map[string]*histogram) error {
	silu := s.plan.silus[u.name]
	plain := s.plan.levels[u.name]
	before := affine{scale: 1, channels: make([]affine, len(stats[silu.x].channels))}
	for c, h := range stats[silu.x].channels {
		before.channels[c] = h.beforeTable()
	}
	best, kept := *u, map[string]affine{u.name: plain, silu.x: s.plan.levels[silu.x]}
	for _, after := range append([]affine{plain}, s.equalised(u.name, stats[u.name])...) {
		s.plan.levels[silu.x], s.plan.levels[u.name] = before, after
		fine := unit{name: u.name, tensors: without(u.tensors, silu.sigmoid), fine: true}
		q, err := apply(s.m, s.plan.levelsOf([]unit{fine}), s.cache, nil)
		if err != nil {
			return err
		}
		if fine.error, err = s.judge.Error(q); err != nil {
			return err
		}
		if fine.error < best.error {
			best = fine
			kept[u.name], kept[silu.x] = after, before
		}
	}
	maps.Copy(s.plan.levels, kept)
	*u = best
	return nil
}

// without leaves a name out: the sigmoid inside a SiLU that is one look-up needs no levels.
func without(names []string, name string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(n string) bool { return n == name })
}

// beforeTable is beforeSiLU where the SiLU is one look-up that rounds once.
func (h *histogram) beforeTable() affine {
	lows := []float64{0}
	if h.min < 0 {
		lows = shares(h.min, 24, 0.05)
	}
	return h.search(lows, shares(h.max, 24, 0.1), silu, func(a affine, level int) float64 { return silu(a.value(level)) })
}

// equalised gives ways to multiply the channels of a SiLU's output so that one scale suits all: half way or wholly, and with less or
// more room below zero, which channels of low values need. What reads the tensor takes it back in its weights, so it must be
// convolutions.
func (s *static) equalised(name string, h *histogram) (ways []affine) {
	for _, n := range s.plan.graph.Consumers(name) {
		if n.Op != "Conv" || s.plan.graph.Const(n.Inputs[1]) == nil {
			return nil
		}
	}
	tops := make([]float64, len(h.channels))
	for c, of := range h.channels {
		tops[c] = of.ofSiLU().high()
	}
	for _, room := range []float64{0.25, 0.5, 1} {
		for _, power := range []float64{0.5, 1} {
			ways = append(ways, h.equal(tops, room, power))
		}
	}
	return ways
}

// equal multiplies channels so that none goes beyond 1 nor below -room, to a power.
func (h *histogram) equal(tops []float64, room, power float64) affine {
	factors, highest, lowest := make([]float64, len(tops)), 0.0, 0.0
	for c, top := range tops {
		low := min(0, h.channels[c].min)
		factors[c] = math.Pow(max(top, -low/room, 1e-3), -power)
		highest, lowest = max(highest, top*factors[c]), min(lowest, low*factors[c])
	}
	a := spanning(lowest, highest)
	a.factors = factors
	return a
}

// undo divides what a kernel holds for each channel that it reads by the factor of the channel.
func undo(kernel *graph.Tensor, groups int, factors []float64) (*graph.Tensor, error) {
	w, err := kernel.Floats()
	if err != nil {
		return nil, err
	}
	outs, ins := int(kernel.Shape[0]), int(kernel.Shape[1])
	each := len(w) / (outs * ins)
	for i := range w {
		o, in := i/each/ins, i/each%ins
		w[i] = float32(float64(w[i]) / factors[o/(outs/groups)*ins+in])
	}
	return graph.NewFloat(kernel.Shape, w), nil
}
