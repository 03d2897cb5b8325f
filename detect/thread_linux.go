package detect

import (
	"time"

	"golang.org/x/sys/unix"
)

// threadClock counts the processor time of one thread; it can be read from any other.
type threadClock int32

// thisThread is the clock of the thread that the goroutine runs on: a call into C stays on it, however long it takes.
func thisThread() threadClock {
	const perThread, scheduler = 4, 2 // as clock_getcpuclockid makes them
	return threadClock(^unix.Gettid()<<3 | perThread | scheduler)
}

// now is what the thread has taken, 0 where that cannot be told.
func (c threadClock) now() time.Duration {
	var t unix.Timespec
	if unix.ClockGettime(int32(c), &t) != nil {
		return 0
	}
	return time.Duration(t.Nano())
}
