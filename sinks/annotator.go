package sinks

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/sightline/sightline/pipeline/bus"
	"github.com/sightline/sightline/pipeline/picture"
)

const (
	minPatience   = time.Second            // without detections, before pictures are shown without boxes
	maxPatience   = 5 * time.Second        // the same for detectors that are known to be slow
	keyGap        = 500 * time.Millisecond // between key frames that viewers ask for
	joinGap       = 100 * time.Millisecond // between key frames for new viewers
	freshWait     = 200 * time.Millisecond // for the next picture, before the last one is sent again as a key frame
	lingerUnused  = 2 * time.Second        // an annotator outlives its last watcher: somebody may be polling snapshots
	faultInterval = 5 * time.Second        // between log lines about the same trouble, and between tries of a broken encoder
)

// annotator draws on one camera's pictures what was found in them and codes them, while anybody watches. Frames, detections and
// tracks come from one goroutine of the bus each; run draws, codes and hands out.
type annotator struct {
	camera     string
	maxW, maxH int
	conn       *bus.Conn
	mapper     *bus.Mapper
	counters   *counters
	log        *slog.Logger
	wake       chan struct{} // holds one: something below changed
	ended      chan struct{} // closed when run returned
	users      int           // guarded by the server's mutex, as is idleSince
	idleSince  time.Time     // when the last user left
	source     source        // belongs to the frames' goroutine
	look       func(*places) // tells what to draw of the camera's scene; nil: nothing

	mu           sync.Mutex // guards what follows
	pending      pending
	watchers     []*watcher
	requests     []*shotRequest
	origin       origin
	lastDetected time.Time     // when detections last arrived
	patience     time.Duration // see minPatience
	keyWanted    time.Time     // when somebody asked for a key frame; zero: nobody
	keyUrgent    bool          // a viewer has nothing to show yet
	lastKey      time.Time

	// These belong to run.
	stream  *stream
	painter painter
	places  places
	last    *shot     // as it was shown, to be shown again to who comes late
	nextTry time.Time // of an encoder that failed
}

// shotRequest asks for a copy of the next detected picture.
type shotRequest struct {
	boxes bool
	pic   *picture.I420 // set before done is closed
	done  chan struct{}
}

func newAnnotator(camera string, cfg Config, conn *bus.Conn, mapper *bus.Mapper, counters *counters, log *slog.Logger) *annotator {
	return &annotator{camera: camera, maxW: cfg.MaxWidth, maxH: cfg.MaxHeight, conn: conn, mapper: mapper, counters: counters,
		log: log.With("camera", camera), wake: make(chan struct{}, 1), ended: make(chan struct{}),
		patience: minPatience, lastDetected: time.Now(), stream: newStream(cfg.Encoder)}
}

// run annotates until ctx ends or retire, which is asked now and then, says so.
func (a *annotator) run(ctx context.Context, retire func() bool) error {
	defer close(a.ended)
	defer a.stream.close()
	defer a.source.close()
	frames, err := a.conn.SubscribeFrames(a.camera, a.onFrame)
	if err != nil {
		return fmt.Errorf("annotate %s: %w", a.camera, err)
	}
	defer frames.Close()
	detections, err := a.conn.SubscribeDetections(a.camera, a.onDetections)
	if err != nil {
		return fmt.Errorf("annotate %s: %w", a.camera, err)
	}
	defer detections.Close()
	tracks, err := a.conn.SubscribeTracks(a.camera, a.onTracks)
	if err != nil {
		return fmt.Errorf("annotate %s: %w", a.camera, err)
	}
	defer tracks.Close()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-a.wake:
		case <-timer.C:
		}
		if retire() {
			return nil
		}
		timer.Reset(a.work(time.Now()))
	}
}

// work shows what there is to show, and says how long nothing will be to do unless somebody wakes the annotator.
func (a *annotator) work(now time.Time) time.Duration {
	for {
		s, plain, key, again, wait := a.choose(now)
		switch {
		case s != nil:
			a.show(s, plain, key)
		case again:
			a.send(a.last, true)
		default:
			return wait
		}
		now = time.Now()
	}
}

// choose picks the next picture: the oldest one with detections, or, when those stay away, the newest one; or says that
// the last one shall be sent again as a key frame.
func (a *annotator) choose(now time.Time) (s *shot, plain, key, again bool, wait time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	wait = lingerUnused
	if s = a.pending.next(); s == nil {
		if quiet := now.Sub(a.lastDetected); quiet >= a.patience {
			s, plain = a.pending.newest(), true
		} else if len(a.pending.waiting) > 0 {
			wait = a.patience - quiet
		}
	}
	a.counters.skipped.Add(a.pending.skipped)
	a.pending.skipped = 0
	keyWait, wanted := a.keyDue(now)
	key = wanted && keyWait <= 0
	if s == nil && wanted {
		keyWait = max(keyWait, freshWait-now.Sub(a.keyWanted))
		again = keyWait <= 0 && a.last != nil
		if keyWait > 0 {
			wait = min(wait, keyWait)
		}
	}
	return s, plain, key, again, wait
}

// keyDue says whether a key frame is wanted, and in how long it may be made.
func (a *annotator) keyDue(now time.Time) (time.Duration, bool) {
	if a.keyWanted.IsZero() {
		return 0, false
	}
	gap := keyGap
	if a.keyUrgent {
		gap = joinGap
	}
	return a.lastKey.Add(gap).Sub(now), true
}

// show draws s, serves who waits for a still picture, and sends it. The shot shown before is free again.
func (a *annotator) show(s *shot, plain, key bool) {
	a.serve(s, false)
	if plain {
		a.painter.note(s.pic, "no detections")
		a.counters.plain.Add(1)
	} else {
		if a.look != nil {
			a.look(&a.places)
			a.places.paint(s.pic)
		}
		a.painter.paint(s.pic, s.found)
		a.serve(s, true)
	}
	a.mu.Lock()
	if a.last != nil {
		a.pending.release(a.last)
	}
	a.last = s
	a.mu.Unlock()
	a.send(s, key)
}

// serve answers the requests for pictures with or without boxes.
func (a *annotator) serve(s *shot, boxes bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	kept := a.requests[:0]
	for _, r := range a.requests {
		if r.boxes != boxes {
			kept = append(kept, r)
			continue
		}
		r.pic = clonePicture(s.pic)
		close(r.done)
	}
	clear(a.requests[len(kept):])
	a.requests = kept
}

// send codes a shown picture for whoever watches.
func (a *annotator) send(s *shot, key bool) {
	now := time.Now()
	a.mu.Lock()
	watched := len(a.watchers) > 0
	if !watched || now.Before(a.nextTry) {
		a.keyWanted = time.Time{} // whoever comes asks again
		a.mu.Unlock()
		return
	}
	a.mu.Unlock()
	unit, err := a.stream.encode(s.pic, s.capturedAt, key)
	if err != nil {
		a.nextTry = now.Add(faultInterval)
		a.log.Error("cannot code pictures", "error", err)
	}
	if unit == nil {
		a.mu.Lock()
		a.keyWanted = time.Time{} // no use in asking again and again; a viewer will
		a.mu.Unlock()
		return
	}
	a.handOut(unit, now)
}

func (a *annotator) handOut(unit *accessUnit, now time.Time) {
	a.counters.pictures.Add(1)
	a.mu.Lock()
	defer a.mu.Unlock()
	if unit.key {
		a.counters.keyFrames.Add(1)
		a.lastKey, a.keyWanted, a.keyUrgent = now, time.Time{}, false
	}
	for _, v := range a.watchers {
		if !v.offer(unit) {
			a.counters.dropped.Add(1)
			a.wantKey(now, false)
		}
	}
}

// wantKey asks for a key frame, soon when urgent. The caller holds the mutex.
func (a *annotator) wantKey(now time.Time, urgent bool) {
	if a.keyWanted.IsZero() {
		a.keyWanted = now
	}
	a.keyUrgent = a.keyUrgent || urgent
}

// requestKey is a viewer's picture loss indication.
func (a *annotator) requestKey() {
	a.mu.Lock()
	a.wantKey(time.Now(), false)
	a.mu.Unlock()
	a.poke()
}

// attach adds a viewer, who gets a key frame at once.
func (a *annotator) attach(v *watcher) {
	a.mu.Lock()
	a.watchers = append(a.watchers, v)
	a.wantKey(time.Now(), true)
	a.mu.Unlock()
	a.poke()
}

func (a *annotator) detach(v *watcher) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for i, w := range a.watchers {
		if w == v {
			a.watchers = append(a.watchers[:i], a.watchers[i+1:]...)
			return
		}
	}
}

// request queues a request for a still picture; withdraw takes it back where it was not served.
func (a *annotator) request(r *shotRequest) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.requests = append(a.requests, r)
}

func (a *annotator) withdraw(r *shotRequest) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for i, q := range a.requests {
		if q == r {
			a.requests = append(a.requests[:i], a.requests[i+1:]...)
			return
		}
	}
}

// onFrame scales the frame at once: its pixels may be overwritten soon.
func (a *annotator) onFrame(f *bus.Frame) {
	a.mu.Lock()
	s := a.pending.take()
	a.mu.Unlock()
	err := a.source.read(f, a.mapper, s, a.maxW, a.maxH)
	a.mu.Lock()
	ready := false
	if err != nil {
		a.pending.release(s)
	} else {
		ready = a.pending.add(s) || time.Since(a.lastDetected) >= a.patience || len(a.pending.waiting) == 1
	}
	a.mu.Unlock()
	if err != nil {
		a.counters.unreadable.Add(1)
		if a.source.mayTell() {
			a.log.Warn("cannot read frame", "seq", f.Seq, "error", err)
		}
	}
	if ready {
		a.poke()
	}
}

// onDetections learns how patient to be: twice as long as a picture waits for its detections, and no shorter than the
// pause between detections.
func (a *annotator) onDetections(d *bus.Detections) {
	now := time.Now()
	a.mu.Lock()
	took := now.Sub(d.CapturedAt)
	if pause := now.Sub(a.lastDetected); pause < maxPatience {
		took = max(took, pause)
	}
	want := min(max(2*took, minPatience), maxPatience)
	a.patience += (want - a.patience) / 4
	if want > a.patience {
		a.patience = want
	}
	a.lastDetected = now
	ready := a.origin.detections(d, now) && a.pending.match(detected(d))
	a.mu.Unlock()
	if ready {
		a.poke()
	}
}

func (a *annotator) onTracks(t *bus.Tracks) {
	a.mu.Lock()
	ready := a.origin.tracked(time.Now()) && a.pending.match(tracked(t))
	a.mu.Unlock()
	if ready {
		a.poke()
	}
}

func (a *annotator) poke() {
	select {
	case a.wake <- struct{}{}:
	default:
	}
}
