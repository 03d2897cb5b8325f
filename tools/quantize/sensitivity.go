package quantize

import (
	"cmp"
	"context"
	"slices"

	"github.com/sightline/sightline/models/graph"
	"github.com/sightline/sightline/tools/judge"
)

// unit is what is quantised or left float as a whole: a tensor that an operator makes, and where that is a SiLU, what lies
// inside it.
type unit struct {
	name    string
	tensors []string
	error   float64 // of the network's outputs when this unit alone is uint8
	fine    bool    // it has levels for each channel
}

// units lists them in the order of the network. Tensors that only rearrange another one go with it.
func (p *plan) units() []unit {
	var list []unit
	at := map[string]int{}
	for _, name := range p.order {
		if r := p.rootOf(name); r != name {
			list[at[r]].tensors = append(list[at[r]].tensors, name)
			continue
		}
		if p.sigma[name] || p.before[name] != "" {
			continue // inside a SiLU
		}
		u := unit{name: name, tensors: []string{name}}
		if s, ok := p.silus[name]; ok {
			u.tensors = append(u.tensors, s.x, s.sigmoid)
		}
		at[name] = len(list)
		list = append(list, u)
	}
	return list
}

// levelsOf gives the levels of some units.
func (p *plan) levelsOf(units []unit) map[string]affine {
	levels := map[string]affine{}
	for _, u := range units {
		for _, name := range u.tensors {
			levels[name] = p.levels[name]
		}
	}
	return levels
}

// rank measures every unit alone and puts the worst first.
func (p *plan) rank(ctx context.Context, m *graph.Model, j *judge.Judge, cache weightCache, progress Progress) ([]unit, error) {
	units := p.units()
	for i := range units {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		q, err := apply(m, p.levelsOf(units[i:i+1]), cache, nil)
		if err != nil {
			return nil, err
		}
		if units[i].error, err = j.Error(q); err != nil {
			return nil, err
		}
		progress.show("sensitivity", i+1, len(units))
	}
	worstFirst(units)
	return units, nil
}

func worstFirst(units []unit) {
	slices.SortStableFunc(units, func(a, b unit) int { return cmp.Compare(b.error, a.error) })
}
