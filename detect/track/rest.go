package track

import (
	"time"

	"github.com/sightline/sightline/pipeline/bus"
)

// When a track is where it was.
const (
	stayOverlap = 0.6 // with its place: boxes of a thing that stands tremble by less, also small ones
	goneOverlap = 0.1 // less is no trembling: one frame is enough to say that it has moved
	awayFrames  = 3   // seen elsewhere in a row, until it has moved
	placeFrames = 8   // whose mean its place is: later ones do not change it, so that who creeps leaves it
)

// rest is what is known of the place of a track: only frames in which it was seen change it, so one that nobody looks at stays
// where it is, and time counts, not frames.
type rest struct {
	place      bus.Box
	since      time.Time // of the first frame there
	frames     int       // in which it was seen there
	away       int       // frames in a row in which it was seen elsewhere
	stationary bool      // it was seen there for long enough
	told       bool      // what was last told of this
}

// see takes in where the track was seen, and settles whether it is stationary.
func (r *rest) see(box bus.Box, now time.Time, after time.Duration) {
	overlap := r.place.IoU(box)
	switch {
	case r.frames > 0 && overlap >= stayOverlap:
		r.stay(box)
	case r.frames > 0 && overlap >= goneOverlap && r.away < awayFrames-1:
		r.away++
	default:
		*r = rest{place: box, since: now, frames: 1, told: r.told}
	}
	r.stationary = now.Sub(r.since) >= after
}

func (r *rest) stay(box bus.Box) {
	r.away = 0
	r.frames++
	if r.frames > placeFrames {
		return
	}
	for i := range box {
		r.place[i] += (box[i] - r.place[i]) / float32(r.frames)
	}
}

// message is what others are told.
func (r *rest) message() bus.Rest {
	if !r.stationary {
		return bus.Rest{}
	}
	return bus.Rest{Stationary: true, MotionlessSince: r.since.UTC(), MotionlessCount: r.frames}
}
