package ingest

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/sightline/sightline/ingest/decode"
	"github.com/sightline/sightline/pipeline/bus"
	"github.com/sightline/sightline/pipeline/picture"
)

const (
	mostSlots  = 8
	leastSlots = 4
	// A camera's slots together stay below this, without those of its decoder.
	ringBytes = 56 << 20
)

// slotsFor returns how many slots of shared memory a camera gets for pictures of a size.
func slotsFor(width, height int) int {
	return min(max(ringBytes/(width*height*3/2), leastSlots), mostSlots)
}

// publisher brings a camera's pictures onto the bus: into slots of shared memory, or as JPEG. It belongs to the owner.
// For each frame: target, then pixels into it, then publish or abort.
type publisher struct {
	cfg     CameraConfig
	conn    *bus.Conn
	log     *slog.Logger
	shm     bool
	width   int // of the pictures that ring, heap and plan are made for
	height  int
	plan    *planner
	ring    *bus.Ring
	slot    *bus.Slot
	view    picture.I420  // of the slot's planes
	heap    *picture.I420 // without shared memory
	encoder *picture.JPEGEncoder
	body    []byte
}

func newPublisher(cfg CameraConfig, conn *bus.Conn, log *slog.Logger) *publisher {
	shm := cfg.Transport == TransportSHM || cfg.Transport == TransportAuto && conn.Local()
	return &publisher{cfg: cfg, conn: conn, log: log, shm: shm, plan: newPlanner(cfg.Tiles)}
}

// target returns planes to write a picture of this size into, valid until publish or abort. kept is how many slots the decoder needs
// on top. It returns bus.ErrRingFull when readers hold every slot.
func (p *publisher) target(width, height, kept int) (*picture.I420, error) {
	if width != p.width || height != p.height {
		if err := p.resize(width, height, kept); err != nil {
			return nil, err
		}
	}
	if !p.shm {
		return p.heap, nil
	}
	slot, err := p.ring.Acquire()
	if err != nil {
		return nil, err
	}
	p.slot, p.view = slot, viewOf(slot)
	return &p.view, nil
}

// adopt makes a slot of the ring the target, whose picture is there already.
func (p *publisher) adopt(slot *bus.Slot, is decode.Picture) {
	p.slot, p.view = slot, viewOf(slot)
	p.view.Matrix, p.view.FullRange = is.Matrix, is.FullRange
}

// resize plans and takes memory for pictures of another size.
func (p *publisher) resize(width, height, kept int) error {
	p.closeRing()
	p.width, p.height = 0, 0
	p.plan.resize(width, height)
	if p.shm {
		ring, err := bus.NewRing(p.cfg.Name, slotsFor(width, height)+kept, width, height)
		switch {
		case err == nil:
			p.ring = ring
		case p.cfg.Transport == TransportSHM:
			return fmt.Errorf("take shared memory for frames of %dx%d: %w", width, height, err)
		default:
			p.log.Warn("no shared memory for frames; sending JPEG, which costs more", "cause", err.Error())
			p.shm = false
		}
	}
	if !p.shm {
		p.heap = picture.New(width, height)
		if p.encoder == nil {
			var err error
			if p.encoder, err = picture.NewJPEGEncoder(p.cfg.JPEGQuality); err != nil {
				return err
			}
		}
	}
	p.width, p.height = width, height
	return nil
}

// publish sends the picture in the target as frame f.
func (p *publisher) publish(ctx context.Context, f *bus.Frame) error {
	pic := p.heap
	if p.shm {
		pic = &p.view
	}
	looks, err := p.plan.next(f.CapturedAt, pic)
	if err != nil {
		p.abort()
		return fmt.Errorf("plan the looks at a frame: %w", err)
	}
	f.Regions, f.Of, f.CoverageAge = looks.regions, looks.of, looks.age
	if p.shm {
		planes := p.slot.Planes()
		planes.Matrix, planes.FullRange = uint8(p.view.Matrix), p.view.FullRange
		f.Encoding, f.Ref, f.Body = bus.EncodingSHM, p.slot.Commit(), nil
		p.slot = nil
	} else {
		if p.body, err = p.encoder.Encode(p.heap, p.body[:0]); err != nil {
			return fmt.Errorf("encode frame: %w", err)
		}
		f.Encoding, f.Ref, f.Body = bus.EncodingJPEG, "", p.body
	}
	f.PublishedAt = time.Now()
	return p.conn.PublishFrame(ctx, f)
}

// abort gives the target back unpublished.
func (p *publisher) abort() {
	if p.slot != nil {
		p.slot.Abort()
		p.slot = nil
	}
}

func (p *publisher) closeRing() {
	if p.ring == nil {
		return
	}
	if err := p.ring.Close(); err != nil {
		p.log.Warn("closing shared memory", "cause", err.Error())
	}
	p.ring = nil
}

func (p *publisher) close() {
	p.abort()
	p.closeRing()
	if p.encoder != nil {
		p.encoder.Close()
		p.encoder = nil
	}
}

// answers says up to which frame of a session the detections have arrived.
type answers struct {
	subscription *bus.Subscription
	arrived      chan struct{} // of length 1
	mu           sync.Mutex    // protects seq
	seq          uint64
}

// listen subscribes to the detections of a camera.
func listen(conn *bus.Conn, camera, session string) (*answers, error) {
	a := &answers{arrived: make(chan struct{}, 1)}
	var err error
	a.subscription, err = conn.SubscribeDetections(camera, func(d *bus.Detections) {
		if d.Session != session {
			return
		}
		a.mu.Lock()
		a.seq = max(a.seq, d.Seq)
		a.mu.Unlock()
		signal(a.arrived)
	})
	if err != nil {
		return nil, err
	}
	return a, nil
}

func (a *answers) has(seq uint64) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.seq >= seq
}

// wait returns when the detections of frame seq have arrived, or five seconds have passed: then there is no detector, or it
// lost the frame.
func (a *answers) wait(ctx context.Context, seq uint64, timer *time.Timer) error {
	timer.Reset(answerWait)
	defer timer.Stop()
	for !a.has(seq) {
		select {
		case <-a.arrived:
		case <-timer.C:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return ctx.Err()
}

func (a *answers) close() { a.subscription.Close() }
