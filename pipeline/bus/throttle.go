package bus

import (
	"log/slog"
	"sync"
	"time"
)

// throttle lets one log line a second through and counts the others into the next.
type throttle struct {
	mu      sync.Mutex
	next    time.Time
	skipped int
}

func (t *throttle) warn(log *slog.Logger, message string, args ...any) {
	t.mu.Lock()
	now := time.Now()
	if now.Before(t.next) {
		t.skipped++
		t.mu.Unlock()
		return
	}
	skipped := t.skipped
	t.next, t.skipped = now.Add(time.Second), 0
	t.mu.Unlock()
	if skipped > 0 {
		args = append(args, "not_shown", skipped)
	}
	log.Warn(message, args...)
}
