package bus

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	// pullWait bounds one request: after that long without a frame the next request finds out whether the consumer is still there.
	pullWait = time.Second
	// newsAge is how long the broker keeps a puller's consumer of news that nobody asks for.
	newsAge = time.Minute
	// maxPulled bounds the cameras that a puller remembers, and the news that it asks for at once.
	maxPulled = 1024
	// passedOver is the age of a frame, in intervals of its camera, from which on it may be passed over for a newer one of another.
	passedOver = 0.6
	// maxLate bounds how often a consumer is asked that has not heard of a frame yet, before lateWait bounds a request that waits for it.
	maxLate  = 8
	lateWait = 20 * time.Millisecond
)

// FramePuller takes frames for a pool of detectors: each frame goes to one of those who ask, and who is busy does not
// ask. Where there are more frames than are asked for, cameras take turns. It is safe for use by several goroutines.
//
// A stream gives its messages in the order in which they came, and of one that was replaced by a newer one the place is lost: a camera
// whose frames come just before those of others would be seen each time, and the last ones never. So every camera has a
// consumer of its own, shared by the pool, and each puller one that tells it, without pictures, of whom there are frames. Frames say
// which detector they are for; a puller passes over those of others.
type FramePuller struct {
	conn      *Conn
	pool      string
	detectors []string // whose frames it takes; "": those that name none

	asking  chan struct{}      // held by the one who asks; what follows is his
	news    jetstream.Consumer // nil: to be made
	cameras map[string]*pulled
	round   uint64    // in which every camera with a frame has one turn
	latest  time.Time // when the newest frame that is known of came, by the broker's clock
}

// pulled is what a puller knows of one camera. Numbers of messages are those of the stream.
type pulled struct {
	detector string             // that its frames are for
	consumer jetstream.Consumer // of those; nil: to be made
	told     uint64             // the newest frame that is known of
	came     time.Time          // when that was, by the broker's clock
	interval time.Duration      // since the one before; 0 for the first
	taken    uint64             // the newest that this puller, or another, has taken
	round    uint64             // of its next turn
}

// PullFrames joins a pool, named [A-Za-z0-9_-]{1,64}, and takes the frames of these detectors, "" for frames that name none; with
// no detector it takes those. All who pull for the same pool share the frames of a detector. It waits for the broker until ctx ends.
func (c *Conn) PullFrames(ctx context.Context, pool string, detectors ...string) (*FramePuller, error) {
	if err := validateName("pool", pool); err != nil {
		return nil, fmt.Errorf("pull frames: %w", err)
	}
	if len(detectors) == 0 {
		detectors = []string{""}
	}
	p := &FramePuller{conn: c, pool: pool, detectors: detectors, asking: make(chan struct{}, 1), cameras: map[string]*pulled{}}
	if err := p.join(ctx); err != nil {
		return nil, fmt.Errorf("pull frames for pool %s: %w", pool, err)
	}
	return p, nil
}

// Next waits for a frame that nobody of the pool has seen and that is newer than two seconds: the newest one of the cameras whose
// turn it is. Each has as many turns, though one may be ahead of another by two. It carries on over reconnections and makes streams
// and consumers again where a broker forgot them. It fails only when ctx ends or the connection is closed. The frame is the caller's.
func (p *FramePuller) Next(ctx context.Context) (*Frame, error) {
	select {
	case p.asking <- struct{}{}:
		defer func() { <-p.asking }()
	case <-ctx.Done():
		return nil, fmt.Errorf("pull frame for pool %s: %w", p.pool, ctx.Err())
	}
	for {
		if err := p.join(ctx); err != nil {
			return nil, fmt.Errorf("pull frame for pool %s: %w", p.pool, err)
		}
		f, err := p.ask(ctx)
		if f != nil {
			return f, nil
		}
		if err != nil && !nothingCame(err) {
			p.news, p.cameras = nil, map[string]*pulled{}
			_ = wait(ctx, backoff(0)) // join tells that ctx ended
		}
	}
}

// nothingCame tells that a request brought nothing because nobody published.
func nothingCame(err error) bool {
	return errors.Is(err, nats.ErrTimeout) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) ||
		errors.Is(err, jetstream.ErrNoMessages)
}

// ask hears the news and takes a frame, or nil where others were faster.
func (p *FramePuller) ask(ctx context.Context) (*Frame, error) {
	if err := p.hear(ctx); err != nil {
		return nil, err
	}
	for camera := p.due(); camera != ""; camera = p.due() {
		msg, err := p.take(ctx, camera)
		if err != nil {
			return nil, err
		}
		if msg == nil {
			continue
		}
		f, err := DecodeHeader(msg.Headers(), msg.Data())
		if err != nil {
			p.conn.malformed(msg.Subject(), err)
			continue
		}
		if !p.wants(f.Detector) { // the camera was given to another one just now, who has a consumer of his own
			continue
		}
		p.conn.counters.received.Add(1)
		return f, nil
	}
	return nil, nil
}

// hear waits for news where no frame is known of, and takes all that there are.
func (p *FramePuller) hear(ctx context.Context) error {
	if p.due() == "" {
		ctx, cancel := context.WithTimeout(ctx, pullWait)
		defer cancel()
		msg, err := p.news.Next(jetstream.FetchContext(ctx))
		if err != nil {
			return err
		}
		if more, err := p.note(msg); err != nil || more == 0 {
			return err
		}
	}
	batch, err := p.news.FetchNoWait(min(len(p.cameras)+16, maxPulled))
	if err != nil {
		return err
	}
	for msg := range batch.Messages() {
		if _, err := p.note(msg); err != nil {
			return err
		}
	}
	return batch.Error()
}

// note remembers that a camera has a frame, and gives how many more news there are.
func (p *FramePuller) note(msg jetstream.Msg) (more uint64, err error) {
	about, err := msg.Metadata()
	if err != nil {
		return 0, fmt.Errorf("read news of a frame: %w", err)
	}
	camera := strings.TrimPrefix(msg.Subject(), p.conn.subjects.Frames(""))
	if err := ValidateCamera(camera); err != nil {
		p.conn.malformed(msg.Subject(), err)
		return about.NumPending, nil
	}
	detector := msg.Headers().Get(headerDetector)
	if !p.wants(detector) {
		delete(p.cameras, camera) // what was there before has been replaced
		return about.NumPending, nil
	}
	known := p.cameras[camera]
	if known == nil || known.detector != detector {
		p.makeRoom()
		known = &pulled{detector: detector}
		p.cameras[camera] = known
	}
	p.tell(known, about)
	return about.NumPending, nil
}

func (p *FramePuller) wants(detector string) bool { return slices.Contains(p.detectors, detector) }

// makeRoom forgets cameras that have no frame when there are too many.
func (p *FramePuller) makeRoom() {
	if len(p.cameras) < maxPulled {
		return
	}
	for name, c := range p.cameras {
		if c.told <= c.taken {
			delete(p.cameras, name)
		}
	}
}

// tell takes in that a camera has a frame.
func (p *FramePuller) tell(c *pulled, about *jetstream.MsgMetadata) {
	if !c.came.IsZero() {
		c.interval = about.Timestamp.Sub(c.came)
	}
	c.told, c.came = about.Sequence.Stream, about.Timestamp
	if c.came.After(p.latest) {
		p.latest = c.came
	}
}

// due is the camera whose frame is to be taken next, "" for none: the newest frame of those whose turn of this round is not over. In any
// other order what is taken is older, and the turns are as many. Where it is so old that a newer one is about to come, a camera may
// have its next turn before.
func (p *FramePuller) due() (camera string) {
	round, some := p.least()
	if !some {
		return ""
	}
	p.round = round
	camera = p.newest(round)
	if c := p.cameras[camera]; c.interval > 0 && p.latest.Sub(c.came) > time.Duration(passedOver*float64(c.interval)) {
		return p.newest(round + 1)
	}
	return camera
}

// least is the round of the first turn of all cameras with a frame. Those that had none for some rounds do not make up for them.
func (p *FramePuller) least() (round uint64, some bool) {
	for _, c := range p.cameras {
		if turn := max(c.round, p.round); c.told > c.taken && (!some || turn < round) {
			round, some = turn, true
		}
	}
	return round, some
}

// newest is the camera with the newest frame of those that have a turn up to a round.
func (p *FramePuller) newest(round uint64) (camera string) {
	var told uint64
	for name, c := range p.cameras {
		if c.told > c.taken && c.round <= round && c.told > told {
			camera, told = name, c.told
		}
	}
	return camera
}

// take asks for the newest frame of a camera; nil where somebody else of the pool has it.
func (p *FramePuller) take(ctx context.Context, camera string) (jetstream.Msg, error) {
	c := p.cameras[camera]
	if c.consumer == nil {
		var err error
		if c.consumer, err = p.cameraConsumer(ctx, camera, c.detector); err != nil {
			return nil, err
		}
	}
	msg, err := p.fetch(ctx, c)
	if err != nil {
		return nil, err
	}
	c.taken = c.told
	if msg == nil {
		return nil, nil
	}
	if about, err := msg.Metadata(); err == nil { // it may be newer than what was told
		c.taken = max(c.taken, about.Sequence.Stream)
	}
	p.over(c)
	return msg, nil
}

// over ends a camera's turn.
func (p *FramePuller) over(c *pulled) { c.round = max(c.round, p.round) + 1 }

// fetch asks a camera's consumer for its frame. A broker tells its consumers of a new message one after another, so the news may be ahead of
// the camera's own: nothing means that somebody else has the frame only where the consumer has gone past it.
func (p *FramePuller) fetch(ctx context.Context, c *pulled) (jetstream.Msg, error) {
	for attempt := 0; ; attempt++ {
		batch, err := c.consumer.FetchNoWait(1)
		if err != nil {
			return nil, err
		}
		if msg := <-batch.Messages(); msg != nil {
			return msg, nil
		}
		if err := batch.Error(); err != nil {
			return nil, err
		}
		about, err := c.consumer.Info(ctx)
		if err != nil || about.Delivered.Stream >= c.told {
			return nil, err
		}
		if attempt == maxLate {
			return insist(c.consumer)
		}
	}
}

// insist asks a consumer that says each time that there is no frame, and has not gone past the one that there is. A broker that makes a
// consumer while a frame is replaced may count one too few for it, and tells those who do not wait by that count. Who waits gets the
// frame; and as two are asked for, the broker looks for another, finds none and counts from there.
func insist(consumer jetstream.Consumer) (newest jetstream.Msg, err error) {
	batch, err := consumer.Fetch(2, jetstream.FetchMaxWait(lateWait))
	if err != nil {
		return nil, err
	}
	for msg := range batch.Messages() {
		newest = msg
	}
	if newest != nil {
		return newest, nil
	}
	return nil, batch.Error()
}

// join returns when the broker is there and the puller hears of frames.
func (p *FramePuller) join(ctx context.Context) error {
	for attempt := 0; ; attempt++ {
		if err := errors.Join(p.conn.usable(), p.conn.waitOnline(ctx)); err != nil {
			return err
		}
		if p.news != nil {
			return ctx.Err()
		}
		var err error
		if p.news, err = p.newsConsumer(ctx); err == nil {
			return nil
		}
		if ctx.Err() == nil {
			p.conn.askForStreams()
			p.conn.noise.streams.warn(p.conn.log, "waiting for the frames' stream", "pool", p.pool, "cause", err)
		}
		if err := wait(ctx, backoff(attempt)); err != nil {
			return err
		}
	}
}

// newsConsumer makes this puller's own consumer of all frames, without pictures.
func (p *FramePuller) newsConsumer(ctx context.Context) (jetstream.Consumer, error) {
	return p.consumer(ctx, jetstream.ConsumerConfig{FilterSubject: p.conn.subjects.Frames("*"), HeadersOnly: true, InactiveThreshold: newsAge})
}

// cameraConsumer gives the pool's consumer of the frames of a camera that are for a detector. Names hold no "=".
func (p *FramePuller) cameraConsumer(ctx context.Context, camera, detector string) (jetstream.Consumer, error) {
	name := p.pool + "=" + camera
	if detector != "" {
		name += "=" + detector
	}
	return p.consumer(ctx, jetstream.ConsumerConfig{
		Durable: name, FilterSubject: p.conn.subjects.Frames(camera), MaxWaiting: 1024, InactiveThreshold: time.Hour,
	})
}

func (p *FramePuller) consumer(ctx context.Context, cfg jetstream.ConsumerConfig) (jetstream.Consumer, error) {
	ctx, cancel := context.WithTimeout(ctx, streamTimeout)
	defer cancel()
	cfg.AckPolicy, cfg.DeliverPolicy, cfg.MemoryStorage = jetstream.AckNonePolicy, jetstream.DeliverAllPolicy, true
	made, err := p.conn.js.CreateOrUpdateConsumer(ctx, p.conn.subjects.stream(streamFrames), cfg)
	if err != nil {
		return nil, err // never a nil pointer inside
	}
	return made, nil
}
