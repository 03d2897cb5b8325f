package detect

import (
	"errors"
	"fmt"
	"time"

	"github.com/sightline/sightline/models"
	"github.com/sightline/sightline/pipeline/picture"
)

const (
	// leastPatience is the shortest limit of a run, and slowRun times its measured time the usual one.
	leastPatience = 10 * time.Second
	slowRun       = 50
	// openPatience is how long the first runs of a session may take, and at least how long opening another one may.
	openPatience = 2 * time.Minute
	slowOpen     = 10
	// checkEvery is how often a session is asked about the canary, and checkSoon how soon after a run that failed.
	checkEvery = time.Minute
	checkSoon  = time.Second
)

// seat is the place of a lane's session, which may be taken by another one.
type seat struct {
	*runner
	limit  time.Duration // of a run in the model's own shape
	opened time.Duration // what opening it took
	known  answer        // of the canary, when the first session was new
	steady bool          // whether that can be compared: some networks roll dice
	check  *time.Timer   // fires when the canary's turn has come
	last   time.Time     // of the canary
}

// try has a new session compute what it will be given later, and learns how long that takes and what it answers.
func (l *lane) try() error {
	patience := max(l.cfg.patience, openPatience)
	for _, n := range []int{l.maxBatch, 1} {
		if err := l.seat.run(l.session.Binding, n, patience); err != nil {
			return fmt.Errorf("a batch of %d: %w", n, err)
		}
	}
	var answers [2]answer
	var took time.Duration
	for i := range answers {
		started := time.Now()
		err := l.askCanary(patience)
		if err != nil {
			return err
		}
		took, answers[i] = time.Since(started), answerOf(l.inputs[0].outputsOf(0))
	}
	least := leastPatience
	if l.cfg.patience > 0 {
		least = l.cfg.patience
	}
	l.seat.limit = max(least, slowRun*took*time.Duration(l.maxBatch))
	l.seat.known, l.seat.steady = answers[0], answers[0].compare(answers[1]) == nil
	return nil
}

// askCanary runs the session on the canary's picture alone.
func (l *lane) askCanary(within time.Duration) error {
	in := l.inputs[0]
	if err := l.fillCanary(in, 0, 0); err != nil {
		return err
	}
	return l.seat.run(in.Binding, 1, within)
}

// fillCanary puts the canary's picture, or, for odd numbers, its left half, into an item of an input of the model's own shape.
func (l *lane) fillCanary(in *input, item, number int) error {
	p := canaryPicture()
	part := picture.Rect{W: p.Width / (1 + number%2), H: p.Height}
	if _, err := in.fill(item, l.letterbox, p, part); err != nil {
		return fmt.Errorf("prepare the picture that sessions are checked with: %w", err)
	}
	return nil
}

// patience is how long a run of an input may take.
func (l *lane) patience(in *input) time.Duration {
	return l.seat.limit * time.Duration(max(1, in.shape.area()/l.shapes[0].area()))
}

// checkUp asks the session about the canary, and replaces it where it is ill.
func (l *lane) checkUp() {
	l.health.checks.Add(1)
	l.seat.last = time.Now()
	err := l.askCanary(l.seat.limit)
	if err == nil && l.seat.steady {
		err = l.seat.known.compare(answerOf(l.inputs[0].outputsOf(0)))
	}
	if err != nil {
		l.replace(err)
	}
	l.seat.check.Reset(l.cfg.every())
}

// mind takes care of a session by the error of its last run: one that hangs is replaced, one that failed is checked soon.
func (l *lane) mind(err error) {
	switch {
	case err == nil, l.lost():
	case errors.Is(err, errHung):
		l.replace(err)
	default:
		l.seat.check.Reset(max(0, checkSoon-time.Since(l.seat.last)))
	}
}

// every is how often sessions are checked.
func (c Config) every() time.Duration {
	if c.checkEvery > 0 {
		return c.checkEvery
	}
	return checkEvery
}

// replace puts another session in the place of one that hangs or is ill. Where none can be opened the lane is lost.
func (l *lane) replace(why error) {
	l.health.log.Error("a session of the network is replaced", "model", l.spec.ID(), "cause", why)
	before := l.seat
	if errors.Is(why, errHung) {
		before.leave(l.health.abandon())
	} else {
		l.health.poisoned.Add(1)
		before.leave(nil)
	}
	next, err := l.reopen(max(openPatience, slowOpen*before.opened))
	if err == nil && before.steady {
		err = before.known.compare(next.seat.known)
		if err != nil {
			next.seat.leave(nil)
		}
	}
	if err != nil {
		l.seat.runner = nil
		l.health.lose(fmt.Errorf("%w; another one cannot take its place: %w", why, err))
		return
	}
	l.health.replaced.Add(1)
	check := l.seat.check
	l.session, l.seat, l.inputs, l.input = next.session, next.seat, next.inputs, nil
	l.seat.check, l.seat.known, l.seat.steady = check, before.known, before.steady
}

// lost tells that the lane has no session any more.
func (l *lane) lost() bool { return l.seat.runner == nil }

// reopen opens a session of the same network, which may hang as well.
func (l *lane) reopen(within time.Duration) (*lane, error) {
	type result struct {
		lane *lane
		err  error
	}
	opened := make(chan result, 1)
	go func() {
		next, err := openSame(l.cfg, l.spec, l.shapes, l.health)
		opened <- result{next, err}
	}()
	timer := time.NewTimer(within)
	defer timer.Stop()
	select {
	case r := <-opened:
		return r.lane, r.err
	case <-timer.C:
		go func() { // it may come back after all
			if r := <-opened; r.lane != nil {
				r.lane.close()
			}
		}()
		return nil, fmt.Errorf("opening it takes longer than %v", within)
	}
}

// openSame opens a lane of the network that spec describes, and no other one that has come to lie in its place.
func openSame(cfg Config, spec models.Spec, shapes shapes, h *health) (*lane, error) {
	now, err := models.Load(cfg.Model)
	if err != nil {
		return nil, err
	}
	if now.SHA256 != spec.SHA256 {
		return nil, fmt.Errorf("open model %s: the file is another one by now", cfg.Model)
	}
	return openLane(cfg, spec, shapes, h)
}
