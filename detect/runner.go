package detect

import (
	"errors"
	"sync/atomic"
	"time"

	"github.com/sightline/sightline/detect/onnx"
)

// errHung is returned by a run that did not come back. What it was given is lost, and its session may not be used any more.
var errHung = errors.New("the network does not come back")

// runSlices is in how many parts a run's limit is waited for: a process that was stopped and goes on has missed one of them, not all.
const runSlices = 10

// runner runs a session in a goroutine of its own, so that a run that does not come back can be left behind: a thread inside the
// library, or inside a device's driver, cannot be ended.
type runner struct {
	session *onnx.Session
	ask     chan run
	answer  chan error // of length 1: nobody may wait for it any more
	ended   chan struct{}
	left    func()        // called at the end of one that was left behind
	spent   *atomic.Int64 // processor time of runs, ns
	timer   *time.Timer
}

// run is a batch to compute.
type run struct {
	binding *onnx.Binding
	items   int
}

func startRunner(session *onnx.Session, spent *atomic.Int64) *runner {
	r := &runner{session: session, spent: spent, ask: make(chan run), answer: make(chan error, 1), ended: make(chan struct{}), timer: time.NewTimer(time.Hour)}
	r.timer.Stop()
	go r.work()
	return r
}

func (r *runner) work() {
	defer close(r.ended)
	for a := range r.ask {
		thread := thisThread()
		before := thread.now()
		err := a.binding.Run(a.items)
		r.spent.Add(int64(thread.now() - before))
		r.answer <- err
	}
	r.session.Close() //nolint:errcheck // frees memory; nobody is left to tell
	if r.left != nil {
		r.left()
	}
}

// run computes the first n items of one of the session's inputs; errHung when that takes longer than it may.
func (r *runner) run(b *onnx.Binding, n int, within time.Duration) error {
	r.ask <- run{b, n}
	for range runSlices {
		r.timer.Reset(within / runSlices)
		select {
		case err := <-r.answer:
			r.timer.Stop()
			return err
		case <-r.timer.C:
		}
	}
	return errHung
}

// close frees the session.
func (r *runner) close() {
	close(r.ask)
	<-r.ended
}

// leave lets the session free itself when its run comes back, if ever; then it calls back.
func (r *runner) leave(back func()) {
	r.left = back
	close(r.ask)
}
