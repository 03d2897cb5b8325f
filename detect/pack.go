package detect

import (
	"cmp"
	"slices"

	"github.com/sightline/sightline/models"
	"github.com/sightline/sightline/pipeline/bus"
)

// shape is a size of the network's input, in pixels.
type shape struct{ width, height int }

func (s shape) area() int { return s.width * s.height }

// scale is that of a region which fills as much of the input as it can.
func (s shape) scale(r bus.Region) float32 {
	return min(float32(s.width)/float32(r.W), float32(s.height)/float32(r.H))
}

const (
	stride = 32 // of the coarsest grid: sides of inputs are multiples of it
	// sameScale is how much of its scale a region may lose to an input that is a little small for it.
	sameScale = 0.97
)

// shares are those that inputs may have, as shares of the model's own: of a frame of 16:9 and of 4:3 and for two tiles side by side that
// overlap by 30 or by 20 %. They are few, so that there are few shapes, whatever is looked at.
var shares = [...]float32{9. / 16, 3. / 4, 1, 1.7, 1.8}

// shapesOf gives the inputs that a network can have, its own first. One with a decode tail is bound to that.
func shapesOf(spec models.Spec) []shape {
	own := shape{spec.Width, spec.Height}
	all := []shape{own}
	if len(spec.Head) == 0 {
		return all
	}
	for _, w := range shares {
		for _, h := range shares {
			if s := (shape{side(own.width, w), side(own.height, h)}); !slices.Contains(all, s) {
				all = append(all, s)
			}
		}
	}
	return all
}

// side is a share of a side in whole strides: enough for what is smaller, at most as much for what is larger.
func side(own int, share float32) int {
	n := int(share * float32(own))
	if share < 1 {
		n += stride - 1
	}
	return max(stride, n/stride*stride)
}

// look is one input of the network: a region that was asked for, or one that holds several of them.
type look struct {
	region bus.Region
	shape  int        // its number
	asked  int        // regions that were asked for
	tile   bus.Region // the first of them
}

// packer looks at regions with as few pixels of the network's input as it can: each with the smallest shape that shows it at its scale, and
// neighbours together where that is cheaper than one by one, for then what they have in common is looked at once. Not so under the grid
// policy, which is for who wants all that can be found: two looks at one thing find a little more than one.
type packer struct{ shapes []shape }

// pack appends the looks at regions, the largest first, since those take longest.
func (p packer) pack(looks []look, regions []bus.Region, policy bus.Policy) []look {
	first := len(looks)
	for _, r := range regions {
		index, _ := p.fit(r, p.shapes[0].scale(r))
		looks = append(looks, look{region: r, shape: index, asked: 1, tile: r})
	}
	if policy != bus.PolicyGrid && len(p.shapes) > 1 {
		looks = p.join(looks, first)
	}
	slices.SortStableFunc(looks[first:], func(a, b look) int { return cmp.Compare(p.shapes[b.shape].area(), p.shapes[a.shape].area()) })
	return looks
}

// pixels are those of the network's input that looks take.
func (p packer) pixels(looks []look) (n int) {
	for _, l := range looks {
		n += p.shapes[l.shape].area()
	}
	return n
}

// asked is how many regions looks are at.
func asked(looks []look) (n int) {
	for _, l := range looks {
		n += l.asked
	}
	return n
}

// fit is the smallest shape that shows a region at a scale.
func (p packer) fit(r bus.Region, scale float32) (index int, ok bool) {
	for i, s := range p.shapes {
		if s.scale(r) >= sameScale*scale && (!ok || s.area() < p.shapes[index].area()) {
			index, ok = i, true
		}
	}
	return index, ok
}

// join puts looks together, two at a time, until none gains by it.
func (p packer) join(looks []look, first int) []look {
	for again := true; again; {
		again = false
		for i := first; i < len(looks); i++ {
			if j, with := p.partner(looks, i); j > i {
				looks[i] = with
				looks = slices.Delete(looks, j, j+1)
				again = true
			}
		}
	}
	return looks
}

// partner is the look behind one that it saves most with, and what both are together; 0 for none.
func (p packer) partner(looks []look, i int) (best int, with look) {
	saved := 0
	a := &looks[i]
	scale := p.shapes[0].scale(a.tile)
	for j := i + 1; j < len(looks); j++ {
		b := &looks[j]
		if a.tile.W != b.tile.W || a.tile.H != b.tile.H {
			continue
		}
		both := look{region: union(a.region, b.region), asked: a.asked + b.asked, tile: a.tile}
		index, ok := p.fit(both.region, scale)
		if !ok {
			continue
		}
		if s := p.shapes[a.shape].area() + p.shapes[b.shape].area() - p.shapes[index].area(); s > saved {
			both.shape = index
			best, with, saved = j, both, s
		}
	}
	return best, with
}

func union(a, b bus.Region) bus.Region {
	x, y := min(a.X, b.X), min(a.Y, b.Y)
	return bus.Region{X: x, Y: y, W: max(a.X+a.W, b.X+b.W) - x, H: max(a.Y+a.H, b.Y+b.H) - y}
}
