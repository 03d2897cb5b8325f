package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// ErrTooLarge is returned when a message is larger than the broker takes; the error names size and limit.
var ErrTooLarge = errors.New("message too large")

// ErrClosed is returned when the connection was closed.
var ErrClosed = errors.New("the connection is closed")

// maxTries bounds how often a message is sent that the broker does not confirm.
const maxTries = 4

// awayPause passes between noticing that the broker is away and being told so.
const awayPause = 20 * time.Millisecond

// PublishFrame hands over a frame, body included, which may be used again at once. The newest frame of a camera
// replaces one that was not sent yet, and while the broker is away frames are dropped: both are counted, neither is an
// error. PublishedAt is set to now. ErrTooLarge is returned when the frame does not fit the broker's limit.
func (c *Conn) PublishFrame(ctx context.Context, f *Frame) error {
	if err := errors.Join(c.usable(), ctx.Err()); err != nil {
		return fmt.Errorf("publish frame of camera %s: %w", f.Camera, err)
	}
	if err := f.Validate(); err != nil {
		return fmt.Errorf("publish frame of camera %.70q: %w", f.Camera, err)
	}
	if !c.Connected() {
		c.counters.framesDropped.Add(1)
		return nil
	}
	f.PublishedAt = time.Now().UTC()
	replaced, err := c.out.put(c.out.slot(c.subjects, f.Camera), f, c.fits)
	if replaced {
		c.counters.framesDropped.Add(1)
	}
	if err != nil {
		return fmt.Errorf("publish frame of camera %s: %w; lower the size or the JPEG quality, or raise the broker's max_payload", f.Camera, err)
	}
	return nil
}

func (c *Conn) fits(size int) error {
	if limit := c.MaxPayload(); size > limit {
		return fmt.Errorf("%w: %d bytes with headers, the broker's limit is %d", ErrTooLarge, size, limit)
	}
	return nil
}

// PublishDetections queues the objects of a frame; the broker stores them once, however often they are sent. Schema is
// filled in, times are put into UTC, the lists are made not null; the message itself is not changed.
func (c *Conn) PublishDetections(ctx context.Context, d *Detections) error {
	m := d.complete()
	id := m.Camera + "/" + m.Session + "/" + strconv.FormatUint(m.Seq, 10)
	return c.publish(ctx, c.subjects.Detections(m.Camera), id, &m)
}

// PublishTracks queues the tracked objects of a frame.
func (c *Conn) PublishTracks(ctx context.Context, t *Tracks) error {
	m := t.complete()
	return c.publish(ctx, c.subjects.Tracks(m.Camera), "", &m)
}

// PublishEvent queues an event; the broker stores it once.
func (c *Conn) PublishEvent(ctx context.Context, e *Event) error {
	m := e.complete()
	id := fmt.Sprintf("%s/%s/%d/%s/%s/%d/%d/%s/%s",
		m.Camera, m.Session, m.Seq, m.Type, m.Label, m.TrackID, m.CapturedAt.UnixNano(), m.Zone, m.Line)
	return c.publish(ctx, c.subjects.Event(m.Camera, m.Label, m.Type), id, &m)
}

// PublishStatus queues the state of a worker or camera.
func (c *Conn) PublishStatus(ctx context.Context, s *Status) error {
	m := s.complete()
	return c.publish(ctx, c.subjects.Status(m.Role, m.ID), "", &m)
}

// publish queues one JSON message. With an id it is one that a stream must confirm.
func (c *Conn) publish(ctx context.Context, subject, id string, m interface{ Validate() error }) error {
	if err := errors.Join(c.usable(), ctx.Err()); err != nil {
		return fmt.Errorf("publish on %s: %w", subject, err)
	}
	if err := m.Validate(); err != nil {
		return fmt.Errorf("publish on %.200q: %w", subject, err)
	}
	data, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("publish on %s: %w", subject, err)
	}
	if err := c.fits(len(data) + len(id) + len("NATS/1.0\r\nNats-Msg-Id: \r\n\r\n")); err != nil {
		return fmt.Errorf("publish on %s: %w", subject, err)
	}
	msg := &nats.Msg{Subject: subject, Data: data}
	if id != "" {
		msg.Header = nats.Header{jetstream.MsgIDHeader: {id}}
	}
	c.queue(&outMessage{msg: msg, stored: id != ""})
	return nil
}

func (c *Conn) queue(m *outMessage) {
	if dropped := c.out.add(m); dropped > 0 {
		c.counters.messagesDropped.Add(uint64(dropped))
		c.noise.drops.warn(c.log, "dropped the oldest messages that wait for the broker", "waiting", maxOutbox)
	}
}

// send is the only goroutine that writes messages to the broker.
func (c *Conn) send(ctx context.Context) {
	for ctx.Err() == nil {
		m, slot := c.out.next(c.Connected())
		switch {
		case m != nil:
			c.sendMessage(ctx, m)
		case slot != nil:
			c.sendFrame(slot)
		default:
			select {
			case <-c.out.wake:
			case <-ctx.Done():
			}
		}
	}
}

// sendFrame publishes without asking for a confirmation: a lost frame is replaced by the next one.
func (c *Conn) sendFrame(slot *frameSlot) {
	f := slot.take()
	if f == nil {
		return
	}
	if err := c.nc.PublishMsg(&f.msg); err != nil {
		c.counters.framesDropped.Add(1)
		return
	}
	c.counters.frames.Add(1)
}

func (c *Conn) sendMessage(ctx context.Context, m *outMessage) {
	var err error
	if m.stored {
		c.out.expect(m)
		_, err = c.js.PublishMsgAsync(m.msg)
	} else {
		err = c.nc.PublishMsg(m.msg)
	}
	if err == nil {
		c.counters.messages.Add(1)
		return
	}
	c.out.confirmed(m.msg)
	if errors.Is(err, nats.ErrMaxPayload) || errors.Is(err, nats.ErrBadSubject) {
		c.refuse(m, err)
		return
	}
	c.out.putBack(m) // the broker went away just now: it stays the first
	_ = wait(ctx, awayPause)
}

// onStored is called when a stream confirmed a message.
func (c *Conn) onStored(_ jetstream.JetStream, msg *nats.Msg, _ *jetstream.PubAck) {
	c.out.confirmed(msg)
}

// onRefused is called, possibly under a lock of the library, when a stream did not confirm a message.
func (c *Conn) onRefused(_ jetstream.JetStream, msg *nats.Msg, err error) {
	if m := c.out.confirmed(msg); m != nil {
		c.askForStreams()
		m.tries++
		if m.tries < maxTries {
			c.queue(m) // its id keeps it from being stored twice
			return
		}
		c.refuse(m, err)
	}
}

func (c *Conn) refuse(m *outMessage, err error) {
	c.counters.messagesDropped.Add(1)
	c.noise.drops.warn(c.log, "dropped a message that the broker does not take", "subject", m.msg.Subject, "cause", err)
}
