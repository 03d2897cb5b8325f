package bus

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// askForStreams has the streams looked after soon; it never waits.
func (c *Conn) askForStreams() {
	select {
	case c.remake <- struct{}{}:
	default:
	}
}

// keepStreams makes the streams again whenever somebody misses one: a restarted broker forgot those in memory.
func (c *Conn) keepStreams(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.remake:
		}
		if err := c.retryStreams(ctx); err != nil && ctx.Err() == nil {
			c.noise.streams.warn(c.log, "cannot make the streams", "cause", err)
			_ = wait(ctx, backoff(10))
			c.askForStreams()
		}
	}
}

// retryStreams makes the streams, again and again while the broker does not answer.
func (c *Conn) retryStreams(ctx context.Context) error {
	c.making.Lock()
	defer c.making.Unlock()
	for attempt := 0; ; attempt++ {
		if err := c.waitOnline(ctx); err != nil {
			return err
		}
		err := makeStreams(ctx, c.js, streamConfigs(c.subjects, c.store))
		if err == nil || ctx.Err() != nil {
			return err
		}
		if err := hopeless(err); err != nil {
			return err
		}
		c.noise.streams.warn(c.log, "waiting for JetStream", "cause", err)
		if wait(ctx, backoff(attempt)) != nil {
			return err
		}
	}
}

// hopeless gives the error, with a remedy where there is one, if trying again would not help. A cluster that has no
// leader yet, or a broker that just came back, may be asked again.
func hopeless(err error) error {
	if errors.Is(err, errForeignStream) {
		return err
	}
	if errors.Is(err, nats.ErrNoResponders) || errors.Is(err, jetstream.ErrJetStreamNotEnabled) || errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount) {
		return fmt.Errorf("JetStream does not answer (%w); start nats-server with -js, or enable JetStream for the account", err)
	}
	var api *jetstream.APIError
	if errors.As(err, &api) && api.Code >= 400 && api.Code < 500 {
		return fmt.Errorf("%w; check the account's permissions and limits", err)
	}
	const insufficientResources = 10023
	if errors.As(err, &api) && (api.ErrorCode == insufficientResources || api.ErrorCode == jetstream.JSErrCodeStreamNameInUse) {
		return fmt.Errorf("%w; lower bus.store_bytes or give the broker more room", err)
	}
	return nil
}
