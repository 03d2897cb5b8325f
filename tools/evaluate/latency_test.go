package evaluate

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"
	"time"
)

// runner takes a time by round and notes when it ran.
func runner(name string, log *strings.Builder, took func(round int) time.Duration) contestant {
	return func(round int) (time.Duration, error) {
		log.WriteString(name)
		return took(round), nil
	}
}

func TestModelsTakeTurns(t *testing.T) {
	var log strings.Builder
	// The machine gets ten times slower in the middle: medians of times hardly see the difference, ratios do.
	slow := func(round int) time.Duration {
		if round >= 3 {
			return 10
		}
		return 1
	}
	last := 0
	list, err := alternate(t.Context(), []contestant{
		runner("a", &log, func(r int) time.Duration { return 4 * slow(r) * time.Millisecond }),
		runner("b", &log, func(r int) time.Duration { return 2 * slow(r) * time.Millisecond }),
		runner("c", &log, func(r int) time.Duration { return time.Duration(4+r) * slow(r) * time.Millisecond }),
	}, 5, func(done, total int) {
		if total != 5 || done < last {
			t.Errorf("progress %d of %d after %d", done, total, last)
		}
		last = done
	})
	if err != nil {
		t.Fatal(err)
	}
	if want := strings.Repeat("abccba", 4); log.String() != want {
		t.Errorf("order %s, want %s: three rounds to warm up and five, every second backwards", &log, want)
	}
	near := func(got, want Latency) {
		t.Helper()
		for i, d := range []float64{got.Milliseconds - want.Milliseconds, got.Faster - want.Faster, got.Low - want.Low, got.High - want.High} {
			if math.Abs(d) > 1e-9 {
				t.Errorf("figure %d: %+v, want %+v", i, got, want)
			}
		}
	}
	near(list[0], Latency{4, 1, 1, 1})
	near(list[1], Latency{2, 2, 2, 2})
	near(list[2], Latency{6, 4. / 6, 4. / 7, 4. / 5})
	if last != 5 {
		t.Errorf("progress ended at %d", last)
	}
}

func TestRaceStops(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	broken := errors.New("broken")
	quiet := func(int, int) {}
	_, err := alternate(ctx, []contestant{func(int) (time.Duration, error) { return 1, broken }}, 5, quiet)
	if !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
	ran := 0
	_, err = alternate(ctx, []contestant{func(int) (time.Duration, error) { ran++; cancel(); return 1, nil }}, 5, quiet)
	if !errors.Is(err, context.Canceled) || ran != 1 {
		t.Errorf("%v after %d runs", err, ran)
	}
}
