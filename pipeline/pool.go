package pipeline

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"
)

// pool are the detectors of this process. They come and go while it runs.
type pool struct {
	mu      sync.Mutex // protects what follows
	all     []*detector
	running *errgroup.Group // of the detectors; nil where none run yet, or any more
	ctx     context.Context // of running
}

// list gives the detectors by name.
func (d *pool) list() []*detector {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.all)
}

// add takes in a detector and runs it, if detectors run.
func (d *pool) add(one *detector) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.all = append(d.all, one)
	slices.SortFunc(d.all, func(a, b *detector) int { return strings.Compare(a.name, b.name) })
	d.start(one)
}

// start runs a detector; d.mu is held.
func (d *pool) start(one *detector) {
	if d.running == nil {
		return
	}
	ctx, stop := context.WithCancel(d.ctx)
	one.stop, one.ended = stop, make(chan struct{})
	d.running.Go(func() error {
		defer close(one.ended)
		defer stop()
		if err := one.run(ctx); err != nil && ctx.Err() == nil {
			return fmt.Errorf("detector %s: %w", one.name, err)
		}
		return nil
	})
}

// remove ends a detector and frees its engine. What it has taken is still detected.
func (d *pool) remove(one *detector) {
	d.mu.Lock()
	d.all = slices.DeleteFunc(d.all, func(other *detector) bool { return other == one })
	d.mu.Unlock()
	if one.ended != nil {
		one.stop()
		<-one.ended
	}
	one.close()
}

// run runs all detectors, and those that come, until ctx ends or one of them fails.
func (d *pool) run(ctx context.Context) error {
	running, ctx := errgroup.WithContext(ctx)
	running.Go(func() error { // so that the group lasts while there are none
		<-ctx.Done()
		d.mu.Lock()
		defer d.mu.Unlock()
		d.running = nil
		return nil
	})
	d.mu.Lock()
	d.running, d.ctx = running, ctx
	for _, one := range d.all {
		d.start(one)
	}
	d.mu.Unlock()
	return running.Wait()
}

// close frees what is left of them.
func (d *pool) close() {
	for _, one := range d.list() {
		one.close()
	}
}
