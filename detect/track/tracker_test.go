package track

import (
	"fmt"
	"testing"
	"time"

	"github.com/sightline/sightline/pipeline/bus"
)

func person(x, y, vx, vy float64) walker {
	return walker{label: "person", x: x, y: y, w: 80, h: 200, vx: vx, vy: vy}
}

func TestTrackIsToldOfAfterMinHitsAndEndsWhenLost(t *testing.T) {
	p := person(200, 500, 100, 0)
	p.leaves = 3.05
	w := newWorld(t, Config{}, p)
	for i := range 3 {
		if n := len(w.look(float64(i) * 0.1)); n != i/2 {
			t.Errorf("frame %d has %d tracks", i, n)
		}
	}
	w.run(0.3, 6, 10, 0)
	w.oneEach()
	var kinds []string
	for _, e := range w.events {
		kinds = append(kinds, fmt.Sprintf("%s@%.1f", e.Type, e.CapturedAt.Sub(epoch).Seconds()))
	}
	if got, want := fmt.Sprint(kinds), "[start@0.2 update@1.2 update@2.2 end@3.0]"; got != want {
		t.Errorf("events are %s, not %s", got, want)
	}
	end := w.events[len(w.events)-1]
	if end.TrackID != 1 || !end.StartedAt.Equal(epoch) || end.Seq != 31 || end.Label != "person" || end.Camera != "gate" || end.Session != "s1" ||
		end.Schema != bus.SchemaEvent || end.Score != 0.8 {
		t.Errorf("the end is %+v", end)
	}
}

func TestCrossingKeepsIdentities(t *testing.T) {
	for name, walkers := range map[string][]walker{
		"head on":     {person(300, 500, 150, 0), person(1500, 500, -150, 0)},
		"diagonal":    {person(300, 200, 150, 60), person(300, 800, 150, -60)},
		"overtaking":  {person(300, 500, 200, 0), person(600, 510, 100, 0)},
		"three meet":  {person(300, 500, 150, 0), person(1500, 500, -150, 0), person(900, 140, 0, 90)},
		"other label": {person(300, 500, 150, 0), {label: "dog", x: 300, y: 500, w: 80, h: 200, vx: 150}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, Config{}, walkers...)
			w.run(0, 7, 12.5, 0)
			w.oneEach()
		})
	}
}

func TestOneSeenOfTwoThatCross(t *testing.T) {
	w := newWorld(t, Config{}, person(300, 500, 150, 0), person(1500, 500, -150, 0))
	w.score = func(i int, s float64) float32 { // the one behind is hidden while they meet
		if i == 1 && s > 3.6 && s < 4.4 {
			return 0
		}
		return 0.8
	}
	w.run(0, 7, 12.5, 0)
	w.oneEach()
}

func TestLowScoresContinueButNeverBegin(t *testing.T) {
	w := newWorld(t, Config{}, person(300, 500, 60, 0))
	w.score = func(_ int, s float64) float32 {
		if s > 1 && s < 4 {
			return 0.2
		}
		return 0.9
	}
	w.run(0, 5, 10, 0)
	w.oneEach()
	if n := w.ids[0][1]; n != 48 {
		t.Errorf("the track was seen in %d frames of 48", n)
	}
	dim := newWorld(t, Config{}, person(300, 500, 60, 0))
	dim.score = func(int, float64) float32 { return 0.49 }
	dim.run(0, 3, 10, 0)
	if len(dim.events) != 0 {
		t.Errorf("low scores began a track: %v", dim.events)
	}
}

func TestFlickerIsNoTrack(t *testing.T) {
	w := newWorld(t, Config{}, person(300, 500, 0, 0))
	w.score = func(_ int, s float64) float32 {
		if int(s*10+0.5)%5 < 2 { // two frames of five
			return 0.9
		}
		return 0
	}
	w.run(0, 6, 10, 0)
	if len(w.events) != 0 {
		t.Errorf("events: %v", w.events)
	}
}

// street is a crowd: twelve people in lanes, and two cars that are fast.
func street() []walker {
	var walkers []walker
	for i := range 12 {
		v := 60 + 12*float64(i)
		x := 100.0
		if i%2 == 1 {
			v, x = -v, 1820
		}
		walkers = append(walkers, person(x, 110+78*float64(i), v, 0))
		walkers[i].w, walkers[i].h = 40, 70
	}
	return append(walkers, walker{label: "car", x: 0, y: 300, w: 300, h: 150, vx: 350}, walker{label: "car", x: 1900, y: 800, w: 300, h: 150, vx: -320})
}

func TestDroppedFramesDoNotChangeIdentities(t *testing.T) {
	for _, lost := range []float64{0, 0.2, 0.4, 0.6, 0.8} {
		t.Run(fmt.Sprintf("%.0f%%", lost*100), func(t *testing.T) {
			for seed := range uint64(5) {
				w := newWorld(t, Config{}, street()...)
				w.rng = randomised(seed)
				w.run(0, 5, 25, lost)
				w.oneEach()
			}
		})
	}
}

func TestUnevenFrameRate(t *testing.T) {
	w := newWorld(t, Config{}, street()...)
	s := 0.0
	for i := 0; s < 5; i++ {
		w.look(s)
		s += []float64{0.04, 0.04, 0.5, 0.08, 0.04, 0.3}[i%6]
	}
	w.oneEach()
}

func TestMissedObjectsKeepTheirTracks(t *testing.T) {
	w := newWorld(t, Config{}, street()...)
	w.miss = 0.25
	w.run(0, 5, 25, 0)
	switches := -len(w.ids)
	for _, ids := range w.ids {
		switches += len(ids)
	}
	if switches != 0 {
		t.Errorf("%d identities were lost: %v", switches, w.ids)
	}
}

func TestIDsAreNeverUsedAgain(t *testing.T) {
	var walkers []walker
	for i := range 200 {
		p := person(300+float64(i%5)*300, 500, 0, 0)
		p.appears = float64(i) * 3
		p.leaves = p.appears + 0.6
		walkers = append(walkers, p)
	}
	w := newWorld(t, Config{}, walkers...)
	w.run(0, 605, 10, 0.1)
	w.oneEach()
	if len(w.given) < 190 {
		t.Errorf("only %d tracks of %d were told of", len(w.given), len(walkers))
	}
}

func TestIDsOfALaterTrackerOfTheSessionAreNew(t *testing.T) {
	const crowd = 300
	var most uint64
	for _, first := range []uint64{1, 2, 40, 1 << 33} {
		tracker := NewTracker(Config{MinHits: 1}, "gate", "s1")
		d := &bus.Detections{Frame: frame, Seq: first, CapturedAt: epoch}
		for i := range crowd {
			x, y := float32(i%60)*30, float32(i/60)*200
			d.Objects = append(d.Objects, bus.Object{Label: "person", Score: 0.9, Box: bus.Box{x, y, x + 20, y + 50}})
		}
		tracks, _ := tracker.Update(d)
		if len(tracks) != DefaultMaxTracks || tracker.Refused() != crowd-DefaultMaxTracks {
			t.Fatalf("%d tracks, %d refused", len(tracks), tracker.Refused())
		}
		if tracks[0].TrackID <= most {
			t.Errorf("the first id from frame %d on is %d, after %d", first, tracks[0].TrackID, most)
		}
		most = tracks[len(tracks)-1].TrackID
	}
}

func TestAnotherFrameSizeEndsAllTracks(t *testing.T) {
	w := newWorld(t, Config{}, person(300, 500, 0, 0))
	w.run(0, 1, 10, 0)
	d := &bus.Detections{Seq: 100, Frame: bus.Size{Width: 640, Height: 360}, CapturedAt: epoch.Add(time.Second)}
	tracks, events := w.tracker.Update(d)
	if len(tracks) != 0 || len(events) != 1 || events[0].Type != bus.EventEnd {
		t.Errorf("tracks %v, events %v", tracks, events)
	}
}

func TestClockThatGoesBack(t *testing.T) {
	w := newWorld(t, Config{}, person(300, 500, 0, 0))
	w.run(100, 101, 10, 0)
	w.run(50, 52, 10, 0) // a camera was set to another time
	w.oneEach()
	w.walkers[0].leaves = 1
	w.run(52, 56, 10, 0)
	if last := w.events[len(w.events)-1]; last.Type != bus.EventEnd {
		t.Errorf("the last event is %v", last)
	}
}

func TestEndEndsAll(t *testing.T) {
	w := newWorld(t, Config{}, street()...)
	w.run(0, 1, 10, 0)
	if n := len(w.tracker.End()); n != len(w.walkers) {
		t.Errorf("%d tracks ended of %d", n, len(w.walkers))
	}
	if n := len(w.tracker.End()); n != 0 {
		t.Errorf("%d tracks ended twice", n)
	}
}

func TestPredictedIsWhereTheObjectWillBe(t *testing.T) {
	p := person(300, 500, 200, 50)
	w := newWorld(t, Config{}, p)
	w.tremble = 0.003
	w.run(0, 2, 12.5, 0)
	tracks := w.look(2)
	next, _ := p.at(2.08)
	if common := tracks[0].Predicted.IoU(next); common < 0.9 {
		t.Errorf("predicted %v, is %v: overlap %.2f", tracks[0].Predicted, next, common)
	}
}
