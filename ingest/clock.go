package ingest

import (
	"math"
	"time"

	"github.com/sightline/sightline/ingest/decode"
	"github.com/sightline/sightline/pipeline/bus"
)

const (
	usualInterval = 40 * time.Millisecond // between the pictures of a file that does not say
	// A larger step between two pictures of a file is a fault of its timestamps, and counts as one interval.
	longestStep = 10 * time.Second
	// A file that is played slower than its timestamps by more than this gives up catching up: its clock is moved.
	longestDelay = time.Second
)

// fileClock says when a picture of a file is due: from the moment playing began, as far on as the container says.
// Sums of exact differences, so it does not drift.
type fileClock struct {
	started bool
	start   time.Time     // when the first picture was due
	media   time.Duration // of the last picture since start
	raw     time.Duration // the container's time of the last picture
	catchUp bool          // never move start: frames are not shown to anybody in real time
}

// at returns when the picture with the container's time pts is due, and its time since the beginning. now is only used for
// the first picture and for one that is far too late.
func (c *fileClock) at(pts, interval time.Duration, now time.Time) (time.Time, time.Duration) {
	if interval <= 0 {
		interval = usualInterval
	}
	if pts > math.MaxInt64/2 || pts < math.MinInt64/2 { // nonsense, and sums of it would overflow
		pts = decode.NoTime
	}
	step := pts - c.raw
	switch {
	case !c.started:
		c.started, c.start, step = true, now, 0
		if pts == decode.NoTime {
			pts = 0
		}
	case pts == decode.NoTime:
		step, pts = interval, c.raw+interval
	case step <= 0 || step > longestStep:
		step = interval
	}
	c.raw = pts
	c.media += step
	due := c.start.Add(c.media)
	if late := now.Sub(due); late > longestDelay && !c.catchUp {
		c.start, due = c.start.Add(late), now
	}
	return due, c.media
}

// shedder thins frames out evenly to a rate. The zero value keeps all.
type shedder struct {
	interval time.Duration
	phase    time.Duration // from the first frame to when the second is due
	next     time.Time     // when the next frame is due
	last     time.Time     // of the frame before, kept or not
}

// newShedder makes a shedder whose second frame is due a part of its interval after the first, in (0, 1].
func newShedder(fps, phase float64) shedder {
	if fps <= 0 {
		return shedder{}
	}
	interval := float64(time.Second) / fps
	return shedder{interval: time.Duration(interval), phase: time.Duration(interval * phase)}
}

// keep says whether the frame captured at t is one to publish. A quarter of the camera's own interval is forgiven as jitter,
// so that a camera that sends at just this rate loses nothing.
func (s *shedder) keep(t time.Time) bool {
	if s.interval == 0 {
		return true
	}
	jitter := max(min(t.Sub(s.last), s.interval)/4, 0)
	s.last = t
	if s.next.IsZero() {
		s.next = t.Add(s.phase)
		return true
	}
	if t.Add(jitter).Before(s.next) {
		return false
	}
	if t.Sub(s.next) > s.interval {
		s.next = t
	}
	s.next = s.next.Add(s.interval)
	return true
}

// flight remembers what belongs to the pictures that are in the decoder. A picture is known by its ticket, a number that
// the decoder carries along.
type flight struct {
	tickets int64
	places  [64]passenger // more than any decoder holds back
}

// passenger is what travels beside one picture through the decoder.
type passenger struct {
	ticket             int64
	pts, dts, interval time.Duration
	rtp                uint32
	captured           time.Time
	clock              bus.Clock
}

// board takes note of a unit and returns its ticket.
func (f *flight) board(u *Unit) int64 {
	f.tickets++
	f.places[f.tickets%int64(len(f.places))] = passenger{
		ticket: f.tickets, pts: u.PTS, dts: u.dts, interval: u.interval, rtp: u.RTPTimestamp, captured: u.CapturedAt, clock: u.Clock,
	}
	return f.tickets
}

// leave returns what belongs to the picture with this ticket. Where a container knows only when pictures are decoded (AVI),
// the earliest of these times belongs to the first picture that comes out.
func (f *flight) leave(ticket int64) (passenger, bool) {
	p := &f.places[uint64(ticket)%uint64(len(f.places))]
	if p.ticket != ticket {
		return passenger{}, false
	}
	if p.pts == decode.NoTime && p.dts != decode.NoTime {
		earliest := p
		for i := range f.places {
			if o := &f.places[i]; o.ticket > ticket-16 && o.pts == decode.NoTime && o.dts != decode.NoTime && o.dts < earliest.dts {
				earliest = o
			}
		}
		p.pts, earliest.dts, p.dts = earliest.dts, p.dts, decode.NoTime
	}
	return *p, true
}
