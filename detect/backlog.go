package detect

import (
	"context"
	"sync/atomic"
)

// backlog counts the regions of pulled frames that no lane has taken. A frame is only pulled when there are fewer than lanes: one that
// is pulled sooner would wait here, getting older, while a newer one could have come, and would share the lanes with the one before,
// so that both take longer. Any number of goroutines may give and take, one may wait.
type backlog struct {
	regions atomic.Int64
	fewer   chan struct{} // of length 1
}

func newBacklog() *backlog { return &backlog{fewer: make(chan struct{}, 1)} }

func (b *backlog) give(regions int) { b.regions.Add(int64(regions)) }

func (b *backlog) take(regions int) {
	b.regions.Add(int64(-regions))
	select {
	case b.fewer <- struct{}{}:
	default:
	}
}

// below returns when fewer than so many regions wait.
func (b *backlog) below(ctx context.Context, regions int) error {
	for b.regions.Load() >= int64(regions) {
		select {
		case <-b.fewer:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}
