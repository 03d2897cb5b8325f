package detect

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestSecondLooksGoFirst: the last looks at a frame do not wait for those at the next one.
func TestSecondLooksGoFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := newJobs()
		go func() {
			for i := range 10 {
				j.first <- job{region: i}
			}
			close(j.first)
		}()
		synctest.Wait()
		go func() {
			for i := range 10 {
				j.second <- job{region: 100 + i}
			}
		}()
		for i := range 20 {
			synctest.Wait()
			want := 100 + i
			if i >= 10 {
				want = i - 10
			}
			if next, got, more := j.next(nil); next.region != want || !got || !more {
				t.Errorf("job %d is region %d, %v, %v; want %d", i, next.region, got, more, want)
			}
		}
		if _, got, more := j.next(nil); got || more {
			t.Error("there are more after the end")
		}
		if _, got, more := newJobs().next(time.After(time.Second)); got || !more {
			t.Error("did not go to do something else")
		}
	})
}
