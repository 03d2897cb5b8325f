package track

import (
	"fmt"
	"testing"
	"time"

	"github.com/sightline/sightline/pipeline/bus"
)

// turns lists when events told that a track stands or moves again, and how many other updates there were.
func (w *world) turns() (turns string, updates int) {
	standing := false
	for _, e := range w.events {
		switch {
		case e.Stationary != standing:
			standing = e.Stationary
			turns += fmt.Sprintf(" %s stationary=%v@%.0f", e.Type, standing, e.CapturedAt.Sub(epoch).Seconds())
		case e.Type == bus.EventUpdate:
			updates++
		}
	}
	return turns, updates
}

// TestParkedCarIsStationaryAndSilent: it is told of once when it stands, and no more until it goes.
func TestParkedCarIsStationaryAndSilent(t *testing.T) {
	car := walker{label: "car", x: 800, y: 500, w: 300, h: 150, leaves: 600}
	w := newWorld(t, Config{}, car)
	w.tremble = 0.03
	w.run(0, 9, 10, 0)
	if tracks := w.look(9); tracks[0].Stationary || !tracks[0].MotionlessSince.IsZero() {
		t.Errorf("after 9 s: %+v", tracks[0].Rest)
	}
	w.run(9.1, 60, 10, 0)
	want := bus.Rest{Stationary: true, MotionlessSince: epoch, MotionlessCount: 601}
	if tracks := w.look(60); tracks[0].Rest != want {
		t.Errorf("after a minute: %+v, want %+v", tracks[0].Rest, want)
	}
	stats := CameraStats{Active: map[string]int{}, Stationary: map[string]int{}}
	if w.tracker.count(&stats); stats.Stationary["car"] != 1 || len(stats.Active) != 0 {
		t.Errorf("counted %+v", stats)
	}
	w.run(60.1, 610, 10, 0)
	w.oneEach()
	if turns, updates := w.turns(); turns != " update stationary=true@10" || updates != 9 {
		t.Errorf("told%s, and %d other updates", turns, updates)
	}
	if last := w.events[len(w.events)-1]; last.Type != bus.EventEnd || !last.Stationary || len(w.events) != 12 {
		t.Errorf("%d events, the last %+v", len(w.events), last)
	}
}

// TestStationaryIsAMatterOfTimeNotFrames: at any rate of frames, also an uneven one.
func TestStationaryIsAMatterOfTimeNotFrames(t *testing.T) {
	for _, c := range []struct{ fps, lost float64 }{{1, 0}, {5, 0}, {25, 0}, {25, 0.7}, {2, 0.3}} {
		w := newWorld(t, Config{}, person(800, 500, 0, 0))
		w.tremble = 0.03
		w.run(0, 20, c.fps, c.lost)
		at := 0.0
		for _, e := range w.events {
			if e.Stationary && at == 0 {
				at = e.CapturedAt.Sub(epoch).Seconds()
			}
		}
		if at < 10 || at > 12.5 {
			t.Errorf("%v frames a second, %v lost: stationary at %v s", c.fps, c.lost, at)
		}
	}
}

// stander stands until second 15 and then walks; it creeps before, by some pixels a second.
func stander(creep float64) walker { return person(400, 500, creep, 0) }

func TestWhoMovesOnIsNotStationary(t *testing.T) {
	for _, fps := range []float64{2, 10, 25} {
		w := newWorld(t, Config{}, stander(0))
		w.run(0, 15, fps, 0)
		w.walkers[0] = person(400-15*120, 500, 120, 0)
		w.run(15, 20, fps, 0)
		w.oneEach()
		turns, updates := w.turns()
		if turns != " update stationary=true@10 update stationary=false@16" && turns != " update stationary=true@10 update stationary=false@15" {
			t.Errorf("%v frames a second: told%s", fps, turns)
		}
		if updates < 9 || updates > 14 {
			t.Errorf("%v frames a second: %d updates", fps, updates)
		}
	}
}

func TestWhoCreepsIsNotStationary(t *testing.T) {
	w := newWorld(t, Config{}, stander(6))
	w.run(0, 60, 10, 0)
	if turns, _ := w.turns(); turns != "" {
		t.Errorf("told%s", turns)
	}
}

// TestOneBadBoxMovesNothing: something passes in front for two frames.
func TestOneBadBoxMovesNothing(t *testing.T) {
	var r rest
	at := func(n int) time.Time { return epoch.Add(time.Duration(n) * time.Second) }
	whole, half, far := bus.Box{100, 100, 200, 300}, bus.Box{100, 100, 145, 300}, bus.Box{300, 100, 400, 300}
	for n := range 12 {
		r.see(whole, at(n), 10*time.Second)
	}
	r.see(half, at(12), 10*time.Second)
	r.see(half, at(13), 10*time.Second)
	r.see(whole, at(14), 10*time.Second)
	if !r.stationary || !r.since.Equal(epoch) || r.frames != 13 {
		t.Errorf("after two bad boxes: %+v", r)
	}
	for n := 15; n < 18; n++ {
		r.see(half, at(n), 10*time.Second)
	}
	if r.stationary || !r.since.Equal(at(17)) {
		t.Errorf("after three elsewhere: %+v", r)
	}
	r.see(far, at(18), 0)
	if !r.since.Equal(at(18)) || r.frames != 1 {
		t.Errorf("after a leap: %+v", r)
	}
}

// TestCarriedTrackStaysStationary: nobody looks at its place most of the time, which is no sign that it moves, nor that it stands.
func TestCarriedTrackStaysStationary(t *testing.T) {
	w := newWatched(Config{})
	begun := w.now.Add(100 * time.Millisecond)
	for range 4 {
		w.play(tileHere, boxAt(1200))
	}
	for n := 4; n < 300; n++ {
		tile, found := tileAway, []bus.Box{}
		looked := n%40 == 0
		if looked {
			tile, found = tileHere, append(found, boxAt(1200))
		}
		got := w.play(tile, found...)
		if len(got) != 1 || got[0].Carried == looked {
			t.Fatalf("frame %d: %+v", n, got)
		}
		if want := n >= 120; got[0].Stationary != want || want && !got[0].MotionlessSince.Equal(begun) { // the first look after 10 s
			t.Fatalf("frame %d: %+v", n, got[0].Rest)
		}
	}
	stationary := 0
	for _, e := range w.events {
		if e.Stationary {
			stationary++
		}
	}
	if stationary != 1 || len(w.events) > 5 {
		t.Errorf("%d events tell of a stationary track, %d in all", stationary, len(w.events))
	}
}
