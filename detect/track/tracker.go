// Package track gives the objects of one camera identities over time, and tells when they come and go, which zones they enter, and
// which lines they cross. It is pure Go.
//
// Objects and tracks are paired as ByteTrack does: first those with high scores, then those with low scores, which alone would
// be noise but continue a track that was there a moment before (a person half behind a car). A Kalman filter says where each
// track should be; it counts in seconds of capture time, so dropped frames and uneven frame rates only widen its belief.
package track

import (
	"cmp"
	"slices"
	"time"

	"github.com/sightline/sightline/pipeline/bus"
)

// Bounds of one frame's work.
const (
	maxObjects = 1024 // of one frame; they come by falling score, so the best are kept
	minOverlap = 0.2  // of a prediction and an object with a high score
	lowOverlap = 0.5  // of a prediction and an object with a low score
	almostHigh = 0.9  // of Config.High has an object that goes on with a new track where looks are few
	maxMisses  = 1    // frames in a row that a track which was not told of yet may be missing
)

// target is a track, or may become one.
type target struct {
	motion
	predicted bus.Box // in this frame
	object    bus.Object
	id        uint64 // 0 until it was seen often enough
	hits      int
	misses    int        // frames since it was seen in which its place was looked at
	blind     int        // and those in which it was not
	vain      int        // frames in all in which its place was looked at and it was not seen
	unlooked  bool       // in this frame
	tile      bus.Region // that showed it when one last did
	doubted   time.Time  // since when only other tiles have missed it; zero where none has
	best      float32
	started   time.Time
	seen      time.Time
	seenSeq   uint64
	told      time.Time // of the last start or update
	anchored  bus.Box   // where it was seen since
	since     time.Time
	rest      rest
	shot      shot
	visit     *visit
}

// Tracker follows the objects of one session of one camera. It belongs to one goroutine.
type Tracker struct {
	cfg     Config
	camera  string
	session string
	frame   bus.Size
	now     time.Time // of the newest frame; zero before the first
	seq     uint64
	looker  string  // the detector of the newest frame
	step    float64 // smoothed seconds between frames
	lastID  uint64

	scene    Scene
	segments []segment // its lines in pixels
	idle     []*visit  // whose memory is used again

	looks   looks // of this frame
	targets []target
	objects []bus.Object // of this frame, cut to it
	taken   []bool       // objects that belong to a target
	free    []bool       // targets without an object
	assign  assigner
	out     []bus.TrackObject
	events  []bus.Event
	refused uint64
}

// NewTracker makes a tracker for a session of a camera. cfg is valid.
func NewTracker(cfg Config, camera, session string) *Tracker {
	return &Tracker{cfg: cfg.withDefaults(), camera: camera, session: session}
}

// firstID is the id before the first that a tracker gives which sees a session from frame seq on. At most maxTracks tracks are
// confirmed in a frame, so no tracker that saw only earlier frames of the session, perhaps in a process that is gone, has given
// an id above it. Who sees a session from its first frame counts 1, 2, 3.
func firstID(seq uint64) uint64 {
	if seq == 0 {
		return 0
	}
	return (seq - 1) * maxTracks
}

// Update takes in the objects of the next frame: d.Seq is above that of the frame before. It returns the confirmed tracks that
// are in the frame, by rising id, and what happened. Both are valid until the next call. An object that is not made of numbers
// or lies outside the frame is passed over; a frame without pixels changes nothing.
func (t *Tracker) Update(d *bus.Detections) ([]bus.TrackObject, []bus.Event) {
	t.out, t.events = t.out[:0], t.events[:0]
	if d.Frame.Width <= 0 || d.Frame.Height <= 0 {
		return t.out, t.events
	}
	if t.now.IsZero() {
		t.lastID = firstID(d.Seq)
	}
	if d.Frame != t.frame {
		t.end(func(*target) bool { return true })
		t.frame = d.Frame
		t.segments = t.scene.segments(t.segments, t.frame)
	}
	t.seq, t.looker, t.looks = d.Seq, d.Detector, looksOf(d)
	t.advance(d.CapturedAt)
	t.end(t.over)
	t.collect(d.Objects)
	for s := range stages {
		if s != tentativeLow || !t.looks.all {
			t.match(s)
		}
	}
	t.miss()
	t.begin()
	t.tell()
	return t.out, t.events
}

// advance moves every belief to the frame's time. A clock that goes back takes all that was before with it.
func (t *Tracker) advance(now time.Time) {
	dt := 0.0
	if !t.now.IsZero() {
		dt = min(max(now.Sub(t.now).Seconds(), 0), t.cfg.Lost.Seconds())
	}
	if t.step == 0 {
		t.step = dt
	}
	t.step += 0.2 * (dt - t.step)
	back := now.Before(t.now)
	t.now = now
	for i := range t.targets {
		g := &t.targets[i]
		if g.blind > 0 && g.still() {
			g.halt()
		}
		g.predict(dt)
		g.predicted = g.box(0)
		for _, past := range []*time.Time{&g.started, &g.seen, &g.told, &g.since, &g.rest.since, &g.doubted} {
			if past.After(now) {
				*past = now
			}
		}
		for k := range g.visit.stays {
			if back {
				g.visit.stays[k].notAfter(now)
			}
		}
	}
}

// collect keeps the objects that can be followed.
func (t *Tracker) collect(objects []bus.Object) {
	t.objects = t.objects[:0]
	for _, o := range objects[:min(len(objects), maxObjects)] {
		box, ok := inFrame(o.Box, t.frame)
		if !ok || !(o.Score >= t.cfg.Low && o.Score <= 1) {
			continue
		}
		o.Box = box
		if t.scene.ignores(&o, t.frame) || t.partOfKnown(&o) {
			continue
		}
		t.objects = append(t.objects, o)
	}
	t.taken = zeroed(t.taken, len(t.objects))
	t.free = zeroed(t.free, len(t.targets))
	for i := range t.free {
		t.free[i] = true
	}
}

// stage is one round of pairing; what it pairs, later rounds no longer see.
type stage int

const (
	confirmedHigh stage = iota // tracks that were told of, with objects of high score, by overlap
	confirmedLow               // those seen in the frame before, with objects of low score, by overlap
	tentativeHigh              // new ones, with objects of high score, by overlap
	tentativeLow               // where looks are few, new ones with objects of almost high score, by overlap
	anyNear                    // whatever is left and may have moved so far: small and fast things, low frame rates
	stages
)

// takes says whether the stage looks at a target.
func (s stage) takes(g *target) bool {
	switch s {
	case confirmedHigh:
		return g.id != 0
	case confirmedLow:
		return g.id != 0 && g.misses == 0
	case tentativeHigh, tentativeLow:
		return g.id == 0
	}
	return true
}

// low says whether the stage looks at objects of low score.
func (s stage) low() bool { return s == confirmedLow || s == tentativeLow }

// cost is from 0 to below 1; false where the pair is out of the question.
func (s stage) cost(g *target, o *bus.Object) (float64, bool) {
	if g.object.Label != o.Label {
		return 0, false
	}
	if s == anyNear {
		d, ok := g.distance(o.Box)
		return d / chiSquare99, ok
	}
	least := minOverlap
	if s.low() {
		least = lowOverlap
	}
	common := g.predicted.IoU(o.Box)
	return 1 - common, common >= least
}

func (t *Tracker) match(s stage) {
	t.assign.reset(len(t.objects))
	for i := range t.targets {
		t.assign.row()
		if g := &t.targets[i]; t.free[i] && s.takes(g) {
			t.propose(s, g)
		}
	}
	for i, j := range t.assign.solve(1) {
		if j >= 0 {
			t.take(&t.targets[i], &t.objects[j])
			t.free[i], t.taken[j] = false, true
		}
	}
}

// propose allows the pairs of one target.
func (t *Tracker) propose(s stage, g *target) {
	for j := range t.objects {
		o := &t.objects[j]
		almost := s != tentativeLow || o.Score >= almostHigh*t.cfg.High
		if t.taken[j] || (o.Score < t.cfg.High) != s.low() || !almost {
			continue
		}
		if cost, ok := s.cost(g, o); ok {
			t.assign.allow(j, cost)
		}
	}
}

// take gives a target its object of this frame.
func (t *Tracker) take(g *target, o *bus.Object) {
	g.correct(o.Box)
	g.object = *o
	g.anchor(t.now)
	g.rest.see(o.Box, t.now, t.cfg.Stationary)
	g.hits++
	g.misses, g.blind, g.doubted = 0, 0, time.Time{}
	if tile := t.looks.tile(o.Box, g.tile); tile.W > 0 {
		g.tile = tile
	}
	g.best = max(g.best, o.Score)
	g.seen, g.seenSeq = t.now, t.seq
}

// miss counts absence, and drops what was never told of and did not come again.
func (t *Tracker) miss() {
	for i := range t.targets {
		g := &t.targets[i]
		g.unlooked = t.free[i] && (!t.looks.cover(g.predicted) || t.doubts(g))
		switch {
		case g.unlooked:
			g.blind++
		case t.free[i]:
			g.misses++
			g.vain++
		}
	}
	t.end(func(g *target) bool { return g.id == 0 && g.misses > maxMisses })
}

// begin makes targets of objects that belong to none.
func (t *Tracker) begin() {
	for j := range t.objects {
		if t.taken[j] || t.objects[j].Score < t.cfg.High || t.coarseDouble(&t.objects[j]) {
			continue
		}
		if len(t.targets) >= t.cfg.MaxTracks {
			t.refused++
			continue
		}
		g := target{motion: newMotion(t.objects[j].Box), started: t.now, visit: t.newVisit()}
		t.take(&g, &t.objects[j])
		t.targets = append(t.targets, g)
	}
}

// tell gives ids to those seen often enough, and reports all that are in the frame.
func (t *Tracker) tell() {
	for i := range t.targets {
		g := &t.targets[i]
		if g.hits < t.cfg.MinHits && g.seenSeq == t.seq {
			t.observe(g)
		}
		if g.hits < t.cfg.MinHits || g.misses > 0 && !g.unlooked {
			continue
		}
		if g.unlooked {
			t.carry(g)
			continue
		}
		best := t.judge(g)
		switch {
		case g.id == 0:
			t.lastID++
			g.id = t.lastID
			t.event(bus.EventStart, g)
		case t.hasNews(g):
			t.event(bus.EventUpdate, g)
		}
		t.observe(g)
		t.out = append(t.out, bus.TrackObject{
			Object: g.object, TrackID: g.id, Predicted: atEdge(g.box(t.step), t.frame), Zones: g.visit.zones, Rest: g.rest.message(), Best: best,
		})
	}
	slices.SortFunc(t.out, func(a, b bus.TrackObject) int { return cmp.Compare(a.TrackID, b.TrackID) })
}

// hasNews tells whether an update is due: when a track becomes stationary or is no longer, and now and then while it is not. What
// is parked has none, and what trembles between the two turns at most twice in Config.Stationary.
func (t *Tracker) hasNews(g *target) bool {
	return g.rest.stationary != g.rest.told || !g.rest.stationary && t.now.Sub(g.told) >= t.cfg.UpdateEvery
}

// End ends every track and returns the events of it, valid until the next call. The tracker may be used on: ids go on.
func (t *Tracker) End() []bus.Event {
	t.events = t.events[:0]
	t.end(func(*target) bool { return true })
	return t.events
}

// end removes the targets that over holds of, and tells of those that were told of before.
func (t *Tracker) end(over func(*target) bool) {
	kept := 0
	for i := range t.targets {
		g := &t.targets[i]
		if !over(g) {
			t.targets[kept] = *g
			kept++
			continue
		}
		t.depart(g)
		if g.id != 0 {
			t.event(bus.EventEnd, g)
		}
	}
	t.targets = t.targets[:kept]
}

// event tells of a target's start, update or end.
func (t *Tracker) event(kind bus.EventType, g *target) {
	g.told, g.rest.told = t.now, g.rest.stationary
	best := g.shot.Best
	t.happened(kind, g).Best = &best
}

// happened tells of a target as it was last seen: time, frame and box belong together, also at its end. The event may be
// completed until the next one.
func (t *Tracker) happened(kind bus.EventType, g *target) *bus.Event {
	box := g.object.Box
	t.events = append(t.events, bus.Event{
		Schema: bus.SchemaEvent, Type: kind, Camera: t.camera, Session: t.session, Seq: g.seenSeq, CapturedAt: g.seen, Detector: t.looker,
		Label: g.object.Label, TrackID: g.id, StartedAt: g.started, Score: g.best, Box: &box, Rest: g.rest.message(),
	})
	return &t.events[len(t.events)-1]
}

// Refused counts the objects that began no track because there were MaxTracks.
func (t *Tracker) Refused() uint64 { return t.refused }
