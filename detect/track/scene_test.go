package track

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/sightline/sightline/pipeline/bus"
)

// winding says how often a polygon goes around a point: by angles, so in another way than contains.
func winding(p Polygon, at Point) int {
	sum, a := 0.0, p[len(p)-1]
	for _, b := range p {
		turn := math.Atan2(b.Y-at.Y, b.X-at.X) - math.Atan2(a.Y-at.Y, a.X-at.X)
		sum += math.Remainder(turn, 2*math.Pi)
		a = b
	}
	return int(math.Round(sum / (2 * math.Pi)))
}

func randomPolygon(rng *rand.Rand) Polygon {
	p := make(Polygon, MinCorners+rng.IntN(6))
	for i := range p {
		p[i] = Point{math.Round(rng.Float64()*20) / 20, math.Round(rng.Float64()*20) / 20} // horizontal edges and shared rows are frequent
	}
	return p
}

func TestPointInPolygonAgreesWithItsWindingNumber(t *testing.T) {
	rng := randomised(11)
	inside := 0
	for range 20000 {
		p := randomPolygon(rng)
		at := Point{math.Round(rng.Float64()*20)/20 + 0.0123, math.Round(rng.Float64()*20)/20 + 0.0071*float64(rng.IntN(2))}
		if onEdge(p, at) {
			continue
		}
		want := winding(p, at)%2 != 0
		if got := p.contains(at); got != want {
			t.Fatalf("%v contains %v: %v, want %v", p, at, got, want)
		}
		if want {
			inside++
		}
	}
	if inside < 1000 {
		t.Errorf("only %d points were inside", inside)
	}
}

func onEdge(p Polygon, at Point) bool {
	a := p[len(p)-1]
	for _, b := range p {
		s := newSegment(a, b)
		if d := s.along(at); a == b || math.Abs(s.offset(at)) < 1e-9 && d > -1e-9 && d < s.length+1e-9 {
			return true
		}
		a = b
	}
	return false
}

func TestEdgesAndCornersBelongToAPolygon(t *testing.T) {
	p := Polygon{{0, 0.5}, {1, 0.5}, {1, 1}, {0, 1}}
	for _, at := range []Point{{0.3, 1}, {0, 0.7}, {1, 0.7}, {0.5, 0.5}, {0, 0.5}, {1, 1}} {
		if !p.contains(at) {
			t.Errorf("%v is on the edge, and outside", at)
		}
	}
	for _, at := range []Point{{0.3, 0.4999}, {-0.001, 1}, {1.001, 0.5}} {
		if p.contains(at) {
			t.Errorf("%v is inside", at)
		}
	}
}

func TestShapesAreChecked(t *testing.T) {
	square, nan := Polygon{{0, 0}, {1, 0}, {1, 1}, {0, 1}}, math.NaN()
	named := func(n int, name string) (zones []Zone) {
		for i := range n {
			zones = append(zones, Zone{Name: fmt.Sprint(name, i), Area: square})
		}
		return zones
	}
	line := func(name string, from, to Point) Scene { return Scene{Lines: []Line{{Name: name, From: from, To: to}}} }
	for _, c := range []struct {
		scene Scene
		says  string
	}{
		{Scene{Zones: named(64, "z"), Masks: []Polygon{square}}, ""}, {Scene{Zones: named(65, "z")}, "65 zones"},
		{Scene{Zones: []Zone{{Name: "a.b", Area: square}}}, "must match"}, {Scene{Zones: append(named(1, "z"), named(1, "z")...)}, "twice"},
		{Scene{Zones: []Zone{{Name: "z", Area: square[:2]}}}, "3 to 64 points"}, {Scene{Zones: []Zone{{Name: "z", Area: make(Polygon, 65)}}}, "found 65"},
		{Scene{Zones: []Zone{{Name: "z", Area: Polygon{{0, 0}, {0.5, 0.5}, {1, 1}}}}}, "enclose an area"},
		{Scene{Masks: []Polygon{{{0, 0}, {nan, 0.5}, {1, 1}}}}, "from 0, 0"}, {Scene{Masks: []Polygon{{{0, 0}, {1.01, 0.5}, {0, 1}}}}, "from 0, 0"},
		{Scene{Masks: make([]Polygon, 65)}, "65 masks"}, {Scene{Lines: make([]Line, 65)}, "65 lines"},
		{Scene{Zones: []Zone{{Name: "z", Area: square, Inertia: -1}}}, "inertia"}, {Scene{Zones: []Zone{{Name: "z", Area: square, Loitering: 25 * time.Hour}}}, "loitering"},
		{Scene{Zones: []Zone{{Name: "z", Area: square, Labels: []string{""}}}}, "label"}, {Scene{Labels: make([]string, 300)}, "300 labels"},
		{line("l", Point{0, 0}, Point{1, 1}), ""}, {line("l", Point{0.5, 0.5}, Point{0.5, 0.5}), "differ"}, {line("", Point{0, 0}, Point{1, 1}), "line name"},
		{line("l", Point{0, math.Inf(-1)}, Point{1, 1}), "from 0, 0"},
	} {
		err := c.scene.Validate()
		if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("want %q: %v", c.says, err)
		}
	}
}

// TestStepsThroughALineAgreeWithItsSides: of any way, the passages through a line without ends are the changes of side, and
// through a part of it no more than one a step.
func TestStepsThroughALineAgreeWithItsSides(t *testing.T) {
	rng := randomised(13)
	point := func() Point { return Point{math.Round(rng.Float64() * 10), math.Round(rng.Float64() * 10)} }
	for range 20000 {
		a, b := point(), point()
		if a == b {
			continue
		}
		part := newSegment(a, b)
		whole := newSegment(Point{a.X - 100*(b.X-a.X), a.Y - 100*(b.Y-a.Y)}, Point{b.X + 100*(b.X-a.X), b.Y + 100*(b.Y-a.Y)})
		from := point()
		net, first := 0, sideOf(whole.offset(from))
		for range 10 {
			to := point()
			net += whole.passed(from, to)
			got, back := part.passed(from, to), part.passed(to, from)
			if got != -back {
				t.Fatalf("%v to %v through %v-%v: %d, and back %d", from, to, a, b, got, back)
			}
			if want := meet(a, b, from, to); want != 0 && (got != 0) != (want > 0) {
				t.Fatalf("%v to %v through %v-%v: %d, want %d", from, to, a, b, got, want)
			}
			from = to
		}
		if last := sideOf(whole.offset(from)); 2*net != last-first {
			t.Fatalf("%v-%v: %d passages from side %d to %d", a, b, net, first, last)
		}
	}
}

// meet tells by orientations whether two segments cross inside (1), do not (-1), or touch so that it is a matter of taste (0).
func meet(a, b, c, d Point) int {
	product := func(x, y float64) float64 { return x * y }
	p, q := product(cross(a, b, c), cross(a, b, d)), product(cross(c, d, a), cross(c, d, b))
	switch {
	case p < 0 && q < 0:
		return 1
	case p > 0 || q > 0:
		return -1
	}
	return 0
}

// FuzzPlaces: whatever the shape, the answer does not depend on the corner that comes first or on the sense, and a way and its
// reverse cross alike.
func FuzzPlaces(f *testing.F) {
	f.Add([]byte{10, 10, 200, 10, 100, 200, 100, 50, 120, 60})
	f.Add([]byte{0, 0, 0, 255, 255, 255, 255, 0, 255, 128, 0, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		var points []Point
		for ; len(data) >= 2; data = data[2:] {
			points = append(points, Point{float64(data[0]) / 256, float64(data[1]) / 256}) // all sums are exact
		}
		if len(points) < 5 || len(points) > 60 {
			return
		}
		from, to, p := points[0], points[1], Polygon(points[2:])
		if (p.Validate() == nil) != (p.area() >= smallestArea) {
			t.Fatalf("%v: %v", p, p.Validate())
		}
		turned := append(append(Polygon{}, p[1:]...), p[0])
		reversed := make(Polygon, 0, len(p))
		for i := range p {
			reversed = append(reversed, p[len(p)-1-i])
		}
		if in := p.contains(from); in != turned.contains(from) || in != reversed.contains(from) {
			t.Fatalf("%v in %v: depends on the order", from, p)
		}
		if p[0] != p[1] {
			s := newSegment(p[0], p[1])
			if s.passed(from, to) != -s.passed(to, from) {
				t.Fatalf("%v to %v and back", from, to)
			}
		}
	})
}

// places makes a world with a scene.
func places(t *testing.T, s Scene, walkers ...walker) *world {
	t.Helper()
	if err := s.Validate(); err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, Config{UpdateEvery: time.Hour}, walkers...)
	w.tracker.SetScene(s)
	return w
}

// told lists the events of zones and lines, with the second of capture.
func (w *world) told() string {
	var told []string
	for _, e := range w.events {
		at := e.CapturedAt.Sub(epoch).Seconds()
		switch e.Type {
		case bus.EventZoneEnter:
			told = append(told, fmt.Sprintf("+%s@%.1f", e.Zone, at))
		case bus.EventZoneLeave:
			told = append(told, fmt.Sprintf("-%s@%.1f after %.1f", e.Zone, at, *e.DwellMS/1000))
		case bus.EventLineCross:
			told = append(told, fmt.Sprintf("%s %s@%.1f", e.Line, e.Direction, at))
		}
	}
	return strings.Join(told, ", ")
}

func (w *world) tells(want string) {
	w.t.Helper()
	if got := w.told(); got != want {
		w.t.Errorf("told: %s\nwant: %s", got, want)
	}
}

// upright is a line from the bottom of the frame to its top at half its width, 960 pixels: in is to the right.
var upright = Line{Name: "mid", From: Point{0.5, 1}, To: Point{0.5, 0}}

func TestDirectionsOfCrossings(t *testing.T) {
	for name, c := range map[string]struct {
		from, to Point
		walker   walker
		want     bus.Direction
	}{
		"upwards, to the right":             {Point{0.5, 1}, Point{0.5, 0}, person(560, 500, 200, 0), bus.DirectionIn},
		"upwards, to the left":              {Point{0.5, 1}, Point{0.5, 0}, person(1360, 500, -200, 0), bus.DirectionOut},
		"downwards, to the left":            {Point{0.5, 0}, Point{0.5, 1}, person(1360, 500, -200, 0), bus.DirectionIn},
		"to the right, down":                {Point{0, 0.5}, Point{1, 0.5}, person(500, 200, 0, 150), bus.DirectionIn},
		"to the right, up":                  {Point{0, 0.5}, Point{1, 0.5}, person(500, 700, 0, -150), bus.DirectionOut},
		"to the left, up":                   {Point{1, 0.5}, Point{0, 0.5}, person(500, 700, 0, -150), bus.DirectionIn},
		"diagonal to the top right, across": {Point{0, 1}, Point{1, 0}, person(700, 200, 200, 150), bus.DirectionIn},
	} {
		t.Run(name, func(t *testing.T) {
			w := places(t, Scene{Lines: []Line{{Name: "l", From: c.from, To: c.to}}}, c.walker)
			w.run(0, 5, 10, 0)
			crossed := 0
			for _, e := range w.events {
				if e.Type == bus.EventLineCross {
					crossed++
					if e.Direction != c.want || e.Line != "l" || e.TrackID != 1 || e.Label != "person" || e.Zone != "" {
						t.Errorf("%+v", e)
					}
				}
			}
			if crossed != 1 {
				t.Errorf("crossed %d times", crossed)
			}
		})
	}
}

func TestCrossingIsThroughTheLineAndNotAroundIt(t *testing.T) {
	half := Line{Name: "half", From: Point{0.5, 0.5}, To: Point{0.5, 0}} // the walker's feet pass below its end
	w := places(t, Scene{Lines: []Line{half}}, person(560, 700, 200, 0))
	w.run(0, 4, 10, 0)
	w.tells("")
	w = places(t, Scene{Lines: []Line{half}}, person(560, 300, 200, 0))
	w.run(0, 4, 10, 0)
	w.tells("half in@2.2")
}

// TestTremblingOnALine: whatever the frame rate, one who comes, stands on the line and goes on has crossed it once, and one who
// goes back has not. The detector trembles by 4 pixels of 200.
func TestTremblingOnALine(t *testing.T) {
	for _, back := range []bool{false, true} {
		for _, fps := range []float64{5, 12.5, 30} {
			w := places(t, Scene{Lines: []Line{upright}}, person(760, 500, 100, 0))
			w.tremble = 0.05
			w.run(0, 2, fps, 0.1)
			w.walkers[0] = person(960, 500, 0, 0)
			w.run(2, 30, fps, 0.1)
			w.tells("") // stands on it
			w.walkers[0] = person(960-30*100, 500, 100, 0)
			if back {
				w.walkers[0] = person(960+30*100, 500, -100, 0)
			}
			w.run(30, 33, fps, 0.1)
			w.oneEach()
			crossed := strings.Count(w.told(), "mid in@30")
			if want := map[bool]int{false: 1, true: 0}[back]; crossed != want || strings.Count(w.told(), "mid") != want {
				t.Errorf("%v frames a second, back %v: %s", fps, back, w.told())
			}
		}
	}
}

func TestNoCrossingIsLostWithFrames(t *testing.T) {
	for _, fps := range []float64{2, 5, 12.5, 50} {
		for _, lost := range []float64{0, 0.3, 0.6} {
			w := places(t, Scene{Lines: []Line{upright, {Name: "quarter", From: Point{0.25, 1}, To: Point{0.25, 0}}}}, person(200, 500, 200, 0))
			w.run(0, 8, fps, lost)
			if told := w.told(); strings.Count(told, "mid in@") != 1 || strings.Count(told, "quarter in@") != 1 || strings.Count(told, "@") != 2 {
				t.Errorf("%v frames a second, %v lost: %s", fps, lost, told)
			}
		}
	}
}

// TestCrossingBeforeTheTrackIsToldOf: the third frame confirms the track, the second was behind the line already.
func TestCrossingBeforeTheTrackIsToldOf(t *testing.T) {
	w := places(t, Scene{Lines: []Line{upright}}, person(900, 500, 400, 0))
	w.run(0, 1, 5, 0)
	w.tells("mid in@0.4")
	if w.events[0].Type != bus.EventStart {
		t.Errorf("the first event is %+v", w.events[0])
	}
}

// TestWhoVanishesBehindTheLineHasCrossedIt: as through a door. Who first appears on the line, or vanishes before it, has not.
func TestWhoVanishesBehindTheLineHasCrossedIt(t *testing.T) {
	for at, want := range map[float64]string{2.16: "mid in@2.1", 1.96: "", 2.56: "mid in@2.3"} { // at second 2 it is on the line
		p := person(760, 500, 100, 0)
		p.leaves = at
		w := places(t, Scene{Lines: []Line{upright}}, p)
		w.tremble = 0
		w.run(0, 6, 10, 0)
		w.tells(want)
	}
	p := person(955, 500, 100, 0)
	p.leaves = 2
	w := places(t, Scene{Lines: []Line{upright}}, p)
	w.tremble = 0
	w.run(0, 6, 10, 0)
	w.tells("")
}

// room is the right half of the frame.
var room = Polygon{{0.5, 0}, {1, 0}, {1, 1}, {0.5, 1}}

func TestZoneIsEnteredAndLeftAfterItsInertia(t *testing.T) {
	for inertia, want := range map[int]string{0: "+room@2.2, -room@4.3 after 2.0", 1: "+room@2.0, -room@4.1 after 2.0", 5: "+room@2.4, -room@4.5 after 2.0"} {
		w := places(t, Scene{Zones: []Zone{{Name: "room", Area: room, Inertia: inertia}}}, person(860, 500, 50.1, 0))
		w.tremble = 0
		w.run(0, 3, 10, 0) // over the edge in second 2
		if tracks := w.look(3); len(tracks) != 1 || fmt.Sprint(tracks[0].Zones) != "[room]" {
			t.Errorf("inside: %+v", tracks)
		}
		w.walkers[0] = person(1160.4, 500, -50.1, 0) // and again in second 4
		w.run(3.1, 5, 10, 0)
		if tracks := w.look(5); len(tracks) != 1 || len(tracks[0].Zones) != 0 {
			t.Errorf("outside: %+v", tracks)
		}
		w.oneEach()
		w.tells(want)
	}
}

func TestOneWhoTremblesOnTheEdgeEntersOnce(t *testing.T) {
	w := places(t, Scene{Zones: []Zone{{Name: "room", Area: room, Inertia: 10}}}, person(760, 500, 100, 0))
	w.run(0, 2, 10, 0)
	for i := range 100 { // two frames inside, one outside
		x := 970.0
		if i%3 == 2 {
			x = 950
		}
		w.walkers[0] = person(x, 500, 0, 0)
		w.look(2 + float64(i)/10)
	}
	w.tells("")
}

func TestZoneIsLeftAtTheEndOfATrack(t *testing.T) {
	p := person(1400, 500, 0, 0)
	p.leaves = 3
	w := places(t, Scene{Zones: []Zone{{Name: "room", Area: room}, {Name: "all", Area: Polygon{{0, 0}, {1, 0}, {1, 1}, {0, 1}}}}}, p)
	w.run(0, 6, 10, 0)
	w.tells("+room@0.2, +all@0.2, -room@2.9 after 2.9, -all@2.9 after 2.9")
	if last := w.events[len(w.events)-1]; last.Type != bus.EventEnd || last.Zone != "" || last.DwellMS != nil {
		t.Errorf("the last event is %+v", last)
	}
}

func TestLoiteringComesBeforeEntering(t *testing.T) {
	zone := Zone{Name: "room", Area: room, Loitering: 2 * time.Second}
	w := places(t, Scene{Zones: []Zone{zone}}, person(1400, 500, 0, 0))
	w.run(0, 2, 10, 0)
	w.tells("")
	w.run(2, 4, 10, 0)
	w.tells("+room@2.0")

	passer := person(760, 500, 200, 0) // inside from second 1, at the other side of the frame's middle for less than two
	w = places(t, Scene{Zones: []Zone{{Name: "strip", Area: Polygon{{0.5, 0}, {0.6, 0}, {0.6, 1}, {0.5, 1}}, Loitering: 2 * time.Second}}}, passer)
	w.run(0, 5, 10, 0)
	w.oneEach()
	w.tells("")
}

func TestLabelsOfPlaces(t *testing.T) {
	dog := walker{label: "dog", x: 560, y: 800, w: 120, h: 80, vx: 200}
	s := Scene{
		Zones: []Zone{{Name: "room", Area: room, Labels: []string{"dog"}}},
		Lines: []Line{{Name: "people", From: upright.From, To: upright.To, Labels: []string{"person", "car"}}, upright},
	}
	w := places(t, s, person(560, 400, 200, 0), dog)
	w.tremble = 0
	w.run(0, 3, 10, 0)
	w.tells("mid in@2.1, people in@2.2, mid in@2.2, +room@2.2")
}

func TestMaskedObjectsAreNeitherFollowedNorToldOf(t *testing.T) {
	mask := Polygon{{0.5, 0}, {1, 0}, {1, 1}, {0.5, 1}}
	w := places(t, Scene{Masks: []Polygon{mask}, Zones: []Zone{{Name: "room", Area: room}}}, person(1400, 500, 0, 0), person(400, 500, 0, 0))
	w.run(0, 2, 10, 0)
	if len(w.ids[0]) != 0 || len(w.ids[1]) != 1 || w.told() != "" || len(w.events) != 1 {
		t.Errorf("followed %v, told %s, %d events", w.ids, w.told(), len(w.events))
	}
	w = places(t, Scene{Masks: []Polygon{mask}}, person(1400, 500, 0, 0))
	w.walkers[0].x = 940 // the box reaches into the mask, the feet do not
	w.run(0, 2, 10, 0)
	w.oneEach()
}

func TestOnlyObjectsOfTheSceneAreFollowed(t *testing.T) {
	s := Scene{Labels: []string{"person"}, Filters: map[string]Filter{"person": {MinScore: 0.6, MinArea: 10_000, MaxArea: 20_000}}}
	small, large := person(800, 500, 0, 0), person(1200, 500, 0, 0)
	small.w, large.w = 40, 120
	w := places(t, s, person(400, 500, 0, 0), walker{label: "dog", x: 1600, y: 500, w: 80, h: 200}, small, large, person(1400, 500, 0, 0))
	w.tremble = 0
	w.score = func(i int, _ float64) float32 { return 0.9 - 0.4*float32(i/4) }
	w.run(0, 2, 10, 0)
	for i, ids := range w.ids {
		if (len(ids) == 1) != (i == 0) {
			t.Errorf("walker %d has the ids %v", i, ids)
		}
	}
}

// TestCarriedTrackKeepsItsZones: nobody looks at it, so it neither leaves nor crosses, however its belief moves.
func TestCarriedTrackKeepsItsZones(t *testing.T) {
	w := places(t, Scene{Zones: []Zone{{Name: "room", Area: room}}, Lines: []Line{upright}}, person(1100, 500, 0, 0))
	w.run(0, 2, 10, 0)
	d := &bus.Detections{Frame: frame, Tiles: bus.Tiles{Policy: bus.PolicyAdaptive, Run: 1, Of: 33}}
	for i := range 20 {
		d.Seq, d.CapturedAt = w.seq+1+uint64(i), epoch.Add(2*time.Second+time.Duration(i)*100*time.Millisecond)
		tracks, events := w.tracker.Update(d)
		if len(events) != 0 {
			t.Fatalf("events %+v", events)
		}
		if len(tracks) != 1 || !tracks[0].Carried || fmt.Sprint(tracks[0].Zones) != "[room]" {
			t.Fatalf("frame %d: %+v", i, tracks)
		}
	}
}

func TestSceneThatChangesKeepsTracksAndWhatStays(t *testing.T) {
	left := Zone{Name: "left", Area: Polygon{{0, 0}, {0.5, 0}, {0.5, 1}, {0, 1}}}
	far := Line{Name: "far", From: Point{0.75, 1}, To: Point{0.75, 0}}
	w := places(t, Scene{Zones: []Zone{left, {Name: "room", Area: room}}, Lines: []Line{upright}}, person(500, 500, 200, 0))
	w.tremble = 0
	w.run(0, 2, 10, 0)
	w.tells("+left@0.2")
	if events := w.tracker.SetScene(Scene{Zones: []Zone{left}, Lines: []Line{far, upright}}); len(events) != 0 {
		t.Errorf("nothing that it is in changed: %+v", events)
	}
	w.run(2, 4, 10, 0)
	moved := far
	moved.From.X, moved.To.X = 0.74, 0.74
	w.tracker.SetScene(Scene{Zones: []Zone{left}, Lines: []Line{moved}})
	w.run(4, 6, 10, 0)
	w.tells("+left@0.2, mid in@2.5, -left@2.6 after 2.3, far in@4.8")
	w.oneEach()

	events := w.tracker.SetScene(Scene{Zones: []Zone{{Name: "room", Area: room}}})
	if len(events) != 0 {
		t.Errorf("%+v", events)
	}
	w.run(6, 6.5, 10, 0)
	wider := Zone{Name: "room", Area: append(Polygon{{0.4, 0.5}}, room...)}
	events = w.tracker.SetScene(Scene{Zones: []Zone{wider}})
	if len(events) != 1 || events[0].Type != bus.EventZoneLeave || events[0].Zone != "room" {
		t.Errorf("a zone that changed: %+v", events)
	}
	w.run(6.5, 7, 10, 0)
	w.oneEach()
}

// TestNoMemoryIsTakenForAFrame: also not where noise begins a track in every frame that nobody confirms.
func TestNoMemoryIsTakenForAFrame(t *testing.T) {
	tracker := NewTracker(Config{UpdateEvery: time.Hour}, "gate", "s1")
	tracker.SetScene(Scene{
		Zones: []Zone{{Name: "room", Area: room}, {Name: "dogs", Area: room, Labels: []string{"dog"}}}, Lines: []Line{upright},
		Masks: []Polygon{{{0, 0}, {0.1, 0}, {0.1, 0.1}}}, Labels: []string{"person"}, Filters: map[string]Filter{"person": {MinScore: 0.3}},
	})
	d := &bus.Detections{Frame: frame, CapturedAt: epoch, Objects: make([]bus.Object, 21)}
	step := func() {
		d.Seq++
		d.CapturedAt = d.CapturedAt.Add(40 * time.Millisecond)
		for i := range d.Objects {
			x := float32(i)*90 + 5*float32(math.Sin(float64(d.Seq)/25+float64(i)))
			d.Objects[i] = bus.Object{Label: "person", Score: 0.8, Box: bus.Box{x, 300, x + 50, 420}}
		}
		noise := float32(d.Seq*397%1700) + 10
		d.Objects[20] = bus.Object{Label: "person", Score: 0.8, Box: bus.Box{noise, 700, noise + 20, 740}}
		tracker.Update(d)
	}
	for range 200 {
		step()
	}
	if n := testing.AllocsPerRun(100, step); n != 0 {
		t.Errorf("%v allocations a frame", n)
	}
}

// TestCrossingsGoOnWhileTheSceneChanges: of a line that stays, with the track half across it, and of a new one.
func TestCrossingsGoOnWhileTheSceneChanges(t *testing.T) {
	w := places(t, Scene{Lines: []Line{upright}}, person(760, 500, 100, 0))
	w.tremble = 0
	w.run(0, 2, 10, 0) // 10 pixels before the line
	added := Line{Name: "added", From: Point{1060.0 / 1920, 1}, To: Point{1060.0 / 1920, 0}}
	w.tracker.SetScene(Scene{Lines: []Line{upright}, Masks: []Polygon{{{0, 0}, {0.1, 0}, {0, 0.1}}}})
	w.run(2, 2.6, 10, 0) // 50 pixels before the next one
	w.tells("mid in@2.3")
	w.tracker.SetScene(Scene{Lines: []Line{added}})
	w.look(3.4) // and 40 behind it
	w.tells("mid in@2.3, added in@3.4")
	w.oneEach()
}
