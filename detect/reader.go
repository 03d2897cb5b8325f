package detect

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sightline/sightline/pipeline/bus"
	"github.com/sightline/sightline/pipeline/picture"
)

// reader takes one frame after the other through the engine, with a decoder and a picture of its own.
type reader struct {
	worker  *Worker
	mapper  *bus.Mapper
	decoder *picture.JPEGDecoder
	decoded picture.I420 // EncodingJPEG: the picture at hand
	mapped  picture.I420 // EncodingSHM: its planes, which belong to view
	view    *bus.View    // nil for none
	release func()       // releaseView, bound once
	valid   func() bool  // viewValid, bound once
	untaken int          // regions of the frame at hand that no lane has taken
	taken   func()       // regionTaken, bound once
}

func newReader(w *Worker, mapper *bus.Mapper) (*reader, error) {
	decoder, err := picture.NewJPEGDecoder()
	if err != nil {
		return nil, fmt.Errorf("detect: %w", err)
	}
	r := &reader{worker: w, mapper: mapper, decoder: decoder}
	r.release, r.valid, r.taken = r.releaseView, r.viewValid, r.regionTaken
	return r, nil
}

func (r *reader) close() { r.decoder.Close() }

// run works until ctx ends or the connection is closed. A frame that was taken is finished.
func (r *reader) run(ctx context.Context, puller *bus.FramePuller) {
	for {
		f, mine, err := r.worker.next(ctx, puller)
		if err != nil {
			return
		}
		r.frame(context.WithoutCancel(ctx), f, mine)
	}
}

// frame detects in one frame and publishes, in its turn. Whatever is wrong with it ends with it.
func (r *reader) frame(ctx context.Context, f *bus.Frame, mine turn) {
	defer mine.end()
	w := r.worker
	pulled := time.Now()
	engine := w.service.use()
	defer engine.done()
	r.untaken = regionsOf(f)
	result, prepared, err := r.detect(ctx, engine.Engine, f)
	w.wait.take(r.untaken) // those of a frame that failed
	switch {
	case errors.Is(err, ErrStale), errors.Is(err, bus.ErrStale):
		w.counts.stale.Add(1)
		return
	case err != nil:
		w.counts.bad.Add(1)
		w.quiet.warn(w.log, "frame not detected", "camera", f.Camera, "session", f.Session, "seq", f.Seq, "error", err)
		return
	}
	mine.await()
	err = w.conn.PublishDetections(ctx, &bus.Detections{
		Schema: bus.SchemaDetections, Camera: f.Camera, Session: f.Session, Seq: f.Seq, CapturedAt: f.CapturedAt, Clock: f.Clock,
		RTPTimestamp: f.RTPTimestamp, Frame: bus.Size{Width: f.Width, Height: f.Height}, Model: engine.model, Dropped: f.Dropped,
		Detector: w.duty.Detector,
		Tiles:    tilesOf(f, result.Run),
		Timing: bus.Timing{
			Decode: ms(f.Decode), Queue: ms(pulled.Sub(f.PublishedAt)), Prepare: ms(prepared + result.Prepare),
			Infer: ms(result.Infer), Merge: ms(result.Merge), Total: ms(time.Since(f.CapturedAt)),
		},
		Objects: result.Objects,
	})
	if err != nil {
		w.counts.failed.Add(1)
		w.quiet.warn(w.log, "detections not published", "camera", f.Camera, "seq", f.Seq, "error", err)
		return
	}
	w.counts.frames.Add(1)
	w.counts.regions.Add(uint64(result.Run))
	w.counts.pixels.Add(uint64(result.Pixels))
	w.counts.objects.Add(uint64(len(result.Objects)))
}

// tilesOf says how closely a frame was looked at, with so many looks.
func tilesOf(f *bus.Frame, run int) bus.Tiles {
	t := bus.Tiles{Policy: f.Policy, Run: run, Of: max(1, len(f.Regions), f.Of), CoverageAge: ms(f.CoverageAge)}
	if f.Policy != bus.PolicyAdaptive {
		return t
	}
	whole := bus.Region{W: f.Width, H: f.Height}
	for _, r := range f.Regions {
		if r != whole {
			t.Regions = append(t.Regions, r)
		}
	}
	return t
}

// detect opens the picture of a frame and looks at it. prepared is what opening took.
func (r *reader) detect(ctx context.Context, engine *Engine, f *bus.Frame) (result Result, prepared time.Duration, err error) {
	started := time.Now()
	switch f.Encoding {
	case bus.EncodingJPEG:
		look, err := r.decode(engine, f)
		if err != nil {
			return Result{}, 0, err
		}
		prepared = time.Since(started)
		result, err = engine.Detect(ctx, look)
		return result, prepared, err
	case bus.EncodingSHM:
		if err := r.open(f); err != nil {
			return Result{}, 0, err
		}
		prepared = time.Since(started)
		result, err = engine.Detect(ctx, Look{
			Picture: &r.mapped, Regions: f.Regions, Policy: f.Policy, Valid: r.valid, OnPrepared: r.release, OnTaken: r.taken,
		})
	default:
		err = fmt.Errorf("encoding %.40q: must be jpeg or shm", f.Encoding)
	}
	return result, prepared, err
}

// decode decodes the picture of a frame, only as far as needed where the whole is all that is looked at.
func (r *reader) decode(engine *Engine, f *bus.Frame) (Look, error) {
	look := Look{Picture: &r.decoded, Regions: f.Regions, Policy: f.Policy, OnTaken: r.taken, Shrunk: 1, Frame: bus.Size{Width: f.Width, Height: f.Height}}
	if wholeAlone(f) {
		look.Regions, look.Shrunk = nil, engine.Shrink(f.Width, f.Height)
	}
	if err := r.decoder.DecodeShrunk(f.Body, &r.decoded, look.Shrunk); err != nil {
		return Look{}, err
	}
	return look, sameSize(&r.decoded, f, look.Shrunk)
}

// wholeAlone tells whether nothing but the whole frame is to be looked at.
func wholeAlone(f *bus.Frame) bool {
	return len(f.Regions) == 0 || len(f.Regions) == 1 && f.Regions[0] == bus.Region{W: f.Width, H: f.Height}
}

// open takes hold of shared pixels; releaseView lets go of them.
func (r *reader) open(f *bus.Frame) error {
	view, err := r.mapper.Open(f.Ref)
	if err != nil {
		return err
	}
	p := view.Planes()
	r.view = view
	r.mapped = picture.I420{
		Width: p.Width, Height: p.Height, Y: p.Y, U: p.U, V: p.V, StrideY: p.StrideY, StrideC: p.StrideC,
		Matrix: picture.Matrix(p.Matrix), FullRange: p.FullRange,
	}
	if err := sameSize(&r.mapped, f, 1); err != nil {
		r.releaseView()
		return err
	}
	return nil
}

func (r *reader) releaseView() {
	r.view.Release()
	r.view, r.mapped = nil, picture.I420{}
}

func (r *reader) viewValid() bool { return r.view.Valid() }

// regionTaken is told of second looks too, which nobody counted.
func (r *reader) regionTaken() {
	if r.untaken > 0 {
		r.untaken--
		r.worker.wait.take(1)
	}
}

// regionsOf is how often a frame asks to be looked at.
func regionsOf(f *bus.Frame) int { return max(1, len(f.Regions)) }

// sameSize refuses a picture that is not what its header says: its boxes would lie elsewhere.
func sameSize(p *picture.I420, f *bus.Frame, shrunk int) error {
	if p.Width != (f.Width+shrunk-1)/shrunk || p.Height != (f.Height+shrunk-1)/shrunk {
		return fmt.Errorf("the picture is %dx%d, at 1/%d of its size, but its header says %dx%d: they must be equal", p.Width, p.Height, shrunk, f.Width, f.Height)
	}
	return nil
}

// ms writes a duration as messages do. Clocks of two hosts may differ: no duration is negative.
func ms(d time.Duration) float64 {
	return max(0, float64(d.Round(time.Microsecond))/float64(time.Millisecond))
}
