package track

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/sightline/sightline/pipeline/bus"
)

const (
	storeEvery = 200 * time.Millisecond // shortest time between two rounds of storing: what a crash can lose
	retryEvery = time.Second            // between two attempts at what failed
	loadTime   = 5 * time.Second        // for the stored totals before tracking begins without them
	sayEvery   = 10 * time.Second       // between two lines of the log about a failure
	flushTime  = 2 * time.Second        // for the last totals, at the end
)

// ledger keeps the totals of all lines beyond the life of the process. Counting only touches memory; one goroutine loads and
// stores, so no broker that is away holds up tracking, and no older total replaces a newer one. It stores what changed, a few
// times a second at most: with every crossing would write a busy street's totals as often as its events, to save a fifth of a
// second of them in a crash.
type ledger struct {
	conn *bus.Conn
	log  *slog.Logger
	wake chan struct{}

	mu       sync.Mutex // protects what follows
	accounts map[string]*account
	changed  chan struct{} // closed and made anew when an account was loaded
	said     time.Time
}

// account holds the totals of one camera.
type account struct {
	loaded bool
	dirty  bool
	wanted []Line                // those that are configured
	lines  map[string]bus.Totals // also of others; until loaded: what was counted since the process began
}

func newLedger(conn *bus.Conn, log *slog.Logger) *ledger {
	return &ledger{conn: conn, log: log, wake: make(chan struct{}, 1), accounts: map[string]*account{}, changed: make(chan struct{})}
}

// follow says which lines there are. Totals of others stay stored: who takes a line out for a while does not lose its count.
func (l *ledger) follow(scenes map[string]Scene) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, a := range l.accounts {
		a.wanted = nil
	}
	for camera, s := range scenes {
		if len(s.Lines) > 0 {
			l.account(camera).wanted = s.Lines
		}
	}
	l.poke()
}

// account gives that of a camera; l.mu is held.
func (l *ledger) account(camera string) *account {
	a := l.accounts[camera]
	if a == nil {
		a = &account{lines: map[string]bus.Totals{}}
		l.accounts[camera] = a
	}
	return a
}

func (l *ledger) poke() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// count adds a crossing and gives the totals with it; nil while the stored ones are not known.
func (l *ledger) count(camera, line string, d bus.Direction) *bus.Totals {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.account(camera)
	totals := a.lines[line]
	if d == bus.DirectionIn {
		totals.In++
	} else {
		totals.Out++
	}
	a.lines[line], a.dirty = totals, true
	l.poke()
	if !a.loaded {
		return nil
	}
	return &totals
}

// totals gives those of all lines of a camera, nil while the stored ones are not known.
func (l *ledger) totals(camera string) map[string]bus.Totals {
	l.mu.Lock()
	defer l.mu.Unlock()
	if a := l.accounts[camera]; a != nil && a.loaded {
		return maps.Clone(a.lines)
	}
	return nil
}

// run loads and stores until ctx ends, and then stores what is left.
func (l *ledger) run(ctx context.Context) {
	for ctx.Err() == nil {
		pause := storeEvery
		if !l.round(ctx) {
			pause = retryEvery
			l.poke()
		}
		l.rest(ctx, pause)
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushTime)
	defer cancel()
	if !l.round(last) {
		l.log.Error("the last counts of lines could not be stored")
	}
}

// rest returns after the pause, as soon as there is something to do, or when ctx ends.
func (l *ledger) rest(ctx context.Context, pause time.Duration) {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return
	case <-timer.C:
	}
	select {
	case <-ctx.Done():
	case <-l.wake:
	}
}

// round loads what is not loaded and stores what changed, once each; false where something failed.
func (l *ledger) round(ctx context.Context) bool {
	ok := true
	for _, camera := range l.cameras() {
		if err := errors.Join(l.load(ctx, camera), l.store(ctx, camera)); err != nil {
			ok = false
			l.warn(camera, err)
		}
		if ctx.Err() != nil {
			return false
		}
	}
	return ok
}

func (l *ledger) cameras() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	maps.DeleteFunc(l.accounts, func(_ string, a *account) bool { return len(a.wanted) == 0 && !a.dirty })
	return slices.Sorted(maps.Keys(l.accounts))
}

// load adds the stored totals to what was counted meanwhile. What is stored and cannot be read is given up, loudly.
func (l *ledger) load(ctx context.Context, camera string) error {
	if l.knows(camera) {
		return nil
	}
	stored, err := l.conn.LoadCounts(ctx, camera)
	if errors.Is(err, bus.ErrUnreadable) {
		l.log.Error("the stored counts cannot be read, counting begins anew", "camera", camera, "cause", err)
	} else if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.account(camera).add(stored)
	close(l.changed)
	l.changed = make(chan struct{})
	return nil
}

func (l *ledger) knows(camera string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.account(camera).loaded
}

// add takes in what was stored before the process began; nil is nothing.
func (a *account) add(stored *bus.Counts) {
	a.loaded = true
	if stored == nil {
		return
	}
	for line, before := range stored.Lines {
		since := a.lines[line]
		a.lines[line] = bus.Totals{In: before.In + since.In, Out: before.Out + since.Out}
	}
}

// store puts what changed into the broker's files.
func (l *ledger) store(ctx context.Context, camera string) error {
	counts := l.take(camera)
	if counts == nil {
		return nil
	}
	err := l.conn.StoreCounts(ctx, counts)
	if err != nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.account(camera).dirty = true
	}
	return err
}

// take gives the totals that are to be stored, nil for none.
func (l *ledger) take(camera string) *bus.Counts {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.account(camera)
	if !a.loaded || !a.dirty {
		return nil
	}
	a.dirty = false
	a.prune()
	return &bus.Counts{Camera: camera, At: time.Now(), Lines: maps.Clone(a.lines)}
}

// prune forgets lines that are no longer configured, where all are too many to store.
func (a *account) prune() {
	if len(a.lines) <= bus.MaxKeptLines {
		return
	}
	maps.DeleteFunc(a.lines, func(name string, _ bus.Totals) bool {
		return !slices.ContainsFunc(a.wanted, func(l Line) bool { return l.Name == name })
	})
}

// ready returns when all totals are loaded, or when ctx ends.
func (l *ledger) ready(ctx context.Context) {
	for {
		changed, missing := l.missing()
		if missing == 0 {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			l.log.Warn("tracking begins before the stored counts could be read; crossings are counted, their totals follow", "cameras", missing)
			return
		}
	}
}

// missing counts the accounts that are not loaded; the channel is closed when that may have changed.
func (l *ledger) missing() (changed <-chan struct{}, n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, a := range l.accounts {
		if !a.loaded {
			n++
		}
	}
	return l.changed, n
}

func (l *ledger) warn(camera string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now := time.Now(); now.Sub(l.said) >= sayEvery {
		l.said = now
		l.log.Warn("counts of lines are not stored, trying again", "camera", camera, "cause", err)
	}
}
