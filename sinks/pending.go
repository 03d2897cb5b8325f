package sinks

import (
	"time"

	"github.com/sightline/sightline/pipeline/picture"
)

// pendingShots bounds the scaled pictures of one camera that wait for their detections. As many exist as were once
// needed: a detector that answers within 100 ms needs three or four.
const pendingShots = 64

// earlyDetections bounds the detections that came before their picture was scaled.
const earlyDetections = 16

// shot is one frame at output size.
type shot struct {
	session    string
	seq        uint64
	capturedAt time.Time
	pic        *picture.I420
	found      *finding // nil until it comes
}

func (s *shot) is(f *finding) bool { return s.seq == f.seq && s.session == f.session }

// pending brings pictures and detections of the same frame together. Pictures stay in the order they came in. It is
// guarded by its annotator's mutex.
type pending struct {
	waiting []*shot // oldest first
	free    []*shot
	made    int
	early   []*finding // oldest first
	skipped uint64     // pictures given up
}

// take hands out a shot to scale into. When all exist, the oldest waiting one is given up for it.
func (p *pending) take() *shot {
	if n := len(p.free); n > 0 {
		s := p.free[n-1]
		p.free = p.free[:n-1]
		return s
	}
	if p.made < pendingShots || len(p.waiting) == 0 {
		p.made++
		return &shot{}
	}
	s := p.waiting[0]
	p.drop(0)
	p.skipped++
	s.found = nil
	return s
}

func (p *pending) drop(i int) {
	copy(p.waiting[i:], p.waiting[i+1:])
	p.waiting[len(p.waiting)-1] = nil
	p.waiting = p.waiting[:len(p.waiting)-1]
}

// add queues a scaled picture and says whether its detections were there already.
func (p *pending) add(s *shot) bool {
	p.waiting = append(p.waiting, s)
	for i, d := range p.early {
		if s.is(d) {
			s.found = d
			p.early = append(p.early[:i], p.early[i+1:]...)
			return true
		}
	}
	return false
}

// match gives detections to their picture, or keeps them a while for it. It says whether the picture is there.
func (p *pending) match(f *finding) bool {
	for _, s := range p.waiting {
		if s.is(f) {
			s.found = f
			return true
		}
	}
	if len(p.early) == earlyDetections {
		copy(p.early, p.early[1:])
		p.early = p.early[:earlyDetections-1]
	}
	p.early = append(p.early, f)
	return false
}

// next takes out the oldest picture that has its detections, or nil, and gives up all that are older: detectors look at
// the newest frame, so detections of older ones hardly ever come later.
func (p *pending) next() *shot {
	for i, s := range p.waiting {
		if s.found != nil {
			return p.takeOut(i)
		}
	}
	return nil
}

// newest takes out the newest picture, detections or not, and gives up all others.
func (p *pending) newest() *shot {
	if len(p.waiting) == 0 {
		return nil
	}
	return p.takeOut(len(p.waiting) - 1)
}

func (p *pending) takeOut(i int) *shot {
	s := p.waiting[i]
	for _, old := range p.waiting[:i] {
		p.release(old)
	}
	p.skipped += uint64(i)
	rest := copy(p.waiting, p.waiting[i+1:])
	clear(p.waiting[rest:])
	p.waiting = p.waiting[:rest]
	return s
}

// release gives a shot back for reuse.
func (p *pending) release(s *shot) {
	s.found, s.session = nil, ""
	p.free = append(p.free, s)
}
