package detect

import "time"

// job is one region of one frame.
type job struct {
	frame  *frame
	region int
}

// jobs are where lanes take regions from. Both are unbuffered: waiting frames take turns, region by region. Second looks go before first
// ones: their frame is older, and nothing else of it is left to do.
type jobs struct{ first, second chan job }

func newJobs() jobs { return jobs{make(chan job), make(chan job)} }

// next waits for a region until something else is to be done, or there will be no more.
func (j jobs) next(other <-chan time.Time) (next job, got, more bool) {
	select {
	case next = <-j.second:
		return next, true, true
	default:
	}
	select {
	case next = <-j.second:
		return next, true, true
	case next, more = <-j.first:
		return next, more, more
	case <-other:
		return job{}, false, true
	}
}
