package detect

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"time"

	"github.com/sightline/sightline/detect/onnx"
	"github.com/sightline/sightline/models"
	"github.com/sightline/sightline/pipeline/bus"
	"github.com/sightline/sightline/pipeline/picture"
)

// ErrStale is returned by Detect when the picture was taken back by its owner before it was read.
var ErrStale = errors.New("the picture was taken back by its owner")

// Engine runs one model on all processors. It is safe for concurrent use.
type Engine struct {
	spec   models.Spec
	model  string // its id
	device string // that it runs on
	// fallback says why it is not the first one that was asked for, "" where it is.
	fallback string
	filters  []Filter // by class
	lanes    int
	shapes   shapes
	health   *health
	jobs     jobs
	frames   sync.Pool
	running  sync.WaitGroup
}

// Look is a frame to be looked at.
type Look struct {
	Picture *picture.I420 // only read
	Regions []bus.Region  // none: the whole frame
	// Shrunk, if above 1, says that Picture shows the frame, of the size Frame, at so small a part of its sides, rounded up. Such a frame
	// is looked at as a whole.
	Shrunk int
	Frame  bus.Size
	// Policy is PolicyGrid where a thing that a seam cuts shall get a second look, at a tile of its own.
	Policy bus.Policy
	// Valid, if not nil, is asked each time pixels were read, one call at a time; false makes Detect return ErrStale.
	Valid func() bool
	// OnPrepared, if not nil, is called exactly once, as soon as no pixel is needed any more, also when Detect fails. It may be called
	// from another goroutine.
	OnPrepared func()
	// OnTaken, if not nil, is called by Detect's own goroutine each time that a lane has taken a region.
	OnTaken func()
}

// Result is what was found in one frame. Prepare and Infer are summed over its regions.
type Result struct {
	Objects               []bus.Object // never nil; by falling score
	Prepare, Infer, Merge time.Duration
	Run                   int // regions looked at, second looks among them
	Pixels                int // of the network's input that they took: what inference costs goes with them
}

// Open loads and checks the model, makes the sessions and tries each of them once.
func Open(cfg Config, log *slog.Logger) (*Engine, error) {
	spec, err := models.Load(cfg.Model)
	if err != nil {
		return nil, err
	}
	if spec.Batch > 1 {
		return nil, fmt.Errorf("open model %s: it has a fixed batch of %d: must be 1 or any; export it again", cfg.Model, spec.Batch)
	}
	if err := cfg.validate(spec.Labels); err != nil {
		return nil, fmt.Errorf("open model %s: %w", cfg.Model, err)
	}
	e := &Engine{spec: spec, model: spec.ID(), filters: cfg.areas(spec.Labels), jobs: newJobs(), health: newHealth(log)}
	if cfg, err = Settle(cfg, log); err != nil {
		return nil, err
	}
	e.device, e.fallback = cfg.device(), cfg.Fallback
	warnOfInt8(spec, e.device, log)
	if e.lanes = cfg.Workers; e.lanes == 0 {
		e.lanes = defaultWorkers(e.device, runtime.GOMAXPROCS(0))
	}
	e.shapes = shapesOf(spec)
	if cfg.OneShape || !anyShape(e.device) {
		e.shapes = e.shapes[:1]
	}
	e.health.lanes.Store(int64(e.lanes))
	for i := range e.lanes {
		l, err := e.openLane(&cfg, i == 0, log)
		if err != nil {
			e.Close()
			return nil, err
		}
		if !l.seat.steady && i == 0 {
			log.Warn("the model answers the same picture otherwise each time: a session that goes wrong is noticed by failures alone", "model", spec.ID())
		}
		e.running.Go(func() { l.run(e.jobs, cfg.every()*time.Duration(i+1)/time.Duration(e.lanes)) })
	}
	e.frames.New = func() any { return newFrame(cfg.iou(), e.shapes) }
	log.Info("model loaded", "model", spec.ID(), "family", spec.Family, "input", fmt.Sprintf("%dx%d", spec.Width, spec.Height),
		"labels", len(spec.Labels), "facts", spec.Source, "device", e.device, "workers", e.lanes, "threads", max(1, cfg.Threads), "max_batch_size", cfg.batch(spec))
	return e, nil
}

// openLane makes a lane. The first one finds out whether the network takes batches, and other shapes than its own.
func (e *Engine) openLane(cfg *Config, first bool, log *slog.Logger) (*lane, error) {
	l, err := openLane(*cfg, e.spec, e.shapes, e.health)
	if first && errors.Is(err, errTogether) {
		log.Warn("pictures go through the network one by one: export it with a dynamic batch", "model", e.spec.ID(), "cause", err)
		cfg.MaxBatch = 1
		l, err = openLane(*cfg, e.spec, e.shapes, e.health)
	}
	if !first || len(e.shapes) == 1 {
		return l, err
	}
	if err == nil {
		if err = l.tryAnother(); err == nil {
			return l, nil
		}
		l.seat.leave(nil)
	}
	log.Warn("all is looked at in the model's own shape", "model", e.spec.ID(), "cause", err)
	e.shapes = e.shapes[:1]
	return openLane(*cfg, e.spec, e.shapes, e.health)
}

// openLane makes a session and tries it, so that a model that cannot run is refused before the first frame.
func openLane(cfg Config, spec models.Spec, shapes shapes, h *health) (*lane, error) {
	began := time.Now()
	session, err := openSession(cfg, spec, len(shapes) > 1)
	if err != nil {
		return nil, err
	}
	l := newLane(cfg, spec, shapes, session, h)
	if err = l.try(); err == nil && (cfg.held || !anyShape(cfg.device())) {
		err = l.holdAgainstProcessor()
	}
	if err != nil {
		l.seat.leave(nil)
		return nil, fmt.Errorf("open model %s: %w", cfg.Model, err)
	}
	l.seat.opened = time.Since(began)
	return l, nil
}

func openSession(cfg Config, spec models.Spec, anySize bool) (*onnx.Session, error) {
	n := cfg.batch(spec)
	return onnx.Open(onnx.Options{
		Library: cfg.Library, Model: spec.Path, Device: cfg.device(), Threads: max(1, cfg.Threads),
		Input:   onnx.Tensor{Name: spec.Input, Shape: spec.InputShape(n)},
		Outputs: outputs(spec, n), AnySize: anySize, Unit: spec.Layout.Scale,
	})
}

func outputs(spec models.Spec, batch int) []onnx.Tensor {
	var all []onnx.Tensor
	for _, o := range spec.Outputs(batch) {
		all = append(all, onnx.Tensor(o))
	}
	return all
}

// Spec describes the model.
func (e *Engine) Spec() models.Spec { return e.spec }

// Device is what the network runs on.
func (e *Engine) Device() string { return e.device }

// Fallback says why that is not the first device of the configuration, "" where it is.
func (e *Engine) Fallback() string { return e.fallback }

// Workers is the number of sessions, which is the number of regions or batches that are at work at once. It falls where a session is lost
// and none can take its place, but not below one.
func (e *Engine) Workers() int { return max(1, int(e.health.lanes.Load())) }

// Pixels are those of the network's input that a first look at regions takes; see Result.
func (e *Engine) Pixels(regions []bus.Region) int { return e.shapes.pixels(regions) }

// Shrink is the largest of 8, 4, 2 and 1 by which a frame may be shrunk before it is looked at as a whole: what is left has no fewer
// pixels than the network's input.
func (e *Engine) Shrink(width, height int) int {
	whole := bus.Region{W: width, H: height}
	scale := e.shapes[e.shapes.fit(whole)].scale(whole)
	for n := 8; n > 1; n /= 2 {
		if scale*float32(n) <= 1 {
			return n
		}
	}
	return 1
}

// Close ends the workers and frees their sessions. No Detect may run or follow.
func (e *Engine) Close() {
	close(e.jobs.first)
	e.running.Wait()
}

// Detect looks at the regions of a picture, under PolicyGrid also a second time at what seams cut.
func (e *Engine) Detect(ctx context.Context, l Look) (Result, error) {
	f := e.frames.Get().(*frame)
	defer e.frames.Put(f)
	if err := f.begin(l); err != nil {
		return Result{}, err
	}
	e.send(ctx, f, 0, e.jobs.first)
	f.unfinished.Wait()
	first, found := len(f.regions), 0
	if f.err == nil && l.Policy == bus.PolicyGrid {
		first, found = f.second()
	}
	f.prepared(1)
	if first < len(f.regions) {
		e.send(ctx, f, first, e.jobs.second)
		f.unfinished.Wait()
		if f.err != nil {
			f.withdraw(first, found)
		}
	}
	return f.end(&e.spec, e.filters)
}

// send hands the regions out, from one on. When ctx ends, those that nobody took are given up; those that were taken are waited
// for, because they read the picture.
func (e *Engine) send(ctx context.Context, f *frame, from int, to chan<- job) {
	for i := from; i < len(f.regions); i++ {
		select {
		case to <- job{f, i}:
			if f.look.OnTaken != nil {
				f.look.OnTaken()
			}
		case <-ctx.Done():
			f.fail(ctx.Err())
			f.skip(len(f.regions) - i)
			return
		case <-e.health.failed:
			f.fail(e.health.cause)
			f.skip(len(f.regions) - i)
			return
		}
	}
}
