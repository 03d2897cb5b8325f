package pipeline

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// stage is one worker in the order of the data: an earlier stage feeds later ones.
type stage struct {
	name string
	run  func(context.Context) error
	// finite stages may end by themselves, as files do; when the first stage ends so, the process drains and stops.
	finite bool
}

// runStages runs all stages at once. When ctx ends, a stage fails or a finite stage has done its work, they stop in order, each
// after those that feed it: so what was captured is still detected, tracked and written.
func runStages(ctx context.Context, stages []stage) error {
	over, end := context.WithCancel(ctx)
	defer end()
	stops := make([]context.CancelFunc, len(stages))
	done := make([]chan struct{}, len(stages))
	var (
		mu   sync.Mutex // protects errs
		errs []error
	)
	for i, s := range stages {
		stageCtx, stop := context.WithCancel(context.WithoutCancel(ctx))
		stops[i], done[i] = stop, make(chan struct{})
		go func() {
			defer close(done[i])
			err := s.run(stageCtx)
			if err != nil && stageCtx.Err() == nil {
				mu.Lock()
				errs = append(errs, fmt.Errorf("%s: %w", s.name, err))
				mu.Unlock()
			}
			if err != nil || s.finite {
				end()
			}
		}()
	}
	<-over.Done()
	for i, stop := range stops {
		stop()
		<-done[i]
	}
	return errors.Join(errs...)
}
