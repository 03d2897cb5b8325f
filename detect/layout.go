package detect

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sightline/sightline/detect/onnx"
	"github.com/sightline/sightline/models"
)

// Layout is a way to spread a network over the processors.
type Layout struct {
	Workers  int     `json:"workers"`          // sessions
	Threads  int     `json:"threads"`          // of each
	MaxBatch int     `json:"max_batch_size"`   // looks that go through a session together
	Rate     float64 `json:"looks_per_second"` // of all sessions, measured
}

// layoutRounds is how often every layout has its turn: what disturbs one turn does not decide.
const layoutRounds = 2

// MeasureLayouts runs the model of cfg in every sensible layout with batches up to cfg.MaxBatch, each for some time, and gives
// them the fastest first. Nothing else should run meanwhile. progress, if not nil, is told after every turn.
func MeasureLayouts(ctx context.Context, cfg Config, each time.Duration, progress func(done, total int)) ([]Layout, error) {
	spec, err := models.Load(cfg.Model)
	if err != nil {
		return nil, err
	}
	if cfg, err = Settle(cfg, slog.New(slog.DiscardHandler)); err != nil {
		return nil, err
	}
	layouts := layoutsElsewhere(cfg.batch(spec))
	if OnProcessor(cfg.device()) {
		layouts = layoutsOfProcessors(runtime.GOMAXPROCS(0), cfg.batch(spec))
	}
	total := layoutRounds * len(layouts)
	for turn := range total {
		l := &layouts[turn%len(layouts)]
		rate, err := l.measure(ctx, cfg, spec, each/layoutRounds)
		if err != nil {
			return nil, fmt.Errorf("measure %d sessions of %d threads: %w", l.Workers, l.Threads, err)
		}
		l.Rate += rate / layoutRounds
		if progress != nil {
			progress(turn+1, total)
		}
	}
	slices.SortStableFunc(layouts, func(a, b Layout) int { return cmp.Compare(b.Rate, a.Rate) })
	return layouts, nil
}

// layoutsOfProcessors are those that use all processors: more sessions of fewer threads and the other way round, with and without batches. The first
// one is what an engine has that was told nothing.
func layoutsOfProcessors(processors, batch int) (all []Layout) {
	for threads := 1; threads <= processors; threads *= 2 {
		for _, n := range slices.Compact([]int{batch, 1}) {
			all = append(all, Layout{Workers: processors / threads, Threads: threads, MaxBatch: n})
		}
	}
	return all
}

// layoutsElsewhere are those of another device than a processor, which computes for all sessions.
func layoutsElsewhere(batch int) (all []Layout) {
	for _, workers := range []int{leastElsewhere, 1, mostElsewhere} {
		for _, n := range slices.Compact([]int{batch, 1}) {
			all = append(all, Layout{Workers: workers, Threads: 1, MaxBatch: n})
		}
	}
	return all
}

// measure runs bare sessions for a while and gives their looks a second.
func (l *Layout) measure(ctx context.Context, cfg Config, spec models.Spec, during time.Duration) (float64, error) {
	sessions, err := openSessions(cfg, spec, *l)
	defer sessions.close()
	if err != nil {
		return 0, err
	}
	rate, _, err := sessions.run(ctx, l.MaxBatch, during)
	return rate, err
}

// sessions are those of a layout, without lanes.
type sessions []*onnx.Session

// openSessions opens the sessions of a layout with room for the largest batch, and runs each once. What is open is given also with an error.
func openSessions(cfg Config, spec models.Spec, l Layout) (sessions, error) {
	all := make(sessions, l.Workers)
	cfg.Threads = l.Threads
	var opening errgroup.Group
	opening.SetLimit(1)
	if cfg.device() == string(onnx.CPU) { // others compile the network, which may be remembered for the next session
		opening.SetLimit(runtime.GOMAXPROCS(0))
	}
	for i := range all {
		opening.Go(func() (err error) {
			if all[i], err = openSession(cfg, spec, false); err != nil {
				return err
			}
			return all[i].Run(l.MaxBatch)
		})
	}
	return all, opening.Wait()
}

func (s sessions) close() {
	for _, one := range s {
		if one != nil {
			one.Close() //nolint:errcheck // only what was measured counts
		}
	}
}

// run has every session work for a while. It gives the looks a second of all, and their share of the time; see together.
func (s sessions) run(ctx context.Context, batch int, during time.Duration) (rate, share float64, err error) {
	runs, share, err := together(ctx, len(s), during, func(i int) error { return s[i].Run(batch) })
	return runs * float64(batch), share, err
}

// together does work again and again for a while, at least once, in so many threads. It gives how often a second all did it, and the share of
// the time in which they had a processor, 1 where that cannot be told.
func together(ctx context.Context, threads int, during time.Duration, work func(thread int) error) (rate, share float64, err error) {
	rates, shares := make([]float64, threads), make([]float64, threads)
	var running errgroup.Group
	for i := range threads {
		running.Go(func() (err error) {
			rates[i], shares[i], err = alone(ctx, during, func() error { return work(i) })
			return err
		})
	}
	err = errors.Join(running.Wait(), ctx.Err())
	for i := range threads {
		rate, share = rate+rates[i], share+shares[i]/float64(threads)
	}
	return rate, share, err
}

func alone(ctx context.Context, during time.Duration, work func() error) (rate, share float64, err error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	thread := thisThread()
	began, had, times := time.Now(), thread.now(), 0.0
	for times == 0 || time.Since(began) < during && ctx.Err() == nil {
		if err := work(); err != nil {
			return 0, 0, err
		}
		times++
	}
	took := time.Since(began).Seconds()
	if had == 0 {
		return times / took, 1, nil
	}
	return times / took, (thread.now() - had).Seconds() / took, nil
}
