package ingest

import (
	"math"
	"time"

	"github.com/sightline/sightline/pipeline/bus"
)

const (
	// placeStep is the distance between places where a tile may begin, pixels: the step of the networks' coarsest grid.
	placeStep = 32
	// viewShare of what is wanted around an object a tile shows that found the object.
	viewShare = 0.8
	// viewRoom is how far before an object that no tile of the grid holds its own tile begins, pixels.
	viewRoom = 24
)

// place finds the tile for the place f, which holds beside it those that have waited longest in all.
func (ws *wants) place(f *want) bus.Region {
	if f.again {
		return ws.view(f)
	}
	return ws.around(f)
}

// view is the tile to look again at what was found: the one that found it; else one of the grid, whose looks say what is there; where
// none holds it, one of its own that begins before it.
func (ws *wants) view(f *want) bus.Region {
	if f.tile.W > 0 && f.tile.Box().Common(f.box) >= viewShare*f.box.Area() {
		return f.tile
	}
	best := choice{}
	for _, r := range ws.grid {
		if ws.room(r).Holds(f.box) {
			best.offer(r, ws.worth(r), centreDistance(r, f.box))
		}
	}
	if best.some {
		return best.tile
	}
	return bus.Region{X: ws.begin(f.box, 0), Y: ws.begin(f.box, 1), W: ws.grid[0].W, H: ws.grid[0].H}
}

// begin is where a tile for a box that none of the grid holds begins on an axis: where one does that holds it there, or before it.
func (ws *wants) begin(b bus.Box, axis int) int {
	tile, length := ws.grid[0].W, ws.width
	if axis == 1 {
		tile, length = ws.grid[0].H, ws.height
	}
	for _, g := range ws.grid {
		if r := g.Box(); r[axis] <= b[axis] && b[2+axis] <= r[2+axis] {
			return int(r[axis])
		}
	}
	return int(max(0, min(b[axis]-viewRoom, length-float32(tile))))
}

// around is, of several such tiles, the one in whose middle f stands.
func (ws *wants) around(f *want) bus.Region {
	w, h := ws.grid[0].W, ws.grid[0].H
	best := choice{}
	xs, ys := starts(f.box[0], f.box[2], w, int(ws.width)), starts(f.box[1], f.box[3], h, int(ws.height))
	for y := ys.from; y <= ys.to; y += placeStep {
		for x := xs.from; x <= xs.to; x += placeStep {
			// The last place is the frame's edge, which need not be a multiple of the step.
			r := bus.Region{X: min(x, int(ws.width)-w), Y: min(y, int(ws.height)-h), W: w, H: h}
			best.offer(r, ws.worth(r), centreDistance(r, f.box))
		}
	}
	return best.tile
}

// choice is the tile that is worth most of those offered, of several the nearest.
type choice struct {
	tile bus.Region
	most time.Duration
	off  float64
	some bool
}

func (c *choice) offer(r bus.Region, worth time.Duration, away float64) {
	if !c.some || worth > c.most || worth == c.most && away < c.off {
		*c = choice{r, worth, away, true}
	}
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
