package detect

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sightline/sightline/pipeline/bus"
)

const (
	// pool is the name under which detectors share the frames.
	pool = "detect"
	// lastFrames is how long a worker that is told to stop still takes frames: those that were captured before.
	lastFrames  = 300 * time.Millisecond
	statusEvery = 5 * time.Second
	watchEvery  = time.Second
	// longestID is what the contract allows.
	longestID = 64
)

// Duty says whose frames a worker takes. Workers of one detector, in any number of processes, share its frames.
type Duty struct {
	Detector string // its name; "": it has none, and takes frames that name none
	Default  bool   // it takes frames that name no detector too
}

// frames lists the names in the frames that are taken.
func (d Duty) frames() []string {
	if d.Default && d.Detector != "" {
		return []string{d.Detector, ""}
	}
	return []string{d.Detector}
}

// Worker pulls frames from the bus and publishes what the engine finds in them.
type Worker struct {
	duty    Duty
	service service
	conn    *bus.Conn
	log     *slog.Logger
	id      string // among all detectors
	quiet   quiet
	counts  counts
	turns   *turns
	wait    *backlog   // of regions that were pulled and wait for a lane
	pull    sync.Mutex // held by the one who pulls: so the order of pulling is that of the turns
}

// Stats count what a worker did since it was made.
type Stats struct {
	Frames  uint64 // detected and published
	Regions uint64 // that were looked at in them
	Pixels  uint64 // of the network's input that this took
	Objects uint64 // published
	Stale   uint64 // pictures that were gone before they were read
	Bad     uint64 // frames that could not be read or detected
	Failed  uint64 // detections that could not be published
}

type counts struct{ frames, regions, pixels, objects, stale, bad, failed atomic.Uint64 }

// NewWorker makes a worker; Run makes it work.
func NewWorker(duty Duty, engine *Engine, conn *bus.Conn, log *slog.Logger) *Worker {
	if duty.Detector != "" {
		log = log.With("detector", duty.Detector)
	}
	w := &Worker{duty: duty, conn: conn, log: log, id: duty.id(), turns: newTurns(), wait: newBacklog()}
	w.service.replace(engine)
	return w
}

// Engine is the one that the next frame gets.
func (w *Worker) Engine() *Engine { return w.service.engine() }

// Replace has the frames from now on looked at by another engine. It returns the one before, which no frame has any more, for the
// caller to close. No frame waits or is lost meanwhile.
func (w *Worker) Replace(next *Engine) (before *Engine) { return w.service.replace(next) }

// processName is unlike that of other processes on this and other hosts, and fit for a subject.
func processName() string {
	host, err := os.Hostname()
	if err != nil {
		host = "host" // the number still tells processes apart
	}
	clean := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' {
			return r
		}
		return '-'
	}, host)
	return fmt.Sprintf("%.48s-%d", clean, os.Getpid())
}

// id tells a worker from those of other processes, and of this one: only one of them is the default.
func (d Duty) id() string {
	process := processName()
	if d.Detector == "" || d.Default {
		return process
	}
	if id := process + "-" + d.Detector; len(id) <= longestID {
		return id
	}
	hash := fnv.New32a()
	hash.Write([]byte(d.Detector)) //nolint:errcheck // never fails
	return fmt.Sprintf("%.55s-%08x", process, hash.Sum32())
}

// Run works until ctx ends or the engine can do no more. Frames that were captured by then are still detected.
func (w *Worker) Run(ctx context.Context) error {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	mapper := bus.NewMapper()
	defer mapper.Close() //nolint:errcheck // unmaps; nobody reads any more
	// One frame more than there are lanes, so that none waits for the bus.
	readers := make([]*reader, w.Engine().Workers()+1)
	for i := range readers {
		r, err := newReader(w, mapper)
		if err != nil {
			return err
		}
		defer r.close()
		readers[i] = r
	}
	puller, err := w.conn.PullFrames(ctx, pool, w.duty.frames()...)
	if err != nil {
		return err
	}
	pulling, stop := outlast(ctx, lastFrames)
	defer stop()
	var running sync.WaitGroup
	for _, r := range readers {
		running.Go(func() { r.run(pulling, puller) })
	}
	running.Go(func() { w.report(ctx) })
	running.Go(func() { w.watch(ctx, fail) })
	running.Wait()
	if ctx.Err() == nil {
		return errors.New("detect: the connection to the broker was closed")
	}
	return context.Cause(ctx)
}

// watch ends the worker when its engine can do no more: whoever started the process shall see that, and start it again.
func (w *Worker) watch(ctx context.Context, fail context.CancelCauseFunc) {
	every := time.NewTicker(watchEvery)
	defer every.Stop()
	for {
		select {
		case <-every.C:
			if err := w.Engine().Err(); err != nil {
				fail(fmt.Errorf("detect: %w", err))
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

// next pulls a frame as soon as lanes are about to have nothing to do, and gives it its place among those of its camera.
func (w *Worker) next(ctx context.Context, puller *bus.FramePuller) (*bus.Frame, turn, error) {
	w.pull.Lock()
	defer w.pull.Unlock()
	if err := w.wait.below(ctx, w.Engine().Workers()); err != nil {
		return nil, turn{}, err
	}
	f, err := puller.Next(ctx)
	if err != nil {
		return nil, turn{}, err
	}
	w.wait.give(regionsOf(f))
	return f, w.turns.take(f.Camera), nil
}

// outlast gives a context that ends some time after ctx.
func outlast(ctx context.Context, by time.Duration) (context.Context, context.CancelFunc) {
	longer, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(by, cancel) })
	return longer, func() {
		stop()
		cancel()
	}
}

// report publishes the worker's state until ctx ends.
func (w *Worker) report(ctx context.Context) {
	every := time.NewTicker(statusEvery)
	defer every.Stop()
	for {
		if err := w.conn.PublishStatus(ctx, w.status()); err != nil && ctx.Err() == nil {
			w.quiet.warn(w.log, "status not published", "error", err)
		}
		select {
		case <-every.C:
		case <-ctx.Done():
			return
		}
	}
}

func (w *Worker) status() *bus.Status {
	s, engine := w.Stats(), w.Engine()
	h := engine.Health()
	return &bus.Status{
		Schema: bus.SchemaStatus, Role: "detect", ID: w.id, State: "running", Cause: engine.Fallback(), At: time.Now().UTC(),
		Counters: map[string]float64{
			"frames": float64(s.Frames), "regions": float64(s.Regions), "pixels": float64(s.Pixels), "objects": float64(s.Objects),
			"stale": float64(s.Stale), "bad": float64(s.Bad), "failed": float64(s.Failed),
			"sessions_hung": float64(h.Hung), "sessions_poisoned": float64(h.Poisoned), "sessions_replaced": float64(h.Replaced),
			"sessions_abandoned": float64(h.Abandoned),
		},
		Detector: &bus.DetectorStatus{
			Name: cmp.Or(w.duty.Detector, "default"), Default: w.duty.Default || w.duty.Detector == "", Model: engine.model,
			Device: engine.Device(), Workers: engine.Workers(),
		},
	}
}

// Stats may be called at any time.
func (w *Worker) Stats() Stats {
	c := &w.counts
	return Stats{
		Frames: c.frames.Load(), Regions: c.regions.Load(), Pixels: c.pixels.Load(), Objects: c.objects.Load(),
		Stale: c.stale.Load(), Bad: c.bad.Load(), Failed: c.failed.Load(),
	}
}

// quiet lets one log line a second through and says how many it kept back.
type quiet struct {
	mu   sync.Mutex // protects what follows
	last time.Time
	kept int
}

func (q *quiet) warn(log *slog.Logger, message string, args ...any) {
	q.mu.Lock()
	now := time.Now()
	if now.Sub(q.last) < time.Second {
		q.kept++
		q.mu.Unlock()
		return
	}
	kept := q.kept
	q.last, q.kept = now, 0
	q.mu.Unlock()
	if kept > 0 {
		args = append(args, "not_shown", kept)
	}
	log.Warn(message, args...)
}
