package detect

import (
	"context"
	"fmt"
	"runtime"
	"time"

	"github.com/sightline/sightline/detect/onnx"
	"github.com/sightline/sightline/models"
)

const (
	// chooseWithin is what choosing may take: what could not be tried by then is not taken. The step at hand is finished, and waited for until
	// chooseLimit.
	chooseWithin = 1200 * time.Millisecond
	chooseLimit  = 2 * time.Second
	// chooseTurns is how often in turn two layouts are compared, each for turnTime, and clearlyFaster by how much one must win each time.
	chooseTurns   = 3
	turnTime      = 80 * time.Millisecond
	clearlyFaster = 1.1
	// undisturbed is the least share of the time in which single threads have a processor where nothing else is at work.
	undisturbed = 0.9
	// quietTime is how long that is looked at before any session is opened.
	quietTime = 40 * time.Millisecond
	// mostThreads is the largest number of threads of a session that is tried.
	mostThreads = 4
)

// ChooseLayout tells how to spread the network of cfg, whose device is settled, over the processors: as an engine does that is told nothing,
// unless another layout is clearly faster. It takes chooseLimit at most. Where others are at work, or a network is slow to open, nothing can
// be told: then sure is false, and another time may be better. Rate is 0 where there is nothing to choose: on one processor without batches,
// and on devices other than cpu.
func ChooseLayout(ctx context.Context, cfg Config) (best Layout, sure bool, err error) {
	spec, err := models.Load(cfg.Model)
	if err != nil {
		return Layout{}, false, err
	}
	all := candidates(cfg, spec)
	if len(all) == 1 {
		return all[0], true, nil
	}
	type choice struct {
		best Layout
		sure bool
		err  error
	}
	chosen := make(chan choice, 1)
	go func() { // a network may hang
		t := trials{cfg: cfg, spec: spec, open: map[int]sessions{}}
		defer t.close()
		best, sure, err := t.choose(ctx, all)
		chosen <- choice{best, sure, err}
	}()
	select {
	case c := <-chosen:
		return c.best, c.sure, c.err
	case <-time.After(chooseLimit):
		return all[0], false, nil
	case <-ctx.Done():
		return Layout{}, false, ctx.Err()
	}
}

// trials are the sessions that layouts are tried with.
type trials struct {
	cfg  Config
	spec models.Spec
	open map[int]sessions // by threads
}

func (t *trials) choose(ctx context.Context, all []Layout) (best Layout, sure bool, err error) {
	began := time.Now()
	_, share, err := together(ctx, runtime.GOMAXPROCS(0), quietTime, func(int) error { return nil })
	if err != nil || share < undisturbed {
		return all[0], false, err
	}
	try := func(l Layout) (float64, float64, error) { return t.try(ctx, l) }
	return choose(all, try, func() bool { return time.Since(began) > chooseWithin })
}

func (t *trials) try(ctx context.Context, l Layout) (rate, share float64, err error) {
	if t.open[l.Threads] == nil {
		if t.open[l.Threads], err = openSessions(t.cfg, t.spec, l); err != nil {
			return 0, 0, fmt.Errorf("measure %d sessions of %d threads: %w", l.Workers, l.Threads, err)
		}
	}
	return t.open[l.Threads].run(ctx, l.MaxBatch, turnTime)
}

func (t *trials) close() {
	for _, s := range t.open {
		s.close()
	}
}

// candidates are the layouts to choose from, the usual one first.
func candidates(cfg Config, spec models.Spec) []Layout {
	if cfg.device() != string(onnx.CPU) {
		return []Layout{{Workers: defaultWorkers(cfg.device(), runtime.GOMAXPROCS(0)), Threads: 1, MaxBatch: cfg.batch(spec)}}
	}
	all := layoutsOfProcessors(runtime.GOMAXPROCS(0), cfg.batch(spec))
	for i, l := range all {
		if l.Threads > mostThreads {
			return all[:i]
		}
	}
	return all
}

// choose keeps the first layout unless another one is clearly faster each time that try runs both in turn, until time is over. try gives
// looks a second, and the share of the time that the threads had a processor.
func choose(all []Layout, try func(Layout) (rate, share float64, err error), over func() bool) (best Layout, sure bool, err error) {
	best = all[0]
	for _, l := range all[1:] {
		wins := 0
		for wins < chooseTurns && !over() {
			before, share, err := try(best)
			if err != nil {
				return Layout{}, false, err
			}
			if best.Threads == 1 && share < undisturbed {
				return all[0], false, nil
			}
			best.Rate = before
			if l.Rate, _, err = try(l); err != nil {
				return Layout{}, false, err
			}
			if l.Rate < clearlyFaster*before {
				break
			}
			wins++
		}
		if wins == chooseTurns {
			best = l
		}
	}
	return best, best.Rate > 0, nil
}
