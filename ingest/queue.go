package ingest

import (
	"context"
	"slices"
	"sync"
)

// Limits of a queue: what a camera may send ahead of the decoder.
const (
	queueUnits = 32       // a little over a second at 25 frames a second
	queueBytes = 32 << 20 // and never more than this, whatever a unit's size
	// queueSpare bounds the buffers that are kept for reuse: a key frame of 4K takes megabytes, and one for each place would never come
	// back.
	queueSpare = 8 << 20
	// A unit takes a buffer of at most queueWaste times its size, or of queueLittle: where small units took those of key frames, all
	// buffers would be that large in the end.
	queueWaste  = 4
	queueLittle = 16 << 10
	// A camera that refreshes its picture gradually may never send a key frame: after so many units dropped in a row the
	// decoder gets the next all the same, and decides itself from where on pictures are whole.
	queueMaxSkip = 512
)

// Queue is the bounded queue between a source's reading and the decoding. Buffers are recycled, the last used first: in steady state
// nothing is allocated. Offer and Put may be called from several goroutines, next from one.
type Queue struct {
	mu      sync.Mutex // protects what follows
	units   []Unit     // ring of pending units
	head    int
	count   int
	bytes   int
	spare   [][]byte // buffers for reuse
	spared  int      // their capacity
	skipped int      // units dropped since the overflow, while skip
	skip    bool     // after an overflow: units are dropped up to the next key frame
	lost    bool     // the next unit that goes in follows a gap
	dropped uint64   // units dropped by overflow
	closed  bool
	err     error // why the source ended

	filled chan struct{} // of length 1: something went in, or the queue was closed
	freed  chan struct{} // of length 1: something came out
}

// NewQueue returns an empty queue.
func NewQueue() *Queue {
	return &Queue{
		units:  make([]Unit, queueUnits),
		filled: make(chan struct{}, 1),
		freed:  make(chan struct{}, 1),
	}
}

// Offer puts a unit in without ever waiting: for live sources. When there is no room, all that waits is dropped and counted,
// and so is what follows up to the next key frame.
func (q *Queue) Offer(u *Unit) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return
	}
	if !q.fits(u) {
		q.overflow()
	}
	if q.skip && !u.Key && q.skipped < queueMaxSkip {
		q.skipped++
		q.dropped++
		return
	}
	q.skip = false
	q.push(u)
}

// overflow empties the queue; the caller holds mu.
func (q *Queue) overflow() {
	q.dropped += uint64(q.count)
	for i := range q.count {
		place := &q.units[(q.head+i)%len(q.units)]
		q.recycle(place.Data)
		*place = Unit{}
	}
	q.head, q.count, q.bytes = 0, 0, 0
	q.skip, q.skipped, q.lost = true, 0, true
}

// Put waits for room, then puts the unit in: for files, where nothing is lost. It returns ctx.Err() when ctx is done first.
func (q *Queue) Put(ctx context.Context, u *Unit) error {
	for {
		if q.tryPut(u) {
			return nil
		}
		select {
		case <-q.freed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (q *Queue) tryPut(u *Unit) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.count > 0 && !q.fits(u) {
		return false
	}
	q.push(u)
	return true
}

func (q *Queue) fits(u *Unit) bool {
	return q.count < len(q.units) && q.bytes+len(u.Data) <= queueBytes
}

// push copies u to the end. The caller holds mu and has made room.
func (q *Queue) push(u *Unit) {
	place := &q.units[(q.head+q.count)%len(q.units)]
	data := append(q.buffer(len(u.Data)), u.Data...)
	*place = *u
	place.Data = data
	place.Lost = u.Lost || q.lost
	q.lost = false
	q.count++
	q.bytes += len(data)
	signal(q.filled)
}

// buffer gives the last used of the spare buffers that suit so many bytes, nil for none; the caller holds mu.
func (q *Queue) buffer(size int) []byte {
	for i, b := range slices.Backward(q.spare) {
		if cap(b) >= size && cap(b) <= max(queueWaste*size, queueLittle) {
			q.spare = slices.Delete(q.spare, i, i+1)
			q.spared -= cap(b)
			return b[:0]
		}
	}
	return nil
}

// recycle keeps a buffer, and forgets those that are used least where they are too much; the caller holds mu.
func (q *Queue) recycle(b []byte) {
	if cap(b) == 0 || cap(b) > queueSpare {
		return
	}
	q.spare, q.spared = append(q.spare, b), q.spared+cap(b)
	n := 0
	for ; q.spared > queueSpare || len(q.spare)-n > queueUnits; n++ {
		q.spared -= cap(q.spare[n])
	}
	q.spare = slices.Delete(q.spare, 0, n)
}

// next waits for the oldest unit and moves it into u, whose Data goes back for reuse. After the last unit it returns false
// and the error that the source ended with; also false with ctx.Err() when ctx is done.
func (q *Queue) next(ctx context.Context, u *Unit) (bool, error) {
	for {
		ok, closed, err := q.tryNext(u)
		if ok || closed {
			return ok, err
		}
		select {
		case <-q.filled:
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
}

func (q *Queue) tryNext(u *Unit) (ok, closed bool, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.count == 0 {
		return false, q.closed, q.err
	}
	place := &q.units[q.head]
	q.bytes -= len(place.Data)
	q.recycle(u.Data)
	*u, *place = *place, Unit{}
	q.head = (q.head + 1) % len(q.units)
	q.count--
	signal(q.freed)
	return true, false, nil
}

// close says that the source ended with err; what waits is still given out.
func (q *Queue) close(err error) {
	q.mu.Lock()
	q.closed, q.err = true, err
	q.mu.Unlock()
	signal(q.filled)
}

// overflowed returns how many units were dropped because the decoder was too slow.
func (q *Queue) overflowed() uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.dropped
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
