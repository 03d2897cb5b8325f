package ingest

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/sightline/sightline/ingest/decode"
)

const ms = time.Millisecond

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

func TestFileClockFollowsTimestampsAndForgivesBrokenOnes(t *testing.T) {
	for name, c := range map[string]struct{ pts, want []time.Duration }{
		"plain":           {[]time.Duration{5000 * ms, 5040 * ms, 5080 * ms}, []time.Duration{0, 40 * ms, 80 * ms}},
		"uneven":          {[]time.Duration{0, 33 * ms, 67 * ms, 100 * ms}, []time.Duration{0, 33 * ms, 67 * ms, 100 * ms}},
		"unknown":         {[]time.Duration{decode.NoTime, decode.NoTime, decode.NoTime}, []time.Duration{0, 20 * ms, 40 * ms}},
		"some unknown":    {[]time.Duration{540 * ms, decode.NoTime, decode.NoTime, 600 * ms}, []time.Duration{0, 20 * ms, 40 * ms, 60 * ms}},
		"standing still":  {[]time.Duration{7, 7, 7}, []time.Duration{0, 20 * ms, 40 * ms}},
		"spike and back":  {[]time.Duration{0, 40 * ms, 37_600 * time.Second, 80 * ms, 120 * ms}, []time.Duration{0, 40 * ms, 60 * ms, 80 * ms, 120 * ms}},
		"ends of numbers": {[]time.Duration{math.MaxInt64, math.MinInt64 + 1, 0}, []time.Duration{0, 20 * ms, 40 * ms}},
	} {
		t.Run(name, func(t *testing.T) {
			var clock fileClock
			for i, pts := range c.pts {
				due, media := clock.at(pts, 20*ms, noon)
				if media != c.want[i] || !due.Equal(noon.Add(media)) {
					t.Errorf("picture %d: due %v, media %v, want %v", i, due.Sub(noon), media, c.want[i])
				}
			}
		})
	}
}

// A machine that is too slow, or slept, does not rush through what it missed; in between nothing drifts.
func TestFileClockGivesUpCatchingUp(t *testing.T) {
	var clock fileClock
	clock.at(0, 0, noon)
	if due, _ := clock.at(900*ms, 0, noon.Add(1800*ms)); !due.Equal(noon.Add(900 * ms)) {
		t.Errorf("0.9 s late: due %v", due.Sub(noon))
	}
	if due, _ := clock.at(1000*ms, 0, noon.Add(5*time.Second)); !due.Equal(noon.Add(5 * time.Second)) {
		t.Errorf("4 s late: due %v", due.Sub(noon))
	}
	if due, _ := clock.at(1040*ms, 0, noon.Add(5*time.Second)); !due.Equal(noon.Add(5*time.Second + 40*ms)) {
		t.Errorf("after the move: due %v", due.Sub(noon))
	}
	fast := fileClock{catchUp: true}
	fast.at(0, 0, noon)
	if due, _ := fast.at(40*ms, 0, noon.Add(time.Hour)); !due.Equal(noon.Add(40 * ms)) {
		t.Errorf("played fast: due %v", due.Sub(noon))
	}
}

func TestShedderKeepsEvenly(t *testing.T) {
	for _, c := range []struct{ camera, limit, want float64 }{
		{25, 0, 25}, {25, 25, 25}, {25, 30, 25}, {25, 12.5, 12.5}, {25, 10, 10}, {25, 5, 5}, {120, 15, 15}, {30, 1, 1}, {15, 10, 10},
	} {
		shed, kept, widest, last := newShedder(c.limit, 1-rand.Float64()), 0, time.Duration(0), noon
		const seconds = 100
		for i := range int(c.camera * seconds) {
			at := noon.Add(time.Duration(float64(i) / c.camera * 1e9))
			at = at.Add(time.Duration(i%3-1) * time.Duration(1e9/c.camera/20)) // jitter
			if shed.keep(at) {
				kept++
				widest, last = max(widest, at.Sub(last)), at
			}
		}
		if got := float64(kept) / seconds; math.Abs(got-c.want) > c.want*0.02+0.01 {
			t.Errorf("%g fps limited to %g: %g kept, want %g", c.camera, c.limit, got, c.want)
		}
		if limit := time.Duration(1e9/c.want + 1.2e9/c.camera); widest > limit {
			t.Errorf("%g fps limited to %g: a gap of %v", c.camera, c.limit, widest)
		}
	}
}

// TestShedderHasItsOwnPhase: cameras that begin together do not publish together for ever.
func TestShedderHasItsOwnPhase(t *testing.T) {
	for _, c := range []struct {
		phase float64
		want  []int
	}{{1, []int{0, 10, 20}}, {0.5, []int{0, 5, 15, 25}}, {0.01, []int{0, 1, 10, 20}}} {
		shed := newShedder(1, c.phase)
		var kept []int
		for i := range 30 {
			if shed.keep(noon.Add(time.Duration(i) * 100 * ms)) {
				kept = append(kept, i)
			}
		}
		if !slices.Equal(kept, c.want) {
			t.Errorf("phase %g: kept %v, want %v", c.phase, kept, c.want)
		}
	}
}

func TestShedderGoesOnAfterAGap(t *testing.T) {
	shed := newShedder(1, 1)
	kept := 0
	for _, at := range []time.Duration{0, time.Hour, time.Hour + 100*ms, time.Hour + 200*ms, time.Hour + 1000*ms} {
		if shed.keep(noon.Add(at)) {
			kept++
		}
	}
	if kept != 3 {
		t.Errorf("%d kept, want 3: after a gap nothing is made up for", kept)
	}
}

func TestTimelineJoinsRounds(t *testing.T) {
	var line timeline
	var got []time.Duration
	for range 3 {
		for _, pts := range []time.Duration{1000 * ms, 1080 * ms, 1040 * ms, 1120 * ms} { // B-frames, and not from zero
			joined, dts := line.place(pts, decode.NoTime, 40*ms)
			if dts != decode.NoTime {
				t.Fatalf("unknown time became %v", dts)
			}
			got = append(got, joined)
		}
		line.next()
	}
	for i, want := range []time.Duration{0, 80, 40, 120, 160, 240, 200, 280, 320, 400, 360, 440} {
		if got[i] != want*ms {
			t.Errorf("packet %d at %v, want %v", i, got[i], want*ms)
		}
	}
}

func TestFlightGivesPicturesTheirTimes(t *testing.T) {
	var f flight
	var tickets []int64
	for n := range 100 {
		tickets = append(tickets, f.board(&Unit{PTS: time.Duration(n), RTPTimestamp: uint32(n)}))
	}
	if p, ok := f.leave(tickets[97]); !ok || p.pts != 97 || p.rtp != 97 {
		t.Errorf("picture 97: %v %+v", ok, p)
	}
	if _, ok := f.leave(tickets[3]); ok {
		t.Error("a ticket that is long gone was taken")
	}
	for _, strange := range []int64{math.MinInt64, -1, 0, math.MaxInt64} {
		if _, ok := f.leave(strange); ok {
			t.Errorf("ticket %d was taken", strange)
		}
	}
}

// AVI knows when pictures are decoded, not when they are shown: in display order they take these times in rising order.
func TestFlightOrdersDecodingTimes(t *testing.T) {
	var f flight
	var ticket []int64
	for n := range 6 {
		ticket = append(ticket, f.board(&Unit{PTS: decode.NoTime, dts: time.Duration(n) * 40 * ms}))
	}
	for i, shown := range []int{0, 2, 1, 4, 3, 5} { // display order of I P B P B …
		if p, ok := f.leave(ticket[shown]); !ok || p.pts != time.Duration(i)*40*ms {
			t.Errorf("picture %d shown at %v, want %v", i, p.pts, time.Duration(i)*40*ms)
		}
	}
}

func TestBackoff(t *testing.T) {
	within := func(d, low time.Duration) bool { return d >= low && d <= low+low/4 }
	var b backoff
	for i, want := range []time.Duration{500 * ms, time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second, 8 * time.Second} {
		if d := b.wait(Retry, 0); !within(d, want) {
			t.Errorf("attempt %d waits %v, want %v", i+1, d, want)
		}
	}
	if d := b.wait(Retry, time.Second); !within(d, 8*time.Second) {
		t.Errorf("after a connection of a second: %v", d)
	}
	if d := b.wait(Retry, time.Minute); !within(d, 500*ms) {
		t.Errorf("after a good connection: %v", d)
	}
	for range 200 {
		b.wait(Retry, 0)
	}
	if d := b.wait(Retry, 0); !within(d, 8*time.Second) {
		t.Errorf("after 200 attempts: %v", d)
	}
	b = backoff{}
	if d := b.wait(Closed, time.Second); d != 0 {
		t.Errorf("after an orderly end: %v", d)
	}
	if d := b.wait(Closed, 0); !within(d, 500*ms) {
		t.Errorf("after an orderly end without a picture: %v", d)
	}
	b = backoff{}
	if d := b.wait(Unauthorized, 0); !within(d, 500*ms) {
		t.Errorf("first refusal: %v", d)
	}
	for range 20 {
		if d := b.wait(Unauthorized, 0); !within(d, time.Minute) {
			t.Errorf("next refusal: %v", d)
		}
	}
}
