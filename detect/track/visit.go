package track

import (
	"math"
	"reflect"
	"time"

	"github.com/sightline/sightline/pipeline/bus"
)

// visit is what is known of one target in the scene. Only frames in which it was seen change it: one that is carried stays in
// its zones, and crosses nothing.
type visit struct {
	at        Point // its bottom centre when it was seen last, pixels; while it is not told of: when it was seen first
	stays     []stay
	crossings []crossing
	zones     []string // names of those that it has entered
}

// newVisit uses the memory of visits that are over.
func (t *Tracker) newVisit() *visit {
	if len(t.idle) == 0 {
		t.idle = append(t.idle, &visit{})
	}
	last := len(t.idle) - 1
	v := t.idle[last]
	t.idle = t.idle[:last]
	v.stays, v.crossings, v.zones = zeroed(v.stays, len(t.scene.Zones)), zeroed(v.crossings, len(t.scene.Lines)), v.zones[:0]
	return v
}

// observe takes in where a target was seen in this frame, and tells what it did there. The way of a target that was not told of
// yet is put off: until then it is the straight one from where it was seen first.
func (t *Tracker) observe(g *target) {
	at := bottomCentre(g.object.Box)
	t.observeZones(g, relative(at, t.frame))
	if g.hits == 1 {
		g.visit.at = at
	}
	if g.hits == 1 || g.id != 0 {
		t.observeLines(g, at)
	}
}

func (t *Tracker) observeZones(g *target, at Point) {
	turned := false
	for i := range t.scene.Zones {
		z, s := &t.scene.Zones[i], &g.visit.stays[i]
		if !admits(z.Labels, g.object.Label) {
			continue
		}
		s.see(z.Area.contains(at), t.now, or(z.Inertia, DefaultInertia))
		if g.id == 0 {
			continue
		}
		enters, leaves := s.turn(t.now, z.Loitering)
		switch {
		case enters:
			t.happened(bus.EventZoneEnter, g).Zone = z.Name
		case leaves:
			t.left(g, z, s)
		}
		turned = turned || enters || leaves
	}
	if turned {
		g.visit.name(t.scene.Zones)
	}
}

// name lists the zones that were entered.
func (v *visit) name(zones []Zone) {
	v.zones = v.zones[:0]
	for i := range v.stays {
		if v.stays[i].entered {
			v.zones = append(v.zones, zones[i].Name)
		}
	}
}

func (t *Tracker) left(g *target, z *Zone, s *stay) {
	e := t.happened(bus.EventZoneLeave, g)
	dwell := float64(s.dwell()) / float64(time.Millisecond)
	e.Zone, e.DwellMS = z.Name, &dwell
}

func (t *Tracker) observeLines(g *target, at Point) {
	from, margin := g.visit.at, lineMargin(g)
	for i := range t.scene.Lines {
		if l := &t.scene.Lines[i]; admits(l.Labels, g.object.Label) {
			t.crossed(g, l, g.visit.crossings[i].step(&t.segments[i], from, at, margin))
		}
	}
	g.visit.at = at
}

// lineMargin is how far beside a line a target must be seen to be clearly there, pixels.
func lineMargin(g *target) float64 {
	return clearOfLine * math.Max(math.Sqrt(g.object.Box.Area()), smallestSize)
}

func (t *Tracker) crossed(g *target, l *Line, sense int) {
	if sense != 0 {
		e := t.happened(bus.EventLineCross, g)
		e.Line, e.Direction = l.Name, directionOf(sense)
	}
}

// depart ends the visit of a target that ends.
func (t *Tracker) depart(g *target) {
	if g.id != 0 {
		for i := range t.scene.Lines {
			l := &t.scene.Lines[i]
			t.crossed(g, l, g.visit.crossings[i].last(&t.segments[i], g.visit.at))
		}
		for i := range t.scene.Zones {
			if s := &g.visit.stays[i]; s.entered {
				t.left(g, &t.scene.Zones[i], s)
			}
		}
	}
	t.idle = append(t.idle, g.visit)
	g.visit = nil
}

// SetScene gives the places in the picture another meaning from now on. No track ends; what it did to zones and lines that stay
// as they are is not forgotten; a zone that changes or goes is left. It returns the events of that, valid until the next call.
// s is valid and stays as it is.
func (t *Tracker) SetScene(s Scene) []bus.Event {
	t.events = t.events[:0]
	before := t.scene
	t.scene = s
	t.segments = s.segments(t.segments, t.frame)
	for i := range t.targets {
		g := &t.targets[i]
		old := g.visit
		g.visit = t.newVisit()
		g.visit.at = old.at
		t.keepStays(g, old, before.Zones)
		t.keepCrossings(g, old, before.Lines)
		g.visit.name(s.Zones)
		t.idle = append(t.idle, old)
	}
	return t.events
}

func (t *Tracker) keepStays(g *target, old *visit, before []Zone) {
	for i := range before {
		z := &before[i]
		if j := find(t.scene.Zones, z); j >= 0 {
			g.visit.stays[j] = old.stays[i]
		} else if old.stays[i].entered {
			t.left(g, z, &old.stays[i])
		}
	}
}

// keepCrossings leaves a target that stands clearly beside a new line there, so that its next way through it counts.
func (t *Tracker) keepCrossings(g *target, old *visit, before []Line) {
	for j := range t.scene.Lines {
		c := &g.visit.crossings[j]
		if i := find(before, &t.scene.Lines[j]); i >= 0 {
			*c = old.crossings[i]
		} else {
			c.step(&t.segments[j], old.at, old.at, lineMargin(g))
		}
	}
}

// find gives the place of one that is the same in every respect, -1 for none.
func find[T any](all []T, one *T) int {
	for i := range all {
		if reflect.DeepEqual(&all[i], one) {
			return i
		}
	}
	return -1
}
