package detect

import (
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

// shares are those of the model's own sides that inputs may have, for frames of 16:9 and of 4:3. They are few, so that there are few
// shapes, whatever is looked at.
var shares = [...]float32{9. / 16, 3. / 4, 1}

// shapes are the inputs that a network can have, its own first.
type shapes []shape

// shapesOf gives the inputs of a network. One with a decode tail is bound to its own.
func shapesOf(spec models.Spec) shapes {
	all := ownShape(spec)
	own := all[0]
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

// side is a share of a side in whole strides.
func side(own int, share float32) int {
	return max(1, (int(share*float32(own))+stride-1)/stride) * stride
}

// fit is the smallest shape that shows a region at the scale that the model's own has for it: the rest would be grey borders.
func (all shapes) fit(r bus.Region) (index int) {
	least := sameScale * all[0].scale(r)
	for i, s := range all {
		if s.scale(r) >= least && s.area() < all[index].area() {
			index = i
		}
	}
	return index
}

// pixels are those of the network's input that looks at regions take.
func (all shapes) pixels(regions []bus.Region) (n int) {
	for _, r := range regions {
		n += all[all.fit(r)].area()
	}
	return n
}
