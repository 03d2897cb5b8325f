package detect

import (
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// mostAbandoned bounds the sessions that were left behind and have not come back: each holds a thread and its memory.
const mostAbandoned = 4

// Health counts what happened to the sessions of an engine since it was opened.
type Health struct {
	Checks    uint64 // times that a session was asked about a picture whose answer is known
	Hung      uint64 // sessions that did not come back from a run
	Poisoned  uint64 // sessions that gave another answer than when they were new, or none
	Replaced  uint64 // sessions that took the place of such a one
	Abandoned int    // hung sessions that have not come back yet
}

// health is what the lanes of an engine have in common.
type health struct {
	log                              *slog.Logger
	checks, hung, poisoned, replaced atomic.Uint64
	abandoned, lanes                 atomic.Int64
	spent                            atomic.Int64 // processor time of runs, ns
	most                             int64        // sessions that may be abandoned

	once   sync.Once
	failed chan struct{} // closed when the engine can do no more
	cause  error         // why, then
}

func newHealth(log *slog.Logger) *health {
	return &health{log: log, most: mostAbandoned, failed: make(chan struct{})}
}

func (h *health) fail(cause error) {
	h.once.Do(func() {
		h.cause = cause
		close(h.failed)
	})
}

// err is why the engine can do no more, nil while it can.
func (h *health) err() error {
	select {
	case <-h.failed:
		return h.cause
	default:
		return nil
	}
}

// abandon counts a session that did not come back, and gives what to call when it does.
func (h *health) abandon() (back func()) {
	h.hung.Add(1)
	if n := h.abandoned.Add(1); n > h.most {
		h.fail(fmt.Errorf("%d sessions of the network hang: the device or its driver is stuck; restart the process, and if that does not help the machine", n))
	}
	return func() { h.abandoned.Add(-1) }
}

// lose takes a lane away that has no session any more.
func (h *health) lose(why error) {
	h.log.Error("a session of the network is lost", "error", why)
	if h.lanes.Add(-1) == 0 {
		h.fail(fmt.Errorf("every session of the network is lost: %w", why))
	}
}

// Health tells what happened to the sessions. It may be called at any time.
func (e *Engine) Health() Health {
	h := e.health
	return Health{
		Checks: h.checks.Load(), Hung: h.hung.Load(), Poisoned: h.poisoned.Load(), Replaced: h.replaced.Load(), Abandoned: int(h.abandoned.Load()),
	}
}

// ProcessorTime is what the network has taken on the processor, in the threads that call it: where a session has several, the others'
// is missing, and on another device next to all.
func (e *Engine) ProcessorTime() time.Duration { return time.Duration(e.health.spent.Load()) }

// Err is why the engine can do no more, nil while it can: then every Detect fails.
func (e *Engine) Err() error { return e.health.err() }
