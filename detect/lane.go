package detect

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sightline/sightline/detect/onnx"
	"github.com/sightline/sightline/models"
	"github.com/sightline/sightline/pipeline/bus"
	"github.com/sightline/sightline/pipeline/picture"
)

// lane is one goroutine with a session of its own and all the scratch that it needs.
type lane struct {
	cfg       Config
	spec      models.Spec
	health    *health
	session   *onnx.Session
	seat      seat // of the session, which runs by it alone
	letterbox *picture.Letterboxer
	shapes    shapes
	inputs    []*input // by shape; nil where none was needed yet
	maxBatch  int
	delay     time.Duration
	timer     *time.Timer
	items     []item // of the batch at hand
	input     *input // of the batch at hand
}

// item is one region in a batch.
type item struct {
	job       job
	transform picture.Transform
	prepare   time.Duration
}

func newLane(cfg Config, spec models.Spec, shapes shapes, session *onnx.Session, h *health) *lane {
	n := cfg.batch(spec)
	l := spec.Layout
	timer := time.NewTimer(time.Hour)
	timer.Stop()
	made := &lane{
		cfg: cfg, spec: spec, health: h, session: session, seat: seat{runner: startRunner(session, &h.spent)}, shapes: shapes, inputs: make([]*input, len(shapes)), maxBatch: n, delay: cfg.MaxQueueDelay, timer: timer,
		letterbox: picture.NewLetterboxer(picture.Layout{RGB: l.RGB, Scale: l.Scale, Centre: l.Centre, Fill: l.Fill}),
		items:     make([]item, 0, n),
	}
	made.inputs[0] = newInput(cfg, spec, session.Binding)
	return made
}

// tryAnother runs the network in the smallest shape: where something in it is bound to its own, that fails.
func (l *lane) tryAnother() error {
	smallest := slices.MinFunc(l.shapes, func(a, b shape) int { return cmp.Compare(a.area(), b.area()) })
	in, err := l.inputOf(slices.Index(l.shapes, smallest))
	if err != nil {
		return err
	}
	return l.seat.run(in.Binding, 1, openPatience)
}

// run works until jobs are closed or the lane is lost. The canary's first turn comes after some time, that of each lane after another.
func (l *lane) run(from jobs, firstCheck time.Duration) {
	defer l.close()
	l.seat.check = time.NewTimer(firstCheck)
	defer l.seat.check.Stop()
	for !l.lost() {
		j, got, more := from.next(l.seat.check.C)
		switch {
		case got:
			l.take(j)
			l.gather(from)
			l.infer()
		case !more:
			return
		default:
			l.checkUp()
		}
	}
}

// close frees the session, if there is one.
func (l *lane) close() {
	if !l.lost() {
		l.seat.close()
	}
}

// gather fills the batch with what comes from any camera until it is full or the delay is over.
func (l *lane) gather(from jobs) {
	if l.maxBatch == 1 || len(l.items) == 0 {
		return
	}
	l.timer.Reset(l.delay)
	defer l.timer.Stop()
	for len(l.items) < l.maxBatch {
		j, got, _ := from.next(l.timer.C)
		if !got {
			return
		}
		l.take(j)
	}
}

// take prepares the input of a region as the next item. A batch holds one shape: one that has another is run before. A region that cannot
// be prepared fails its own frame only.
func (l *lane) take(j job) {
	f := j.frame
	if f.failed.Load() {
		f.skip(1)
		return
	}
	r := f.regions[j.region]
	if index := l.shapes.fit(r); l.input == nil || l.input.shape != l.shapes[index] {
		l.infer() // which may replace the session
		var err error
		if l.input, err = l.inputOf(index); err != nil {
			f.fail(err)
			f.skip(1)
			return
		}
	}
	l.prepare(j, r)
}

// prepare makes a region the next item of the batch.
func (l *lane) prepare(j job, r bus.Region) {
	f, started := j.frame, time.Now()
	in := l.input
	pic, part := f.look.Picture, picture.Rect{X: r.X, Y: r.Y, W: r.W, H: r.H}
	if f.look.Shrunk > 1 {
		part = picture.Rect{W: pic.Width, H: pic.Height}
	}
	transform, err := in.fill(len(l.items), l.letterbox, pic, part)
	transform.Scale /= float32(max(1, f.look.Shrunk))
	switch {
	case err != nil:
		f.fail(fmt.Errorf("prepare region %+v: %w", r, err))
	case !f.stillValid():
		f.fail(ErrStale)
	default:
		l.items = append(l.items, item{j, transform, time.Since(started)})
		f.prepared(1)
		return
	}
	f.skip(1)
}

// inputOf gives the input of a shape, made when it is needed first.
func (l *lane) inputOf(shape int) (*input, error) {
	if l.lost() {
		return nil, errLost
	}
	if l.inputs[shape] == nil {
		s := l.shapes[shape]
		in, err := bindInput(l.cfg, l.spec.Resized(s.width, s.height), l.session)
		if err != nil {
			return nil, fmt.Errorf("an input of %dx%d: %w", s.width, s.height, err)
		}
		l.inputs[shape] = in
	}
	return l.inputs[shape], nil
}

// infer runs the batch and hands out what was found.
func (l *lane) infer() {
	n := len(l.items)
	if n == 0 {
		return
	}
	defer func() { l.items = l.items[:0] }()
	started := time.Now()
	err := l.seat.run(l.input.Binding, n, l.patience(l.input))
	if err != nil && n > 1 && !errors.Is(err, errHung) {
		l.inferEach()
		return
	}
	share := time.Since(started) / time.Duration(n)
	for i := range l.items {
		l.finish(&l.items[i], l.input.outputsOf(i), share, err)
	}
	l.mind(err)
}

// inferEach runs the items of a failed batch one by one, so that a bad one fails alone. When one hangs, what follows goes to the session
// that takes the place.
func (l *lane) inferEach() {
	given, shape := l.input, slices.Index(l.shapes, l.input.shape)
	for i := range l.items {
		started := time.Now()
		in, err := l.inputOf(shape)
		if err != nil {
			l.finish(&l.items[i], nil, 0, err)
			continue
		}
		l.input = in
		in.take(0, given, i)
		err = l.seat.run(in.Binding, 1, l.patience(in))
		l.finish(&l.items[i], in.outputsOf(0), time.Since(started), err)
		l.mind(err)
	}
}

// errLost is the end of frames whose lane has no session any more.
var errLost = errors.New("the session is lost")

// finish decodes the outputs of an item and gives its frame what was found. Decoding counts as inference: it is the network's tail.
func (l *lane) finish(it *item, outputs [][]float32, infer time.Duration, err error) {
	f := it.job.frame
	defer f.unfinished.Done()
	if err != nil {
		f.fail(err)
		return
	}
	started := time.Now()
	found := l.input.decoder.decode(outputs)
	f.merger.place(found, it.job.region, it.transform)
	f.add(found, it.prepare, infer+time.Since(started))
}
