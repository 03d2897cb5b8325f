package ingest

import (
	"cmp"
	"math/rand/v2"
	"time"
)

const (
	shortestWait = 500 * time.Millisecond
	longestWait  = 8 * time.Second
	refusedWait  = time.Minute // after a refused password, so that the camera does not lock us out
	// A connection that was good for so long starts the back-off anew.
	goodConnection = 5 * time.Second
)

// backoff says how long to wait before the next connection.
type backoff struct {
	attempt int
	first   time.Duration // 0 = shortestWait
}

// wait returns the time to wait after a connection that gave pictures for the time given (0: none) and ended by an error of
// class. Up to a quarter is added at random, so that cameras behind one switch do not come back all at once.
func (b *backoff) wait(class Class, good time.Duration) time.Duration {
	if good >= goodConnection {
		b.attempt = 0
	}
	if class == Closed && good > 0 {
		b.attempt = 0
		return 0
	}
	b.attempt++
	d := min(cmp.Or(b.first, shortestWait)<<min(b.attempt-1, 10), longestWait)
	if class == Unauthorized && b.attempt > 1 {
		d = refusedWait
	}
	return d + rand.N(d/4)
}
