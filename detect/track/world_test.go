package track

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/sightline/sightline/pipeline/bus"
)

var frame = bus.Size{Width: 1920, Height: 1080}

// epoch is when every test begins.
var epoch = time.Date(2026, 2, 3, 10, 0, 0, 0, time.UTC)

// walker is something that moves straight through the picture at a steady speed.
type walker struct {
	label           string
	x, y, w, h      float64 // centre at the beginning, pixels
	vx, vy          float64 // pixels a second
	appears, leaves float64 // seconds; leaves 0 is never
}

func (w walker) at(s float64) (bus.Box, bool) {
	if s < w.appears || (w.leaves > 0 && s >= w.leaves) {
		return bus.Box{}, false
	}
	cx, cy := w.x+w.vx*s, w.y+w.vy*s
	return inFrame(bus.Box{float32(cx - w.w/2), float32(cy - w.h/2), float32(cx + w.w/2), float32(cy + w.h/2)}, frame)
}

// world shows walkers to a tracker as a detector would: boxes tremble, scores vary, some objects are missed.
type world struct {
	t       *testing.T
	rng     *rand.Rand
	tracker *Tracker
	walkers []walker
	tremble float64 // standard deviation of each side, share of the box
	miss    float64 // share of objects that the detector does not see
	score   func(walker int, s float64) float32

	seq    uint64
	ids    []map[uint64]int // by walker: frames that each id was seen on it
	given  map[uint64]bool  // ids that ended
	events []bus.Event
}

func newWorld(t *testing.T, cfg Config, walkers ...walker) *world {
	return &world{
		t: t, rng: rand.New(rand.NewPCG(1, 2)), tracker: NewTracker(cfg, "gate", "s1"), walkers: walkers, tremble: 0.01,
		score: func(int, float64) float32 { return 0.8 }, ids: make([]map[uint64]int, len(walkers)), given: map[uint64]bool{},
	}
}

// look shows the frame of second s; seq counts also what was not looked at.
func (w *world) look(s float64) []bus.TrackObject {
	w.t.Helper()
	w.seq++
	d := &bus.Detections{Camera: "gate", Session: "s1", Seq: w.seq, Frame: frame, CapturedAt: epoch.Add(time.Duration(math.Round(s * 1e9)))}
	for i, walker := range w.walkers {
		box, ok := walker.at(s)
		if !ok || w.rng.Float64() < w.miss {
			continue
		}
		for k := range box {
			side := walker.w
			if k%2 == 1 {
				side = walker.h
			}
			box[k] += float32(w.rng.NormFloat64() * w.tremble * side)
		}
		if score := w.score(i, s); score > 0 {
			d.Objects = append(d.Objects, bus.Object{Label: walker.label, Score: score, Box: box})
		}
	}
	tracks, events := w.tracker.Update(d)
	checkFrame(w.t, d, tracks, events, w.given)
	w.events = append(w.events, events...)
	w.note(s, tracks)
	return tracks
}

// note finds out which walker each track follows.
func (w *world) note(s float64, tracks []bus.TrackObject) {
	for _, track := range tracks {
		at, candidates := -1, 0
		for i, walker := range w.walkers {
			if box, ok := walker.at(s); ok && walker.label == track.Label && box.IoU(track.Box) > 0.5 {
				at = i
				candidates++
			}
		}
		if candidates == 0 {
			w.t.Errorf("%.2f s: track %d follows nothing: %v", s, track.TrackID, track.Box)
		}
		if candidates != 1 { // two lie on one another: nobody can tell, before and after count
			continue
		}
		if w.ids[at] == nil {
			w.ids[at] = map[uint64]int{}
		}
		w.ids[at][track.TrackID]++
	}
}

// run looks from second from to second to, fps times a second, and loses a share of the frames.
func (w *world) run(from, to, fps, lost float64) {
	w.t.Helper()
	for i := range int(math.Round((to - from) * fps)) {
		s := from + float64(i)/fps
		if w.rng.Float64() < lost {
			w.seq++
			continue
		}
		w.look(s)
	}
}

// oneEach requires that every walker had one id, and no two the same.
func (w *world) oneEach() {
	w.t.Helper()
	owner := map[uint64]int{}
	for i, ids := range w.ids {
		if len(ids) != 1 {
			w.t.Errorf("walker %d had the ids %v", i, ids)
		}
		for id := range ids {
			if other, ok := owner[id]; ok {
				w.t.Errorf("walkers %d and %d both had the id %d", other, i, id)
			}
			owner[id] = i
		}
	}
}

// checkFrame holds of every answer of every tracker. ended collects the ids that are over.
func checkFrame(t *testing.T, d *bus.Detections, tracks []bus.TrackObject, events []bus.Event, ended map[uint64]bool) {
	t.Helper()
	for i, track := range tracks {
		if i > 0 && tracks[i-1].TrackID >= track.TrackID {
			t.Fatalf("frame %d: id %d after %d", d.Seq, track.TrackID, tracks[i-1].TrackID)
		}
		if track.TrackID == 0 || ended[track.TrackID] {
			t.Fatalf("frame %d: id %d is used again", d.Seq, track.TrackID)
		}
		for _, box := range []bus.Box{track.Box, track.Predicted} {
			if !inside(box, d.Frame) {
				t.Fatalf("frame %d: box %v of track %d leaves the frame %v", d.Seq, box, track.TrackID, d.Frame)
			}
		}
	}
	for _, e := range events {
		if e.TrackID == 0 || ended[e.TrackID] {
			t.Fatalf("frame %d: %s of id %d, which is over", d.Seq, e.Type, e.TrackID)
		}
		if e.Type == bus.EventEnd {
			ended[e.TrackID] = true
		}
		if e.Box == nil || !(e.Box[2] > e.Box[0] && e.Box[3] > e.Box[1]) || e.StartedAt.After(e.CapturedAt) && e.Type == bus.EventStart {
			t.Fatalf("frame %d: event %+v", d.Seq, e)
		}
	}
}

func inside(b bus.Box, frame bus.Size) bool {
	for _, v := range b {
		if math.IsNaN(float64(v)) {
			return false
		}
	}
	return b[0] >= 0 && b[1] >= 0 && b[2] <= float32(frame.Width) && b[3] <= float32(frame.Height) && b[0] < b[2] && b[1] < b[3]
}
