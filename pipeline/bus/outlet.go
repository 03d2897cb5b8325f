package bus

import (
	"slices"
	"sync"

	"github.com/nats-io/nats.go"
)

// outlet is one subject as the broker sends it to a connection: once, however many subscriptions of the process it goes to.
type outlet struct {
	sub *nats.Subscription

	mu      sync.Mutex // protects readers
	readers []*Subscription
}

// arrival is a message on its way to subscriptions. The first one that comes to it parses it for all.
type arrival struct {
	msg   *nats.Msg
	once  sync.Once
	value any
	err   error
}

// parsed gives what a message says. All that ask have the same parse, since they have the same subject.
func parsed[T any](a *arrival, parse func(*nats.Msg) (*T, error)) (*T, error) {
	a.once.Do(func() { a.value, a.err = parse(a.msg) })
	v, _ := a.value.(*T)
	return v, a.err
}

// push is called by the library's goroutine; it must not wait.
func (o *outlet) push(m *nats.Msg) {
	a := &arrival{msg: m}
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, s := range o.readers {
		s.push(a)
	}
}

// attach lets a subscription have the messages of a subject.
func (c *Conn) attach(subject string, s *Subscription) error {
	c.outletsMu.Lock()
	defer c.outletsMu.Unlock()
	o := c.outlets[subject]
	if o != nil {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.readers = append(o.readers, s)
		return nil
	}
	o = &outlet{readers: []*Subscription{s}}
	var err error
	if o.sub, err = c.nc.Subscribe(subject, o.push); err != nil {
		return err
	}
	// The library's own queue is only passed through; its bound is what may come while push waits for the processor.
	_ = o.sub.SetPendingLimits(-1, 2*pendingBytes)
	c.outlets[subject] = o
	return nil
}

// detach ends that; the broker is told when it was the last one.
func (c *Conn) detach(subject string, s *Subscription) {
	c.outletsMu.Lock()
	defer c.outletsMu.Unlock()
	o := c.outlets[subject]
	o.mu.Lock()
	o.readers = slices.DeleteFunc(o.readers, func(r *Subscription) bool { return r == s })
	last := len(o.readers) == 0
	o.mu.Unlock()
	if last {
		_ = o.sub.Unsubscribe()
		delete(c.outlets, subject)
	}
}
