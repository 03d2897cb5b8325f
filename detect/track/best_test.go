package track

import (
	"testing"

	"github.com/sightline/sightline/pipeline/bus"
)

// looked shows one frame with people in boxes to a tracker, and gives what is told of the first of them.
func looked(t *testing.T, tracker *Tracker, seq uint64, score float32, boxes ...bus.Box) (bus.TrackObject, []bus.Event) {
	t.Helper()
	d := seen("gate", "s1", seq)
	d.Objects = d.Objects[:0]
	for i, b := range boxes {
		d.Objects = append(d.Objects, bus.Object{Label: []string{"person", "car"}[i], Score: score, Box: b})
	}
	tracks, events := tracker.Update(d)
	for _, o := range tracks {
		if o.Label == "person" {
			return o, events
		}
	}
	return bus.TrackObject{}, events
}

// TestBestLookIsSureLargeAndWhole: each row follows rows in which a person of 80 by 200 pixels was seen with a score of 0.6.
func TestBestLookIsSureLargeAndWhole(t *testing.T) {
	plain := bus.Box{500, 300, 580, 500}
	for name, c := range map[string]struct {
		score  float32
		boxes  []bus.Box
		better bool
	}{
		"the same":                 {0.6, []bus.Box{plain}, false},
		"hardly surer":             {0.65, []bus.Box{plain}, false},
		"surer":                    {0.7, []bus.Box{plain}, true},
		"larger":                   {0.6, []bus.Box{{490, 280, 595, 520}}, true},
		"surer, but cut":           {0.9, []bus.Box{{500, 300, 580, 1080}}, false},
		"surer, but behind a car":  {0.9, []bus.Box{plain, {450, 310, 700, 600}}, false},
		"surer, and before a car":  {0.9, []bus.Box{plain, {450, 200, 700, 400}}, true},
		"surer, beside a car":      {0.9, []bus.Box{plain, {600, 310, 900, 600}}, true},
		"surer, and half the size": {0.9, []bus.Box{{505, 320, 560, 470}}, true},
	} {
		tracker := NewTracker(Config{MinHits: 2}, "gate", "s1")
		start := plain
		if name == "surer, but cut" { // it must be the same track
			start = bus.Box{500, 320, 580, 1070}
		}
		car := bus.Box{}
		if len(c.boxes) > 1 {
			car = c.boxes[1]
		}
		for seq := uint64(1); seq <= 4; seq++ {
			boxes := []bus.Box{start}
			if seq > 2 && car != (bus.Box{}) {
				boxes = append(boxes, bus.Box{1500, 700, 1700, 900}) // elsewhere
			}
			if got, _ := looked(t, tracker, seq, 0.6, boxes...); got.Best != (seq == 2) {
				t.Fatalf("%s: frame %d is best: %v", name, seq, got.Best)
			}
		}
		got, _ := looked(t, tracker, 5, c.score, c.boxes...)
		if got.TrackID != 1 || got.Best != c.better {
			t.Errorf("%s: track %d, best %v, want %v", name, got.TrackID, got.Best, c.better)
		}
	}
}

// TestEventsTellOfTheBestLook: the end does, long after it.
func TestEventsTellOfTheBestLook(t *testing.T) {
	w := newWorld(t, Config{}, person(-100, 500, 100, 0)) // comes from the left, whole from second 1.5 on, and goes to the right
	w.score = func(_ int, s float64) float32 {
		if s > 4.95 && s < 5.05 {
			return 0.95
		}
		return 0.6
	}
	bests := 0
	for i := range 220 {
		for _, o := range w.look(float64(i) / 10) {
			if o.Best {
				bests++
			}
		}
	}
	w.run(22, 26, 10, 0)
	w.oneEach()
	first, last := w.events[0], w.events[len(w.events)-1]
	if first.Type != bus.EventStart || first.Best == nil || first.Best.Seq != first.Seq || first.Best.Box != *first.Box || !first.Best.CapturedAt.Equal(first.CapturedAt) {
		t.Errorf("the start: %+v, best %+v", first, first.Best)
	}
	if last.Type != bus.EventEnd || last.Best == nil || last.Best.Seq != 51 || last.Best.Score != 0.95 || last.Seq <= 51 {
		t.Errorf("the end: %+v, best %+v", last, last.Best)
	}
	if bests < 3 || bests > 20 {
		t.Errorf("%d frames were best", bests)
	}
	for _, e := range w.events {
		conforms(t, "event", e)
		if (e.Best != nil) != (e.Type == bus.EventStart || e.Type == bus.EventUpdate || e.Type == bus.EventEnd) {
			t.Errorf("%s has best %+v", e.Type, e.Best)
		}
	}
}

// TestCarriedTracksHaveNoBestLook: nobody looked.
func TestCarriedTracksHaveNoBestLook(t *testing.T) {
	w := newWatched(Config{})
	for range 5 {
		w.play(tileHere, boxAt(1200))
	}
	for range 20 {
		if got := w.play(tileAway); len(got) != 1 || got[0].Best {
			t.Fatalf("carried: %+v", got)
		}
	}
}
