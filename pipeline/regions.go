package pipeline

import (
	"maps"
	"slices"

	"github.com/sightline/sightline/pipeline/bus"
)

// RegionConfig is a part of the frame that is looked at in each one: the smallest rectangle around its points, such as two corners or the
// coordinates of a zone.
type RegionConfig struct {
	Coordinates Coordinates `yaml:"coordinates"`
}

// box gives the corners, and whether there is a part of the frame between them.
func (r RegionConfig) box() (b bus.Box, ok bool) {
	if len(r.Coordinates) < 2 {
		return b, false
	}
	first := r.Coordinates[0]
	low, high := first, first
	for _, p := range r.Coordinates {
		for axis, v := range p {
			if !(v >= 0 && v <= 1) {
				return b, false
			}
			low[axis], high[axis] = min(low[axis], v), max(high[axis], v)
		}
	}
	b = bus.Box{float32(low[0]), float32(low[1]), float32(high[0]), float32(high[1])}
	return b, b[0] < b[2] && b[1] < b[3]
}

// boxes are the regions in the order of their names.
func (t TilesConfig) boxes() (all []bus.Box) {
	for _, name := range slices.Sorted(maps.Keys(t.Regions)) {
		b, _ := t.Regions[name].box()
		all = append(all, b)
	}
	return all
}
