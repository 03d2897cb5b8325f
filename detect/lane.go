package detect

import (
	"fmt"
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
	session   *onnx.Session
	letterbox *picture.Letterboxer
	shapes    []shape
	inputs    []*input // by shape; nil where none was needed yet
	maxBatch  int
	delay     time.Duration
	timer     *time.Timer
	items     []item // of the batch at hand
	input     *input // of the batch at hand
}

// item is one look in a batch.
type item struct {
	job       job
	transform picture.Transform
	prepare   time.Duration
}

func newLane(cfg Config, spec models.Spec, shapes []shape, session *onnx.Session) *lane {
	n := cfg.batch(spec)
	l := spec.Layout
	timer := time.NewTimer(time.Hour)
	timer.Stop()
	made := &lane{
		cfg: cfg, spec: spec, session: session, shapes: shapes, inputs: make([]*input, len(shapes)), maxBatch: n, delay: cfg.MaxQueueDelay, timer: timer,
		letterbox: picture.NewLetterboxer(picture.Layout{RGB: l.RGB, Scale: l.Scale, Centre: l.Centre, Fill: l.Fill}),
		items:     make([]item, 0, n),
	}
	made.inputs[0] = newInput(cfg, spec, session.Binding)
	return made
}

// tryAnother runs the network in the smallest shape: where something in it is bound to its own, that fails.
func (l *lane) tryAnother() error {
	smallest := 0
	for i, s := range l.shapes {
		if s.area() < l.shapes[smallest].area() {
			smallest = i
		}
	}
	in, err := l.inputOf(smallest)
	if err != nil {
		return err
	}
	err = in.Run(1)
	return err
}

// run works until jobs are closed.
func (l *lane) run(jobs <-chan job) {
	defer l.session.Close() //nolint:errcheck // frees memory; nobody is left to tell
	for first := range jobs {
		l.take(first)
		l.gather(jobs)
		l.infer()
	}
}

// gather fills the batch with what comes from any camera until it is full or the delay is over.
func (l *lane) gather(jobs <-chan job) {
	if l.maxBatch == 1 || len(l.items) == 0 {
		return
	}
	l.timer.Reset(l.delay)
	defer l.timer.Stop()
	for len(l.items) < l.maxBatch {
		select {
		case j, ok := <-jobs:
			if !ok {
				return
			}
			l.take(j)
		case <-l.timer.C:
			return
		}
	}
}

// take prepares the input of a look as the next item. A batch holds one shape: one that has another is run before. A region that cannot
// be prepared fails its own frame only.
func (l *lane) take(j job) {
	f := j.frame
	if f.failed.Load() {
		f.skip(1)
		return
	}
	look := &f.looks[j.look]
	in, err := l.inputOf(look.shape)
	if err != nil {
		f.fail(err)
		f.skip(1)
		return
	}
	if in != l.input {
		l.infer()
		l.input = in
	}
	l.prepare(j, look.region)
}

// prepare makes a region the next item of the batch.
func (l *lane) prepare(j job, r bus.Region) {
	f, started := j.frame, time.Now()
	in := l.input
	transform, err := l.letterbox.Fill(in.item(len(l.items)), in.shape.width, in.shape.height, f.look.Picture, picture.Rect{X: r.X, Y: r.Y, W: r.W, H: r.H})
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
	err := l.input.Run(n)
	if err != nil && n > 1 {
		l.inferEach()
		return
	}
	share := time.Since(started) / time.Duration(n)
	for i := range l.items {
		l.finish(&l.items[i], l.input.outputsOf(i), share, err)
	}
}

// inferEach runs the items of a failed batch one by one, so that a bad one fails alone.
func (l *lane) inferEach() {
	for i := range l.items {
		started := time.Now()
		if i > 0 {
			copy(l.input.item(0), l.input.item(i))
		}
		err := l.input.Run(1)
		l.finish(&l.items[i], l.input.outputsOf(0), time.Since(started), err)
	}
}

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
	f.merger.place(found, it.job.look, it.transform)
	f.add(found, it.prepare, infer+time.Since(started))
}
