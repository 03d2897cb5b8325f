package ingest

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"
)

const (
	whipConnectTime  = 15 * time.Second // from the answer to the first packet
	whipReplaceTime  = 3 * time.Second
	whipNegotiations = 8 // at the same time, over all cameras
)

// WHIP lets publishers push cameras by WebRTC (RFC 9725): an http.Handler for /<camera>/whip of the cameras whose source is
// "whip". It takes H.264 and VP8, one publisher per camera. It owns no goroutine: a session lives in its camera's Run.
type WHIP struct {
	token       []byte // sha256 of the bearer token; nil = anybody may publish
	log         *slog.Logger
	connectTime time.Duration
	local       *peers // for those who came by the loopback interface
	remote      *peers
	negotiating chan struct{} // holds a place for each negotiation under way

	mu      sync.Mutex // protects cameras
	cameras map[string]*whipSource
}

// NewWHIP makes the handler. With an empty token anybody who can reach it may publish, but pages only from the same origin;
// with a token pages of any origin that know it.
func NewWHIP(token string, log *slog.Logger) *WHIP {
	w := &WHIP{
		log:         log,
		connectTime: whipConnectTime,
		local:       &peers{loopback: true},
		remote:      &peers{},
		negotiating: make(chan struct{}, whipNegotiations),
		cameras:     make(map[string]*whipSource),
	}
	if token != "" {
		sum := sha256.Sum256([]byte(token))
		w.token = sum[:]
	}
	return w
}

// Add makes a camera reachable under its name if its source is "whip"; any other is left alone.
func (w *WHIP) Add(c *Camera) {
	if s, ok := c.source.(*whipSource); ok {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.cameras[s.camera] = s
	}
}

// Remove takes a camera out again; its session goes on until the camera stops.
func (w *WHIP) Remove(camera string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.cameras, camera)
}

func (w *WHIP) camera(name string) *whipSource {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.cameras[name]
}

// admitted compares in constant time.
func (w *WHIP) admitted(token string) bool {
	if w.token == nil {
		return true
	}
	sum := sha256.Sum256([]byte(token))
	return subtle.ConstantTimeCompare(sum[:], w.token) == 1
}

// whipSource is a camera that others push to us: it waits for one publisher at a time.
type whipSource struct {
	camera  string
	silent  time.Duration // without a packet the publisher is gone
	replace time.Duration // for the session before to end, and Run to wait again
	log     *slog.Logger
	ready   chan *whipSession // of length 1: negotiated, for Run

	mu      sync.Mutex    // protects what follows
	waiting bool          // a Run takes publishers
	current *whipSession  // negotiating, waiting in ready, or being served
	changed chan struct{} // closed and made anew at every change of the two
}

// newWHIPSource makes a source that waits until a WHIP handler, to which its camera was added, brings a publisher.
func newWHIPSource(cfg CameraConfig, log *slog.Logger) (Source, error) {
	s := &whipSource{
		camera: cfg.Name, silent: cfg.ReadTimeout, replace: whipReplaceTime, log: log,
		ready: make(chan *whipSession, 1), changed: make(chan struct{}),
	}
	if s.silent <= 0 {
		s.silent = defaultReadTimeout
	}
	return s, nil
}

// Run waits for a publisher and serves it until it leaves. One who never gets a packet through does not count.
func (s *whipSource) Run(ctx context.Context, q *Queue) error {
	s.set(func() { s.waiting = true })
	defer s.stop()
	for {
		var p *whipSession
		select {
		case p = <-s.ready:
		case <-ctx.Done():
			return ctx.Err()
		}
		came, err := p.serve(ctx, q)
		s.release(p)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case came:
			return &Error{Class: Closed, Err: fmt.Errorf("read from the publisher of %s: %w", s.camera, err)}
		}
		s.log.Warn("publisher did not get through", "error", err)
	}
}

// set changes the state under the lock and tells those who wait for a change.
func (s *whipSource) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
	close(s.changed)
	s.changed = make(chan struct{})
}

// stop takes no more publishers, and closes one that was handed over too late.
func (s *whipSource) stop() {
	s.set(func() { s.waiting = false })
	select {
	case p := <-s.ready:
		p.close()
		s.release(p)
	default:
	}
}

// release makes the place of p free.
func (s *whipSource) release(p *whipSession) {
	s.set(func() {
		if s.current == p {
			s.current = nil
		}
	})
}

var (
	errBusy    = errors.New("somebody else is publishing to this camera")
	errNotOpen = errors.New("the camera is not ready; try again")
)

// claim takes the camera's place for p. A publisher that is as good as gone is put out first. It returns errBusy where
// another one is there, errNotOpen where the camera does not run.
func (s *whipSource) claim(ctx context.Context, p *whipSession) error {
	ctx, cancel := context.WithTimeout(ctx, s.replace)
	defer cancel()
	for {
		s.mu.Lock()
		before, waiting, changed := s.current, s.waiting, s.changed
		if before == nil && waiting {
			s.current = p
			s.mu.Unlock()
			return nil
		}
		s.mu.Unlock()
		if before != nil {
			if !before.gone() {
				return errBusy
			}
			before.end(errors.New("another publisher took its place"))
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return errNotOpen
		}
	}
}

// hand gives a negotiated publisher to Run. It returns errNotOpen when the camera stopped meanwhile.
func (s *whipSource) hand(p *whipSession) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.waiting || s.current != p {
		return errNotOpen
	}
	s.ready <- p // there is room: p holds the only place
	return nil
}

// find returns the publisher with this id.
func (s *whipSource) find(id string) *whipSession {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current == nil || subtle.ConstantTimeCompare([]byte(s.current.id), []byte(id)) != 1 {
		return nil
	}
	return s.current
}

var _ http.Handler = (*WHIP)(nil)
