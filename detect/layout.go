package detect

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

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
	layouts := layouts(runtime.GOMAXPROCS(0), cfg.batch(spec))
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

// layouts are those that use all processors: more sessions of fewer threads and the other way round, with and without batches.
func layouts(processors, batch int) (all []Layout) {
	for threads := 1; threads <= processors; threads *= 2 {
		for _, n := range slices.Compact([]int{1, batch}) {
			all = append(all, Layout{Workers: processors / threads, Threads: threads, MaxBatch: n})
		}
	}
	return all
}

// measure runs bare sessions for a while and gives their looks a second.
func (l *Layout) measure(ctx context.Context, cfg Config, spec models.Spec, during time.Duration) (float64, error) {
	cfg.Threads, cfg.MaxBatch = l.Threads, l.MaxBatch
	lanes := make([]*lane, 0, l.Workers)
	defer func() {
		for _, lane := range lanes {
			lane.close()
		}
	}()
	for range l.Workers {
		lane, err := openLane(cfg, spec, ownShape(spec), nil)
		if err != nil {
			return 0, err
		}
		lanes = append(lanes, lane)
	}
	var looks atomic.Int64
	var failed atomic.Pointer[error]
	var running sync.WaitGroup
	began := time.Now()
	for _, lane := range lanes {
		running.Go(func() {
			for failed.Load() == nil && ctx.Err() == nil && time.Since(began) < during {
				if err := lane.session.Run(l.MaxBatch); err != nil {
					failed.Store(&err)
				}
				looks.Add(int64(l.MaxBatch))
			}
		})
	}
	running.Wait()
	if err := failed.Load(); err != nil {
		return 0, *err
	}
	return float64(looks.Load()) / time.Since(began).Seconds(), ctx.Err()
}
