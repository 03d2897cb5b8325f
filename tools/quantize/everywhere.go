package quantize

import (
	"maps"
	"math"
	"slices"

	"github.com/sightline/sightline/models/graph"
)

const (
	// headroom is how far the levels of a channel reach beyond what was seen: its extremes are rare, and few pictures show them.
	headroom = 1.25
	// rarest is the share of the pictures that ranges need not hold at all.
	rarest = 0.01
	// nothing is where a SiLU makes hardly anything of a value any more: -8 becomes -0.003.
	nothing = -8
	// evened is how far factors bring channels to one range, as a power. Wholly even channels leave too much to the levels of weights.
	evened = 0.5
)

// everywhere gives every SiLU levels by channel, if less goes wrong that way in pictures that nothing was chosen by. Each part alone may have
// little to gain, and all of them together much.
func (s *static) everywhere(units []unit) ([]unit, error) {
	fine, some := s.allFine(units)
	if !some {
		return units, nil
	}
	before, err := s.detections(units, s.plan.levels)
	if err != nil {
		return nil, err
	}
	after, err := s.detections(fine.units, fine.levels)
	if err != nil || after >= before {
		return units, err
	}
	s.plan.levels, s.report.ByChannel = fine.levels, true
	return fine.units, nil
}

// detections is the error of a plan on the pictures apart.
func (s *static) detections(units []unit, levels map[string]affine) (float64, error) {
	p := *s.plan
	p.levels = levels
	q, err := apply(s.m, p.useful(p.levelsOf(units)), s.cache, nil)
	if err != nil {
		return 0, err
	}
	return s.others.judge.Error(q)
}

// candidate is another way to quantise the same network.
type candidate struct {
	units  []unit
	levels map[string]affine
}

// allFine is the way with levels by channel in every SiLU that can have them, if some can.
func (s *static) allFine(units []unit) (candidate, bool) {
	p := s.plan
	fine := candidate{slices.Clone(units), maps.Clone(p.levels)}
	some := false
	for i, u := range fine.units {
		if !p.canBeFine(u.name) {
			continue
		}
		silu := p.silus[u.name]
		seen := extents(s.reaches[silu.x])
		fine.units[i].tensors, fine.units[i].fine, some = without(u.tensors, silu.sigmoid), true, true
		fine.levels[silu.x] = wide(seen)
		if p.onlyConvsRead(u.name) {
			fine.levels[u.name] = evenly(seen)
		}
	}
	return fine, some
}

// onlyConvsRead tells whether all that reads a tensor can take factors back in its weights.
func (p *plan) onlyConvsRead(name string) bool {
	return !slices.ContainsFunc(p.graph.Consumers(name), func(n *graph.Node) bool { return n.Op != "Conv" || p.graph.Const(n.Inputs[1]) == nil })
}

// extent is the least and the greatest value of a channel.
type extent struct{ min, max float64 }

// wide gives the channels of what a SiLU reads levels with room for more than was seen.
func wide(channels []extent) affine {
	a := affine{scale: 1}
	for _, e := range channels {
		a.channels = append(a.channels, spanning(max(nothing, headroom*e.min), max(headroom*e.max, -siluLow)))
	}
	return a
}

// evenly gives what a SiLU makes one scale and factors for the channels, by the extents of what it reads.
func evenly(channels []extent) affine {
	factors, lowest, highest, most := make([]float64, len(channels)), 0.0, 0.0, 0.0
	for _, e := range channels {
		most = max(most, silu(max(e.max, 0)))
	}
	for c, e := range channels {
		top, low := max(silu(max(e.max, 0)), 0.02*most, 1e-3), lowOfSiLU(e.min)
		factors[c] = math.Pow(max(top, -2*low), -evened)
		highest, lowest = max(highest, top*factors[c]), min(lowest, low*factors[c])
	}
	a := spanning(lowest, highest)
	a.factors = factors
	return a
}

// lowOfSiLU is the least that a SiLU makes of values down to low.
func lowOfSiLU(low float64) float64 {
	const deepest = -1.2784645
	if low < deepest {
		return siluLow
	}
	return min(0, silu(low))
}

// reach is how far a channel goes in every picture.
type reach struct{ lows, highs []float32 }

// extents are how far channels usually go: how far the rarest pictures take them says more of how many were shown than of the network.
func extents(channels []reach) (list []extent) {
	for _, r := range channels {
		list = append(list, r.usual())
	}
	return list
}

// usual is what all pictures but the rarest keep to.
func (r reach) usual() extent {
	slices.Sort(r.lows)
	slices.Sort(r.highs)
	rare := int(rarest * float64(len(r.lows)))
	return extent{min(0, float64(r.lows[rare])), max(0, float64(r.highs[len(r.highs)-1-rare]))}
}
