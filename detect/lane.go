package detect

import (
	"errors"
	"fmt"
	"time"

	"github.com/sightline/sightline/detect/onnx"
	"github.com/sightline/sightline/models"
	"github.com/sightline/sightline/pipeline/picture"
)

// lane is one goroutine with a session of its own and all the scratch that it needs.
type lane struct {
	cfg       Config
	spec      models.Spec
	health    *health
	session   *onnx.Session // of the seat; others run it by the seat alone
	seat      seat
	letterbox *picture.Letterboxer
	decoder   *decoder
	maxBatch  int
	delay     time.Duration
	timer     *time.Timer
	items     []item      // of the batch at hand
	inputSize int         // numbers of one item
	outputs   [][]float32 // of one item; see outputsOf
}

// item is one region in a batch.
type item struct {
	job       job
	transform picture.Transform
	prepare   time.Duration
}

func newLane(cfg Config, spec models.Spec, session *onnx.Session, h *health) *lane {
	n := cfg.batch(spec)
	l := spec.Layout
	timer := time.NewTimer(time.Hour)
	timer.Stop()
	return &lane{
		cfg: cfg, spec: spec, health: h, session: session, seat: seat{runner: startRunner(session)}, maxBatch: n, delay: cfg.MaxQueueDelay, timer: timer,
		letterbox: picture.NewLetterboxer(picture.Layout{RGB: l.RGB, Scale: l.Scale, Centre: l.Centre, Fill: l.Fill}),
		decoder:   newDecoder(spec, cfg.thresholds(spec.Labels), cfg.iou()),
		items:     make([]item, 0, n),
		inputSize: len(session.Input()) / n, outputs: make([][]float32, len(session.Outputs())),
	}
}

// run works until jobs are closed or the lane is lost. The canary's first turn comes after some time, that of each lane after another.
func (l *lane) run(jobs <-chan job, firstCheck time.Duration) {
	defer l.close()
	l.seat.check = time.NewTimer(firstCheck)
	defer l.seat.check.Stop()
	for !l.lost() {
		select {
		case first, ok := <-jobs:
			if !ok {
				return
			}
			l.items = l.items[:0]
			l.take(first)
			l.gather(jobs)
			l.infer()
		case <-l.seat.check.C:
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

// take prepares the input of a region as the next item. A region that cannot be prepared fails its own frame only.
func (l *lane) take(j job) {
	f := j.frame
	if f.failed.Load() {
		f.skip(1)
		return
	}
	started := time.Now()
	r := f.regions[j.region]
	n := len(l.items)
	input := l.session.Input()[n*l.inputSize : (n+1)*l.inputSize]
	transform, err := l.letterbox.Fill(input, l.spec.Width, l.spec.Height, f.look.Picture, picture.Rect{X: r.X, Y: r.Y, W: r.W, H: r.H})
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

// infer runs the batch and hands out what was found.
func (l *lane) infer() {
	n := len(l.items)
	if n == 0 {
		return
	}
	started := time.Now()
	err := l.seat.run(n, l.seat.limit)
	if err != nil && n > 1 && !errors.Is(err, errHung) {
		l.inferEach()
		return
	}
	share := time.Since(started) / time.Duration(n)
	for i := range l.items {
		l.finish(&l.items[i], l.outputsOf(i), share, err)
	}
	l.mind(err)
}

// inferEach runs the items of a failed batch one by one, so that a bad one fails alone. The session may be replaced on the way.
func (l *lane) inferEach() {
	input := l.session.Input()
	for i := range l.items {
		started := time.Now()
		copy(l.session.Input()[:l.inputSize], input[i*l.inputSize:(i+1)*l.inputSize])
		err := errLost
		if !l.lost() {
			err = l.seat.run(1, l.seat.limit)
		}
		l.finish(&l.items[i], l.outputsOf(0), time.Since(started), err)
		l.mind(err)
	}
}

// errLost is the end of frames whose lane has no session any more.
var errLost = errors.New("the session is lost")

// outputsOf cuts the outputs of one item out of the batch; valid until the next call.
func (l *lane) outputsOf(item int) [][]float32 {
	for i, all := range l.session.Outputs() {
		size := len(all) / l.maxBatch
		l.outputs[i] = all[item*size : (item+1)*size]
	}
	return l.outputs
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
	found := l.decoder.decode(outputs)
	f.merger.place(found, it.job.region, it.transform)
	f.add(found, it.prepare, infer+time.Since(started))
}
