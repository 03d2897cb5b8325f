package ingest

import (
	"math"
	"time"

	"github.com/sightline/sightline/pipeline/bus"
)

// placeStep is the distance between places where a tile may begin, pixels: the step of the networks' coarsest grid.
const placeStep = 32

// asides are how far from a tile's middle what it is for stands, pixels, in turn.
var asides = [][2]float32{{0, 0}, {64, 0}, {0, 64}, {-64, 0}, {0, -64}}

// place finds the tile of w by h that holds the place f and beside it those that have waited longest in all; of several such
// tiles the one in whose middle f stands, or, from frame to frame, beside it: what stands still is seen from several sides.
func (ws *wants) place(f *want, w, h int) bus.Region {
	best, most, off := bus.Region{}, time.Duration(-1), 0.0
	aside := asides[ws.frames%len(asides)]
	middle := bus.Box{f.box[0] + aside[0], f.box[1] + aside[1], f.box[2] + aside[0], f.box[3] + aside[1]}
	xs, ys := starts(f.box[0], f.box[2], w, int(ws.width)), starts(f.box[1], f.box[3], h, int(ws.height))
	for y := ys.from; y <= ys.to; y += placeStep {
		for x := xs.from; x <= xs.to; x += placeStep {
			// The last place is the frame's edge, which need not be a multiple of the step.
			r := bus.Region{X: min(x, int(ws.width)-w), Y: min(y, int(ws.height)-h), W: w, H: h}
			worth, away := ws.worth(r), centreDistance(r, middle)
			if worth > most || worth == most && away < off {
				best, most, off = r, worth, away
			}
		}
	}
	return best
}

// span is where a tile may begin on one axis, in steps of placeStep.
type span struct{ from, to int }

// starts gives where a tile may begin so that it holds from..to with room, in a frame of a length.
func starts(from, to float32, tile, length int) span {
	last := max(length-tile, 0)
	low, high := int(math.Ceil(float64(to)))+wantRoom-tile, int(from)-wantRoom
	low, high = min(max(low, 0), last), min(max(high, 0), last)
	s := span{(low + placeStep - 1) / placeStep * placeStep, high}
	if high == last { // the frame's edge counts as a place
		s.to = last + placeStep - 1
	}
	if s.from > s.to {
		s.from, s.to = high, high
	}
	return s
}

// worth is how long all that a tile holds has waited.
func (ws *wants) worth(r bus.Region) time.Duration {
	var sum time.Duration
	room := ws.room(r)
	for i := range ws.all {
		if w := &ws.all[i]; !w.served && room.Holds(w.box) {
			sum += w.waits + time.Millisecond
		}
	}
	return sum
}

func centreDistance(r bus.Region, b bus.Box) float64 {
	t := r.Box()
	return math.Abs(float64(t[0]+t[2]-b[0]-b[2])) + math.Abs(float64(t[1]+t[3]-b[1]-b[3]))
}
