package track

import (
	"testing"
	"time"

	"github.com/sightline/sightline/pipeline/bus"
)

var (
	wide     = bus.Size{Width: 3840, Height: 2160}
	tileHere = bus.Region{X: 1000, Y: 1000, W: 640, H: 640}
	tileAway = bus.Region{W: 640, H: 640}
)

// watched is a camera under the adaptive policy, 10 frames a second.
type watched struct {
	*Tracker
	seq    uint64
	now    time.Time
	score  float32 // of what is found
	events []bus.Event
}

func newWatched(cfg Config) *watched {
	return &watched{Tracker: NewTracker(cfg, "gate", "01J"), now: time.Unix(1_700_000_000, 0), score: 0.8}
}

// play is the next frame, in which one tile was looked at and this was found.
func (w *watched) play(tile bus.Region, found ...bus.Box) []bus.TrackObject {
	w.seq, w.now = w.seq+1, w.now.Add(100*time.Millisecond)
	d := &bus.Detections{Seq: w.seq, CapturedAt: w.now, Frame: wide}
	d.Tiles = bus.Tiles{Policy: bus.PolicyAdaptive, Run: 2, Of: 33, CoverageAge: 1000, Regions: []bus.Region{tile}}
	for _, b := range found {
		d.Objects = append(d.Objects, bus.Object{Label: "person", Score: w.score, Box: b})
	}
	tracks, events := w.Update(d)
	w.events = append(w.events, events...)
	return tracks
}

func boxAt(x float32) bus.Box { return bus.Box{x, 1200, x + 60, 1320} }

// TestTheWholeFrameTellsOfNoSecondThing: between close looks its network may see one thing twice. What a close look shows is believed.
func TestTheWholeFrameTellsOfNoSecondThing(t *testing.T) {
	w := newWatched(Config{})
	one, twice, beside := boxAt(1200), bus.Box{1180, 1150, 1275, 1325}, boxAt(1300)
	for range 4 {
		w.play(tileHere, one)
	}
	for range 6 {
		w.play(tileAway, one, twice, beside)
	}
	for range 6 { // most of the second box lies in a tile, but what a tile finds does not leave it
		w.play(bus.Region{X: 1000, Y: 1320 - 640, W: 640, H: 640}, one, twice, beside)
	}
	if got := w.play(tileAway, one, twice, beside); len(got) != 2 || got[1].Box != beside {
		t.Errorf("%+v, want the one that is known and the one beside it", got)
	}
	for range 3 {
		w.play(tileHere, one, twice, beside)
	}
	if got := w.play(tileHere, one, twice, beside); len(got) != 3 {
		t.Errorf("after close looks: %+v, want three", got)
	}
}

func TestAStandingTrackIsCarriedBetweenLooks(t *testing.T) {
	w := newWatched(Config{UpdateEvery: time.Hour, Stationary: time.Hour})
	for range 4 {
		w.play(tileHere, boxAt(1200))
	}
	for i := range 100 {
		if i%10 == 9 {
			got := w.play(tileHere, boxAt(1200))
			if len(got) != 1 || got[0].Carried || got[0].TrackID != 1 {
				t.Fatalf("look %d: %+v", i, got)
			}
			continue
		}
		got := w.play(tileAway)
		if len(got) != 1 || !got[0].Carried || got[0].TrackID != 1 || got[0].Box != boxAt(1200) || got[0].Predicted != boxAt(1200) {
			t.Fatalf("frame %d without a look: %+v", i, got)
		}
	}
	if len(w.events) != 1 {
		t.Errorf("%d events, want the start alone", len(w.events))
	}
}

func TestAMovingTrackIsCarriedForAMomentByItsPrediction(t *testing.T) {
	w, x := newWatched(Config{}), float32(1100)
	for range 8 {
		x += 12
		w.play(tileHere, boxAt(x))
	}
	for i := range 12 {
		x += 12
		got := w.play(tileAway)
		switch {
		case i >= 5 && len(got) > 0:
			t.Fatalf("frame %d without a look tells of %+v", i, got)
		case i < 5 && (len(got) != 1 || !got[0].Carried || got[0].Box.IoU(boxAt(x)) < 0.5):
			t.Fatalf("frame %d without a look: %+v, is at %v", i, got, boxAt(x))
		}
	}
	if got := w.play(tileHere, boxAt(x)); len(got) != 1 || got[0].TrackID != 1 || got[0].Carried {
		t.Errorf("seen again: %+v", got)
	}
}

func TestAMovingTrackThatALookMissedIsNotCarried(t *testing.T) {
	w, x := newWatched(Config{}), float32(1100)
	for range 8 {
		x += 12
		w.play(tileHere, boxAt(x))
	}
	w.play(tileHere)
	if got := w.play(tileAway); len(got) > 0 {
		t.Errorf("after a look in vain: %+v", got)
	}
	if got := w.play(tileHere, boxAt(x+36)); len(got) != 1 || got[0].TrackID != 1 {
		t.Errorf("seen again: %+v", got)
	}
}

// TestATrackThatStandsAndALookMissedIsNotCarried: until a look finds it again, with the id that it had.
func TestATrackThatStandsAndALookMissedIsNotCarried(t *testing.T) {
	w := newWatched(Config{})
	for range 5 {
		w.play(tileHere, boxAt(1200))
	}
	w.play(tileHere)
	if got := w.play(tileAway); len(got) > 0 {
		t.Errorf("after a look in vain: %+v", got)
	}
	w.play(tileHere, boxAt(1200))
	if got := w.play(tileAway); len(got) != 1 || got[0].TrackID != 1 || !got[0].Carried {
		t.Errorf("after a look that found it again: %+v", got)
	}
}

// TestWhatAnotherTileMissesIsDoubted: what is not plain may be seen by one tile and not by another; the one that saw it tells whether it is
// gone, and if nobody asks it, time does.
func TestWhatAnotherTileMissesIsDoubted(t *testing.T) {
	beside := bus.Region{X: 900, Y: 900, W: 640, H: 640} // shows it too
	for _, c := range []struct {
		score          float32
		doubted, asked bool
	}{{score: DefaultHigh + plainMargin - 0.05, doubted: true}, {score: DefaultHigh + plainMargin - 0.05, asked: true}, {score: DefaultHigh + plainMargin}} {
		w := newWatched(Config{})
		w.score = c.score
		for range 6 {
			w.play(tileHere, boxAt(1200))
		}
		if c.asked {
			w.play(tileHere)
		}
		for i := range 6 {
			if got := w.play(beside); len(got) == 1 != c.doubted {
				t.Fatalf("%+v, look %d of another tile: %+v", c, i, got)
			}
		}
		w.play(beside)
		w.play(beside)
		if got := w.play(beside); len(got) > 0 {
			t.Errorf("%+v: told of after %v of looks in vain", c, doubtSeen)
		}
	}
}

// TestWhereLooksAreFewALowScoreGoesOnWithANewTrack: where all is looked at, others will come.
func TestWhereLooksAreFewALowScoreGoesOnWithANewTrack(t *testing.T) {
	for scores, tracks := range map[[3]float32]int{
		{0.5, 0.46, 0.46}: 1, {0.46, 0.46, 0.5}: 0, {0.5, 0.44, 0.44}: 0,
	} {
		w := newWatched(Config{MinHits: 3})
		var got []bus.TrackObject
		for _, w.score = range scores {
			got = w.play(tileHere, boxAt(1200))
		}
		if len(got) != tracks {
			t.Errorf("scores %v: %+v, want %d", scores, got, tracks)
		}
	}
}

// TestOnlyWhatALookWasSureOfIsCarried: a thing at the threshold is told of where it is seen alone, or has been again and again.
func TestOnlyWhatALookWasSureOfIsCarried(t *testing.T) {
	for score, carried := range map[float32]int{DefaultHigh + sureMargin - 0.01: 0, DefaultHigh + sureMargin: 1} {
		w := newWatched(Config{})
		w.score = score
		for range foundOften - 1 {
			if got := w.play(tileHere, boxAt(1200)); w.seq >= DefaultMinHits && len(got) != 1 {
				t.Fatalf("score %v, seen: %+v", score, got)
			}
		}
		if got := w.play(tileAway); len(got) != carried {
			t.Errorf("score %v: %+v is told of unseen, want %d", score, got, carried)
		}
		w.play(tileHere, boxAt(1200))
		if got := w.play(tileAway); len(got) != 1 {
			t.Errorf("score %v, found again and again: %+v is told of unseen", score, got)
		}
		for range 3 {
			w.play(tileHere)
		}
		w.play(tileHere, boxAt(1200))
		if got := w.play(tileAway); len(got) != carried {
			t.Errorf("score %v, found and not found: %+v is told of unseen, want %d", score, got, carried)
		}
	}
}

func TestATrackThatLeftIsMissedByLooks(t *testing.T) {
	w := newWatched(Config{})
	for range 5 {
		w.play(tileHere, boxAt(1200))
	}
	for look := range lookedOften {
		for range 10 {
			if got := w.play(tileAway); len(got) > 0 && look > 0 {
				t.Fatalf("after %d looks in vain: %+v", look, got)
			}
		}
		if got := w.play(tileHere); len(got) > 0 {
			t.Fatalf("look %d found nothing, but %+v is told of", look, got)
		}
	}
	w.play(tileAway)
	if n := len(w.events); n == 0 || w.events[n-1].Type != bus.EventEnd {
		t.Errorf("no end after %d looks: %+v", lookedOften, w.events)
	}
}

func TestNothingIsCarriedForEver(t *testing.T) {
	w := newWatched(Config{Carry: 4 * time.Second})
	for range 5 {
		w.play(tileHere, boxAt(1200))
	}
	for i := range 60 {
		if got := w.play(tileAway); (len(got) == 1) != (i < 40) {
			t.Fatalf("%v after it was seen: %+v", time.Duration(i+1)*100*time.Millisecond, got)
		}
	}
}

func TestALargeThingIsSeenInTheWholeFrame(t *testing.T) {
	w, large := newWatched(Config{}), bus.Box{1000, 500, 1700, 1600}
	for range 5 {
		w.play(tileAway, large)
	}
	if got := w.play(tileAway); len(got) > 0 {
		t.Errorf("it is gone, but %+v is told of", got)
	}
}

func TestAPartCutByATileIsNoThing(t *testing.T) {
	w := newWatched(Config{})
	whole := bus.Box{1560, 1200, 1680, 1320} // beyond the right edge of tileHere
	beside := bus.Region{X: 1400, Y: 1000, W: 640, H: 640}
	for range 5 {
		w.play(beside, whole)
	}
	part := bus.Box{1560, 1200, 1640, 1320}
	for range 4 {
		got := w.play(tileHere, part)
		if len(got) != 1 || !got[0].Carried || got[0].Box != whole {
			t.Fatalf("a look that shows a part: %+v, want the whole carried", got)
		}
	}
	// A part of nothing that is known is followed: a thing that no tile holds would never be seen otherwise.
	fresh := newWatched(Config{})
	for range 3 {
		fresh.play(tileHere, part)
	}
	if got := fresh.play(tileHere, part); len(got) != 1 || got[0].Carried {
		t.Errorf("an unknown part: %+v", got)
	}
}

func TestWhatLeftTheFrameIsNotWaitedFor(t *testing.T) {
	w, x := newWatched(Config{}), float32(300)
	for range 10 {
		x -= 25
		w.play(tileAway, bus.Box{x, 200, x + 60, 320})
	}
	for range 30 {
		w.play(tileHere)
	}
	if n := len(w.targets); n > 0 {
		t.Errorf("it left the frame, and %d targets are left", n)
	}
}

func TestNothingIsCarriedWhereAllIsLookedAt(t *testing.T) {
	for _, tiles := range []bus.Tiles{
		{Policy: bus.PolicyOff, Run: 1, Of: 1}, {Policy: bus.PolicyGrid, Run: 33, Of: 33}, {Policy: bus.PolicyAdaptive, Run: 1, Of: 1},
		{Policy: bus.PolicyAdaptive, Run: 2, Of: 2, Regions: []bus.Region{tileAway}}, // a fixed one
	} {
		tr, now := NewTracker(Config{}, "gate", "01J"), time.Unix(1_700_000_000, 0)
		for seq := uint64(1); seq < 40; seq++ {
			d := &bus.Detections{Seq: seq, CapturedAt: now, Frame: wide, Tiles: tiles}
			now = now.Add(100 * time.Millisecond)
			if seq < 6 {
				d.Objects = []bus.Object{{Label: "person", Score: 0.8, Box: boxAt(1200)}}
			}
			if got, _ := tr.Update(d); seq >= 6 && len(got) > 0 {
				t.Fatalf("%+v, frame %d: %+v", tiles, seq, got)
			}
		}
		if len(tr.targets) > 0 {
			t.Errorf("%+v: %d targets are left after Lost", tiles, len(tr.targets))
		}
	}
}
