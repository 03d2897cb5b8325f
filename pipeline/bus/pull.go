package bus

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// pullWait bounds one request: after that long without a frame the next request finds out whether the consumer is
// still there.
const pullWait = time.Second

// FramePuller takes frames for a pool of detectors: each frame goes to one of those who ask, and who is busy does not
// ask. It is safe for use by several goroutines.
type FramePuller struct {
	conn *Conn
	pool string

	maker    chan struct{} // held by the one who makes the consumer
	mu       sync.Mutex    // protects consumer
	consumer jetstream.Consumer
}

// PullFrames joins a pool, named [A-Za-z0-9_-]{1,64}. All who pull for the same pool share the frames. It waits for the
// broker until ctx ends.
func (c *Conn) PullFrames(ctx context.Context, pool string) (*FramePuller, error) {
	if err := validateName("pool", pool); err != nil {
		return nil, fmt.Errorf("pull frames: %w", err)
	}
	p := &FramePuller{conn: c, pool: pool, maker: make(chan struct{}, 1)}
	if _, err := p.joined(ctx); err != nil {
		return nil, fmt.Errorf("pull frames for pool %s: %w", pool, err)
	}
	return p, nil
}

// Next waits for a frame that nobody of the pool has seen and that is newer than two seconds. It carries on over
// reconnections and makes streams and consumer again where a broker forgot them. It fails only when ctx ends or the
// connection is closed. The frame is the caller's.
func (p *FramePuller) Next(ctx context.Context) (*Frame, error) {
	for {
		consumer, err := p.joined(ctx)
		if err != nil {
			return nil, fmt.Errorf("pull frame for pool %s: %w", p.pool, err)
		}
		if f := p.ask(ctx, consumer); f != nil {
			return f, nil
		}
	}
}

// ask sends one request and gives the frame that it brought, or nil.
func (p *FramePuller) ask(ctx context.Context, consumer jetstream.Consumer) *Frame {
	ctx, cancel := context.WithTimeout(ctx, pullWait)
	defer cancel()
	msg, err := consumer.Next(jetstream.FetchContext(ctx))
	if err != nil {
		p.mend(consumer, err)
		return nil
	}
	f, err := DecodeHeader(msg.Headers(), msg.Data())
	if err != nil {
		p.conn.malformed(msg.Subject(), err)
		return nil
	}
	p.conn.counters.received.Add(1)
	return f
}

// mend draws the conclusion of a request that brought nothing.
func (p *FramePuller) mend(consumer jetstream.Consumer, err error) {
	if errors.Is(err, nats.ErrTimeout) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) || errors.Is(err, jetstream.ErrNoMessages) {
		return // nobody published
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.consumer == consumer {
		p.consumer = nil
	}
}

// joined gives the pool's consumer, made if need be by one of those who ask.
func (p *FramePuller) joined(ctx context.Context) (jetstream.Consumer, error) {
	if err := p.conn.waitOnline(ctx); err != nil {
		return nil, err
	}
	if consumer := p.current(); consumer != nil {
		return consumer, errors.Join(p.conn.usable(), ctx.Err())
	}
	select {
	case p.maker <- struct{}{}:
		defer func() { <-p.maker }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if consumer := p.current(); consumer != nil {
		return consumer, nil
	}
	return p.makeConsumer(ctx)
}

func (p *FramePuller) makeConsumer(ctx context.Context) (jetstream.Consumer, error) {
	for attempt := 0; ; attempt++ {
		if err := errors.Join(p.conn.usable(), p.conn.waitOnline(ctx)); err != nil {
			return nil, err
		}
		consumer, err := p.join(ctx)
		if err == nil {
			p.mu.Lock()
			p.consumer = consumer
			p.mu.Unlock()
			return consumer, nil
		}
		if ctx.Err() == nil {
			p.conn.askForStreams()
			p.conn.noise.streams.warn(p.conn.log, "waiting for the frames' stream", "pool", p.pool, "cause", err)
		}
		if err := wait(ctx, backoff(attempt)); err != nil {
			return nil, err
		}
	}
}

func (p *FramePuller) current() jetstream.Consumer {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.consumer
}

func (p *FramePuller) join(ctx context.Context) (jetstream.Consumer, error) {
	ctx, cancel := context.WithTimeout(ctx, streamTimeout)
	defer cancel()
	return p.conn.js.CreateOrUpdateConsumer(ctx, p.conn.subjects.stream(streamFrames), jetstream.ConsumerConfig{
		Durable: p.pool, AckPolicy: jetstream.AckNonePolicy, DeliverPolicy: jetstream.DeliverAllPolicy,
		FilterSubject: p.conn.subjects.Frames("*"), MaxWaiting: 1024, InactiveThreshold: time.Hour, MemoryStorage: true,
	})
}
