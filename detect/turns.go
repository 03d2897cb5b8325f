package detect

import "sync"

// mostIdle bounds what is remembered of cameras that have nothing in work.
const mostIdle = 1024

// turns keep the detections of a camera in the order in which its frames were pulled, however long each takes. Cameras do not wait
// for each other. It is safe for use by several goroutines.
type turns struct {
	mu      sync.Mutex // protects what follows
	changed sync.Cond  // some turn is over
	cameras map[string]*queue
}

// queue counts the frames of one camera.
type queue struct{ taken, over uint64 }

// turn is the place of one frame; it must be ended, whatever becomes of the frame.
type turn struct {
	of    *turns
	queue *queue
	place uint64
}

func newTurns() *turns {
	t := &turns{cameras: map[string]*queue{}}
	t.changed.L = &t.mu
	return t
}

// take gives the next place of a camera.
func (t *turns) take(camera string) turn {
	t.mu.Lock()
	defer t.mu.Unlock()
	q := t.cameras[camera]
	if q == nil {
		t.forget()
		q = &queue{}
		t.cameras[camera] = q
	}
	q.taken++
	return turn{t, q, q.taken - 1}
}

// forget drops cameras that have nothing in work when there are too many; t.mu is held.
func (t *turns) forget() {
	if len(t.cameras) < mostIdle {
		return
	}
	for name, q := range t.cameras {
		if q.taken == q.over {
			delete(t.cameras, name)
		}
	}
}

// await returns when all places before this one are over.
func (t turn) await() {
	t.of.mu.Lock()
	defer t.of.mu.Unlock()
	for t.queue.over != t.place {
		t.of.changed.Wait()
	}
}

// end lets the next one have its turn, once this one has had its own.
func (t turn) end() {
	t.await()
	t.of.mu.Lock()
	defer t.of.mu.Unlock()
	t.queue.over++
	t.of.changed.Broadcast()
}
