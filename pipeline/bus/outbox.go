package bus

import (
	"context"
	"slices"
	"sync"

	"github.com/nats-io/nats.go"
)

// maxOutbox bounds the messages, other than frames, that wait for the broker.
const maxOutbox = 1024

// outbox holds what waits for the one goroutine that writes to the broker: the newest frame of each camera, and a queue
// of everything else. Whoever publishes only ever touches memory.
type outbox struct {
	wake chan struct{}

	mu     sync.Mutex // protects what follows; never held while writing
	frames map[string]*frameSlot
	ready  []*frameSlot // cameras with a frame to send, in the order in which they came
	queue  []*outMessage
	busy   bool          // the sender holds something
	empty  chan struct{} // not nil: somebody waits for the end of the queue

	unconfirmed map[*nats.Msg]*outMessage // sent to a stream that has not answered yet
}

// frameSlot holds at most one frame of a camera that is to be sent and one that is being sent; their memory is used
// again and again.
type frameSlot struct {
	mu      sync.Mutex // protects all but sending; held while a frame is copied in
	next    *outFrame
	sending *outFrame // the sender's alone
	queued  bool      // next is to be sent
	waits   bool      // for its turn in outbox.ready
}

type outFrame struct {
	msg    nats.Msg
	header headerWriter
}

// outMessage is a message in the queue. A stored one is tried again when the broker does not confirm it.
type outMessage struct {
	msg    *nats.Msg
	stored bool
	tries  int
}

func newOutbox() *outbox {
	return &outbox{wake: make(chan struct{}, 1), frames: map[string]*frameSlot{}, unconfirmed: map[*nats.Msg]*outMessage{}}
}

func (o *outbox) poke() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// slot gives a camera's place.
func (o *outbox) slot(s Subjects, camera string) *frameSlot {
	o.mu.Lock()
	defer o.mu.Unlock()
	slot := o.frames[camera]
	if slot == nil {
		subject := s.Frames(camera)
		slot = &frameSlot{next: &outFrame{msg: nats.Msg{Subject: subject}}, sending: &outFrame{msg: nats.Msg{Subject: subject}}}
		o.frames[camera] = slot
	}
	return slot
}

// put copies a frame in and tells whether it replaced one that was not sent yet. fits judges the size on the wire.
func (o *outbox) put(slot *frameSlot, f *Frame, fits func(size int) error) (replaced bool, err error) {
	slot.mu.Lock()
	next := slot.next
	replaced = slot.queued
	slot.queued = false // what is there is written over now, also where the new one does not fit
	next.msg.Header = next.header.encode(f)
	err = fits(next.header.size + len(f.Body))
	if err == nil {
		next.msg.Data = append(next.msg.Data[:0], f.Body...)
		slot.queued = true
	}
	waits := slot.waits
	slot.waits = slot.waits || err == nil
	slot.mu.Unlock()
	if err == nil && !waits {
		o.mu.Lock()
		o.ready = append(o.ready, slot)
		o.mu.Unlock()
		o.poke()
	}
	return replaced, err
}

// take gives the frame to send, or nil.
func (s *frameSlot) take() *outFrame {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waits = false
	if !s.queued {
		return nil
	}
	s.queued = false
	s.next, s.sending = s.sending, s.next
	return s.sending
}

// add queues a message and tells how many old ones had to go.
func (o *outbox) add(m *outMessage) (dropped int) {
	o.mu.Lock()
	if len(o.queue) >= maxOutbox {
		dropped = 1
		_ = popFront(&o.queue)
	}
	o.queue = append(o.queue, m)
	o.mu.Unlock()
	o.poke()
	return dropped
}

// next gives the oldest message, else the frame that waits longest. Messages go first: they are small, and about
// frames that were seen already.
func (o *outbox) next(connected bool) (*outMessage, *frameSlot) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.busy = false
	if connected && len(o.queue) > 0 {
		o.busy = true
		return popFront(&o.queue), nil
	}
	if len(o.ready) > 0 {
		o.busy = true
		return nil, popFront(&o.ready)
	}
	o.tellEmpty()
	return nil, nil
}

func (o *outbox) tellEmpty() {
	if o.empty != nil && len(o.queue) == 0 && len(o.ready) == 0 && !o.busy {
		close(o.empty)
		o.empty = nil
	}
}

// waitEmpty returns when everything was handed to the broker's connection.
func (o *outbox) waitEmpty(ctx context.Context) error {
	o.mu.Lock()
	if o.empty == nil {
		o.empty = make(chan struct{})
	}
	empty := o.empty
	o.tellEmpty()
	o.mu.Unlock()
	select {
	case <-empty:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// putBack makes a message the next one again.
func (o *outbox) putBack(m *outMessage) {
	o.mu.Lock()
	o.queue = slices.Insert(o.queue, 0, m)
	o.mu.Unlock()
	o.poke()
}

// popFront shifts instead of slicing, so that the memory is used again and holds on to nothing.
func popFront[T any](queue *[]T) T {
	q := *queue
	first := q[0]
	kept := copy(q, q[1:])
	clear(q[kept:])
	*queue = q[:kept]
	return first
}

// expect remembers a message until confirmed.
func (o *outbox) expect(m *outMessage) {
	o.mu.Lock()
	o.unconfirmed[m.msg] = m
	o.mu.Unlock()
}

// confirmed forgets a message and returns it, or nil.
func (o *outbox) confirmed(msg *nats.Msg) *outMessage {
	o.mu.Lock()
	defer o.mu.Unlock()
	m := o.unconfirmed[msg]
	delete(o.unconfirmed, msg)
	return m
}
