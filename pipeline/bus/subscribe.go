package bus

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
)

// Bounds of a subscription's queue.
const (
	pendingMessages = 256
	pendingFrames   = 4
	pendingBytes    = 32 << 20
)

// Subscription delivers messages to a function, one after the other from one goroutine. What the function does not take
// in time is dropped, the oldest first.
type Subscription struct {
	conn    *Conn
	subject string
	deliver func(*arrival)
	dropped atomic.Uint64
	wake    chan struct{}
	stop    chan struct{}
	once    sync.Once
	ended   sync.WaitGroup

	mu    sync.Mutex // protects the queue
	limit int
	queue []*arrival
	bytes int
}

// SubscribeFrames calls fn for the frames of a camera, or of all for "*". fn may keep the frame; Frame.Ref must be
// opened soon. Frames that no detector pulled arrive too.
func (c *Conn) SubscribeFrames(camera string, fn func(*Frame)) (*Subscription, error) {
	parse := func(m *nats.Msg) (*Frame, error) { return DecodeHeader(m.Header, m.Data) }
	return subscribe(c, camera, c.subjects.Frames, pendingFrames, parse, fn)
}

// SubscribeDetections calls fn for the detections of a camera, or of all for "*". fn may keep the message, here and below, but not change
// it: other subscriptions have the same.
func (c *Conn) SubscribeDetections(camera string, fn func(*Detections)) (*Subscription, error) {
	return subscribe(c, camera, c.subjects.Detections, pendingMessages, fromBody(ParseDetections), fn)
}

// SubscribeTracks calls fn for the tracks of a camera, or of all for "*".
func (c *Conn) SubscribeTracks(camera string, fn func(*Tracks)) (*Subscription, error) {
	return subscribe(c, camera, c.subjects.Tracks, pendingMessages, fromBody(ParseTracks), fn)
}

// SubscribeEvents calls fn for the events of a camera, or of all for "*".
func (c *Conn) SubscribeEvents(camera string, fn func(*Event)) (*Subscription, error) {
	return subscribe(c, camera, c.subjects.Events, pendingMessages, fromBody(ParseEvent), fn)
}

// SubscribeStatus calls fn for the states published under an id (a camera's name, or a process), or all for "*".
func (c *Conn) SubscribeStatus(id string, fn func(*Status)) (*Subscription, error) {
	subject := func(id string) string { return c.subjects.Status("*", id) }
	return subscribe(c, id, subject, pendingMessages, fromBody(ParseStatus), fn)
}

func fromBody[T any](parse func([]byte) (*T, error)) func(*nats.Msg) (*T, error) {
	return func(m *nats.Msg) (*T, error) { return parse(m.Data) }
}

func subscribe[T any](c *Conn, name string, subject func(string) string, limit int, parse func(*nats.Msg) (*T, error), fn func(*T)) (*Subscription, error) {
	if name != "*" {
		if err := validateName("subscription", name); err != nil {
			return nil, fmt.Errorf("subscribe: %w", err)
		}
	}
	s := &Subscription{conn: c, subject: subject(name), wake: make(chan struct{}, 1), stop: make(chan struct{}), limit: limit}
	s.deliver = func(a *arrival) {
		v, err := parsed(a, parse)
		if err != nil {
			c.malformed(a.msg.Subject, err)
			return
		}
		c.counters.received.Add(1)
		fn(v)
	}
	if err := s.start(); err != nil {
		return nil, fmt.Errorf("subscribe to %s: %w", s.subject, err)
	}
	return s, nil
}

// start returns when the broker knows of the subscription, if it is there.
func (s *Subscription) start() error {
	c := s.conn
	if err := c.usable(); err != nil {
		return err
	}
	if err := c.attach(s.subject, s); err != nil {
		return err
	}
	c.mu.Lock()
	c.subs[s] = struct{}{}
	c.mu.Unlock()
	s.ended.Go(s.run)
	if c.Connected() {
		_ = c.nc.FlushTimeout(time.Second) // a broker that goes away now learns of the subscription when it is back
	}
	return nil
}

// push is called by the library's goroutine; it must not wait.
func (s *Subscription) push(a *arrival) {
	s.mu.Lock()
	s.queue = append(s.queue, a)
	s.bytes += len(a.msg.Data)
	drop := 0
	for len(s.queue)-drop > s.limit || s.bytes > pendingBytes && len(s.queue)-drop > 1 {
		s.bytes -= len(s.queue[drop].msg.Data)
		drop++
	}
	if drop > 0 {
		kept := copy(s.queue, s.queue[drop:])
		clear(s.queue[kept:])
		s.queue = s.queue[:kept]
	}
	s.mu.Unlock()
	if drop > 0 {
		s.dropped.Add(uint64(drop))
		s.conn.counters.receivedDropped.Add(uint64(drop))
	}
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *Subscription) pop() *arrival {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.queue) == 0 {
		return nil
	}
	a := s.queue[0]
	kept := copy(s.queue, s.queue[1:])
	s.queue[kept] = nil
	s.queue = s.queue[:kept]
	s.bytes -= len(a.msg.Data)
	return a
}

func (s *Subscription) run() {
	for {
		select {
		case <-s.stop:
			return
		case <-s.wake:
		}
		for a := s.pop(); a != nil; a = s.pop() {
			select {
			case <-s.stop:
				return
			default:
				s.deliver(a)
			}
		}
	}
}

// Dropped counts the messages that were dropped because the function was too slow.
func (s *Subscription) Dropped() uint64 { return s.dropped.Load() }

// Close ends the subscription and returns when the function is not called any more. It must not be called by the
// function itself. A second call waits too.
func (s *Subscription) Close() {
	s.once.Do(func() {
		close(s.stop)
		s.conn.detach(s.subject, s)
		s.conn.mu.Lock()
		delete(s.conn.subs, s)
		s.conn.mu.Unlock()
	})
	s.ended.Wait()
}

func (c *Conn) malformed(subject string, err error) {
	c.counters.malformed.Add(1)
	c.noise.malformed.warn(c.log, "passed over a malformed message", "subject", subject, "cause", err)
}
