package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	connectTimeout = 3 * time.Second
	sayAwayEvery   = 5 * time.Second
	drainTime      = 3 * time.Second
	writeTimeout   = 10 * time.Second // of one write to the broker; a broker that takes longer is gone
	ackTimeout     = 5 * time.Second
)

// Config says which broker to use and how.
type Config struct {
	URL         string  // nats://, tls://, ws:// or wss:// addresses, joined by commas; may carry user and password
	Server      *Server // connect in process to this one; URL is not looked at
	Prefix      string  // of all subjects; empty means DefaultPrefix
	Name        string  // by which the broker's operator knows this connection
	Credentials string  // path of a NATS credentials file; may be empty
	StoreBytes  int64   // bound of the stored detections; 0 means 1 GiB
}

// Stats counts what a connection did since it was made.
type Stats struct {
	Connected         bool
	Reconnects        uint64
	FramesPublished   uint64
	FramesDropped     uint64 // replaced by a newer one, or given while the broker was away
	MessagesPublished uint64 // all but frames
	MessagesDropped   uint64 // pushed out of the queue, or refused by the broker again and again
	Received          uint64 // messages of subscriptions and frames pulled
	ReceivedDropped   uint64 // pushed out of subscriptions' queues
	Malformed         uint64 // received messages that break the contract
	SlowConsumer      uint64 // times that the client library lost messages before they reached a queue of ours
}

// Conn is a connection to the broker. It reconnects for ever and is safe for use by several goroutines. What it
// publishes goes through bounded queues: no method waits for the broker but Connect, Next, StoreCounts, LoadCounts and Close.
type Conn struct {
	subjects Subjects
	url      string
	local    bool
	store    int64
	log      *slog.Logger
	nc       *nats.Conn
	js       jetstream.JetStream
	out      *outbox
	counters counters
	noise    struct{ async, malformed, drops, streams throttle }

	connected  atomic.Bool // the library's own flag sits behind a lock that is held while it writes
	maxPayload atomic.Int64
	closed     chan struct{} // closed by Close
	remake     chan struct{} // asks keepStreams to look
	running    sync.WaitGroup
	once       sync.Once

	mu     sync.Mutex // protects what follows
	subs   map[*Subscription]struct{}
	online chan struct{} // closed while connected
	making sync.Mutex    // one maker of streams at a time

	outletsMu sync.Mutex // protects outlets; held while the broker is told of one
	outlets   map[string]*outlet
}

type counters struct {
	reconnects, frames, framesDropped, messages, messagesDropped atomic.Uint64
	received, receivedDropped, malformed, slow                   atomic.Uint64
}

// Connect waits for the broker until ctx ends, saying so every few seconds, and makes the streams. What waiting cannot
// mend is returned at once: an address that is none, refused credentials, a broker without JetStream, a stream of
// somebody else. No error or log line holds a password.
func Connect(ctx context.Context, cfg Config, log *slog.Logger) (*Conn, error) {
	subjects, err := NewSubjects(cfg.Prefix)
	if err != nil {
		return nil, fmt.Errorf("connect to broker: %w", err)
	}
	c := &Conn{
		subjects: subjects, store: cfg.StoreBytes, log: log, local: cfg.Server != nil, out: newOutbox(),
		closed: make(chan struct{}), remake: make(chan struct{}, 1), subs: map[*Subscription]struct{}{}, outlets: map[string]*outlet{}, online: make(chan struct{}),
	}
	where, err := c.dial(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("connect to broker %s: %w", where, err)
	}
	c.url = where
	if cfg.Server != nil {
		c.url = cfg.Server.ClientURL()
	}
	if err := c.begin(ctx); err != nil {
		close(c.closed)
		c.nc.Close()
		return nil, fmt.Errorf("connect to broker %s: %w", where, err)
	}
	log.Info("connected to broker", "url", where, "prefix", subjects.prefix)
	return c, nil
}

// dial gives a name for the broker that may be shown, also with an error.
func (c *Conn) dial(ctx context.Context, cfg Config) (where string, err error) {
	where = "in this process"
	if cfg.Server == nil {
		var servers []*url.URL
		if servers, err = checkServers(cfg.URL); err != nil {
			return "(address not shown)", err
		}
		where, c.local = redact(servers), allLoopback(servers)
	}
	if err := checkCredentials(cfg.Credentials); err != nil {
		return where, err
	}
	return where, c.waitForBroker(ctx, where, cfg)
}

func allLoopback(servers []*url.URL) bool {
	for _, u := range servers {
		if !loopback(u.Hostname()) {
			return false
		}
	}
	return true
}

func (c *Conn) waitForBroker(ctx context.Context, where string, cfg Config) error {
	options := c.options(cfg)
	var said time.Time
	for attempt := 0; ; attempt++ {
		nc, err := nats.Connect(cfg.URL, options...)
		if err == nil {
			c.nc = nc
			return nil
		}
		if permanent(err) {
			return fmt.Errorf("%w; check the user, password or credentials file", err)
		}
		if time.Since(said) > sayAwayEvery {
			said = time.Now()
			c.log.Warn("waiting for the broker", "url", where, "cause", err)
		}
		if err := wait(ctx, backoff(attempt)); err != nil {
			return fmt.Errorf("gave up waiting: %w", err)
		}
	}
}

func permanent(err error) bool {
	for _, e := range []error{nats.ErrAuthorization, nats.ErrAuthExpired, nats.ErrAuthRevoked, nats.ErrAccountAuthExpired, nats.ErrNkeysNotSupported} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// backoff doubles from 100 ms to 2 s, less a random part, so that a crowd of clients does not come back in step.
func backoff(attempt int) time.Duration {
	full := min(100*time.Millisecond<<min(attempt, 5), 2*time.Second)
	return full/2 + rand.N(full/2)
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

func (c *Conn) options(cfg Config) []nats.Option {
	options := []nats.Option{
		nats.Name(cfg.Name), nats.Timeout(connectTimeout), nats.MaxReconnects(-1), nats.IgnoreAuthErrorAbort(),
		nats.CustomReconnectDelay(backoff), nats.ReconnectBufSize(-1), // the outbox keeps what may be late
		nats.PingInterval(10 * time.Second), nats.MaxPingsOutstanding(2), nats.FlusherTimeout(writeTimeout),
		nats.ErrorHandler(c.onError), nats.DisconnectErrHandler(c.onDisconnect), nats.ReconnectHandler(c.onReconnect),
	}
	if cfg.Server != nil {
		options = append(options, nats.InProcessServer(cfg.Server.server))
	}
	if cfg.Credentials != "" {
		options = append(options, nats.UserCredentials(cfg.Credentials))
	}
	return options
}

// begin makes the streams and starts what runs as long as the connection.
func (c *Conn) begin(ctx context.Context) (err error) {
	c.js, err = jetstream.New(c.nc, jetstream.WithPublishAsyncErrHandler(c.onRefused), jetstream.WithPublishAsyncAckHandler(c.onStored),
		jetstream.WithPublishAsyncTimeout(ackTimeout), jetstream.WithPublishAsyncMaxPending(2*maxOutbox))
	if err != nil {
		return err
	}
	c.markOnline()
	if err := c.retryStreams(ctx); err != nil {
		return err
	}
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	c.running.Go(func() { defer end(); <-c.closed })
	c.running.Go(func() { c.keepStreams(life) })
	c.running.Go(func() { c.send(life) })
	return nil
}

func (c *Conn) onError(_ *nats.Conn, sub *nats.Subscription, err error) {
	subject := ""
	if sub != nil {
		subject = sub.Subject
	}
	if errors.Is(err, nats.ErrSlowConsumer) {
		c.counters.slow.Add(1)
	}
	c.noise.async.warn(c.log, "broker", "cause", err, "subject", subject)
}

func (c *Conn) onDisconnect(_ *nats.Conn, err error) {
	c.connected.Store(false)
	c.mu.Lock()
	select {
	case <-c.online:
		c.online = make(chan struct{})
	default:
	}
	c.mu.Unlock()
	if c.usable() == nil {
		c.log.Warn("lost the broker, reconnecting", "cause", err)
	}
}

func (c *Conn) onReconnect(*nats.Conn) {
	c.counters.reconnects.Add(1)
	c.log.Info("reconnected to the broker")
	c.markOnline()
	c.askForStreams()
}

func (c *Conn) markOnline() {
	c.maxPayload.Store(c.nc.MaxPayload())
	c.connected.Store(true)
	c.mu.Lock()
	select {
	case <-c.online:
	default:
		close(c.online)
	}
	c.mu.Unlock()
	c.out.poke()
}

// waitOnline returns when the broker is there.
func (c *Conn) waitOnline(ctx context.Context) error {
	c.mu.Lock()
	online := c.online
	c.mu.Unlock()
	select {
	case <-online:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-c.closed:
		return ErrClosed
	}
}

func (c *Conn) usable() error {
	select {
	case <-c.closed:
		return ErrClosed
	default:
		return nil
	}
}

// Connected tells whether the broker is there at this moment.
func (c *Conn) Connected() bool { return c.connected.Load() }

// MaxPayload is the largest message, headers and body, that the broker takes, in bytes.
func (c *Conn) MaxPayload() int { return int(c.maxPayload.Load()) }

// Local tells whether the broker is in this process or on a loopback address, so that its other clients are on this
// host and can read shared memory.
func (c *Conn) Local() bool { return c.local }

// URL is where other clients find the broker, without secrets; empty when it serves this process only.
func (c *Conn) URL() string { return c.url }

// Subjects names the subjects that this connection uses.
func (c *Conn) Subjects() Subjects { return c.subjects }

// Stats is a snapshot of the counters.
func (c *Conn) Stats() Stats {
	n := &c.counters
	return Stats{
		Connected: c.Connected(), Reconnects: n.reconnects.Load(), FramesPublished: n.frames.Load(), FramesDropped: n.framesDropped.Load(),
		MessagesPublished: n.messages.Load(), MessagesDropped: n.messagesDropped.Load(), Received: n.received.Load(),
		ReceivedDropped: n.receivedDropped.Load(), Malformed: n.malformed.Load(), SlowConsumer: n.slow.Load(),
	}
}

// Close sends what is queued if the broker is there, for a few seconds at most, ends all subscriptions and returns when
// everything that the connection started has ended.
func (c *Conn) Close() {
	c.once.Do(func() {
		c.drain()
		close(c.closed)
		for _, s := range c.takeSubscriptions() {
			s.Close()
		}
		c.nc.Close()
		c.running.Wait()
	})
}

func (c *Conn) drain() {
	ctx, cancel := context.WithTimeout(context.Background(), drainTime)
	defer cancel()
	if !c.Connected() || c.out.waitEmpty(ctx) != nil {
		return
	}
	select {
	case <-c.js.PublishAsyncComplete():
	case <-ctx.Done():
	}
	_ = c.nc.FlushWithContext(ctx)
}

func (c *Conn) takeSubscriptions() []*Subscription {
	c.mu.Lock()
	defer c.mu.Unlock()
	subs := make([]*Subscription, 0, len(c.subs))
	for s := range c.subs {
		subs = append(subs, s)
	}
	return subs
}
