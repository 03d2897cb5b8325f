package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// countsTimeout bounds one question to the broker about counts, waiting for it included.
const countsTimeout = 5 * time.Second

// StoreCounts puts the totals of a camera in the place of those that were stored before, and returns when the broker has them in
// its files, or with an error after five seconds at most. It does not go through the queue of the other messages, which gives
// up what waits too long and sends again out of turn: an older total must never replace a newer one. So a camera's counts are
// for one goroutine to store.
func (c *Conn) StoreCounts(ctx context.Context, counts *Counts) error {
	m := counts.complete()
	subject := c.subjects.Counts(m.Camera)
	if err := errors.Join(c.usable(), m.Validate()); err != nil {
		return fmt.Errorf("store counts on %.200q: %w", subject, err)
	}
	data, err := json.Marshal(&m)
	if err != nil {
		return fmt.Errorf("store counts on %s: %w", subject, err)
	}
	if err := c.fits(len(data)); err != nil {
		return fmt.Errorf("store counts on %s: %w", subject, err)
	}
	ctx, cancel := context.WithTimeout(ctx, countsTimeout)
	defer cancel()
	if err := c.waitOnline(ctx); err != nil {
		return fmt.Errorf("store counts on %s: %w", subject, err)
	}
	if _, err := c.js.PublishMsg(ctx, &nats.Msg{Subject: subject, Data: data}); err != nil {
		c.askForStreams()
		return fmt.Errorf("store counts on %s: %w", subject, err)
	}
	return nil
}

// LoadCounts gives the totals that were stored last, nil where there are none, or an error after five seconds at most. The
// error is ErrUnreadable where what is stored breaks the contract.
func (c *Conn) LoadCounts(ctx context.Context, camera string) (*Counts, error) {
	if err := errors.Join(c.usable(), ValidateCamera(camera)); err != nil {
		return nil, fmt.Errorf("load counts of camera %.70q: %w", camera, err)
	}
	ctx, cancel := context.WithTimeout(ctx, countsTimeout)
	defer cancel()
	m, err := c.lastCounts(ctx, camera)
	if err != nil || m == nil {
		return nil, err
	}
	counts, err := ParseCounts(m.Data)
	if err == nil && counts.Camera != camera {
		err = fmt.Errorf("they are of camera %s", counts.Camera)
	}
	if err != nil {
		return nil, fmt.Errorf("load counts of camera %s: %w: %w", camera, ErrUnreadable, err)
	}
	return counts, nil
}

// ErrUnreadable is returned when stored counts break the contract: trying again would not help.
var ErrUnreadable = errors.New("what is stored cannot be read")

// lastCounts gives the newest message of a camera, nil where there is none.
func (c *Conn) lastCounts(ctx context.Context, camera string) (*jetstream.RawStreamMsg, error) {
	if err := c.waitOnline(ctx); err != nil {
		return nil, fmt.Errorf("load counts of camera %s: %w", camera, err)
	}
	stream, err := c.js.Stream(ctx, c.subjects.stream(streamCounts))
	if err != nil {
		c.askForStreams()
		return nil, fmt.Errorf("load counts of camera %s: %w", camera, err)
	}
	m, err := stream.GetLastMsgForSubject(ctx, c.subjects.Counts(camera))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("load counts of camera %s: %w", camera, err)
	}
	return m, nil
}
