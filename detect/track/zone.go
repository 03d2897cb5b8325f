package track

import (
	"fmt"
	"time"
)

// DefaultInertia is in frames.
const DefaultInertia = 3

// Bounds of Zone.
const (
	MaxInertia   = 1000
	MaxLoitering = 24 * time.Hour
)

// Zone is an area in which objects are told of: one is in it when its bottom centre is.
type Zone struct {
	Name    string // [A-Za-z0-9_-]{1,64}
	Area    Polygon
	Labels  []string // of the objects that count; empty: all
	Inertia int      // frames in a row that a track must be seen inside, or outside, to be there; 0: DefaultInertia
	// Loitering is how long a track must be inside before it has entered; capture time.
	Loitering time.Duration
}

// Validate tells the first rule that a zone breaks.
func (z *Zone) Validate() error {
	if err := z.Area.Validate(); err != nil {
		return fmt.Errorf("zone %q: %w", z.Name, err)
	}
	if z.Inertia < 0 || z.Inertia > MaxInertia {
		return fmt.Errorf("zone %q: inertia %d: must be 0 (the default) to %d frames", z.Name, z.Inertia, MaxInertia)
	}
	if z.Loitering < 0 || z.Loitering > MaxLoitering {
		return fmt.Errorf("zone %q: loitering %v: must be 0s to %v", z.Name, z.Loitering, MaxLoitering)
	}
	return validateNamed("zone", z.Name, z.Labels)
}

// stay is what is known of one track and one zone.
type stay struct {
	inside  bool      // by the last frames, as many as the zone's inertia
	entered bool      // and for as long as it loiters: this is told of
	against int       // frames in a row that say otherwise than inside
	turned  time.Time // of the first of these
	since   time.Time // of the first frame inside
	last    time.Time // of the last frame inside
}

// see takes in whether the track is inside in the frame of a time.
func (s *stay) see(inside bool, now time.Time, inertia int) {
	if inside {
		s.last = now
	}
	if inside == s.inside {
		s.against = 0
		return
	}
	if s.against == 0 {
		s.turned = now
	}
	if s.against++; s.against < inertia {
		return
	}
	s.inside, s.against = inside, 0
	if inside {
		s.since = s.turned
	}
}

// turn tells whether the track has entered or left by now.
func (s *stay) turn(now time.Time, loitering time.Duration) (enters, leaves bool) {
	enters = s.inside && !s.entered && now.Sub(s.since) >= loitering
	leaves = !s.inside && s.entered
	s.entered = s.entered != (enters || leaves)
	return enters, leaves
}

// dwell is from the first frame inside to the last.
func (s *stay) dwell() time.Duration { return max(s.last.Sub(s.since), 0) }

// notAfter holds the times to a clock that went back.
func (s *stay) notAfter(now time.Time) {
	for _, past := range [...]*time.Time{&s.turned, &s.since, &s.last} {
		if past.After(now) {
			*past = now
		}
	}
}
