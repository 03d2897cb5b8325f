package ingest

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"

	"github.com/sightline/sightline/ingest/decode"
)

var someFormat = &decode.Parameters{Codec: "h264"}

// unit makes a unit whose only byte is its number.
func unit(n int, key bool) *Unit { return &Unit{Format: someFormat, Data: []byte{byte(n)}, Key: key} }

func TestQueueDropsToTheNextKeyFrameOnOverflow(t *testing.T) {
	q := NewQueue()
	for n := range queueUnits {
		q.Offer(unit(n, n == 0))
	}
	for n := range 5 { // no room: all that waits goes, and these too
		q.Offer(unit(100+n, false))
	}
	q.Offer(unit(110, true))
	q.Offer(unit(111, false))
	q.close(io.ErrUnexpectedEOF)
	var u Unit
	for i, want := range []byte{110, 111} {
		ok, err := q.next(t.Context(), &u)
		if !ok || err != nil || u.Data[0] != want || u.Lost != (i == 0) {
			t.Fatalf("unit %d: %v %v, %v, lost %v", i, ok, err, u.Data, u.Lost)
		}
	}
	if ok, err := q.next(t.Context(), &u); ok || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Fatalf("end: %v, %v", ok, err)
	}
	if n := q.overflowed(); n != queueUnits+5 {
		t.Errorf("%d dropped, want %d", n, queueUnits+5)
	}
	q.Offer(unit(1, true)) // after the end: nothing
	if ok, _ := q.next(t.Context(), &u); ok {
		t.Error("a closed queue took a unit")
	}
}

func TestQueueBoundsBytesAndForgivesStreamsWithoutKeyFrames(t *testing.T) {
	q := NewQueue()
	big := &Unit{Format: someFormat, Data: make([]byte, queueBytes/2+1)}
	q.Offer(big)
	q.Offer(big) // both together are too much
	if n := q.overflowed(); n != 2 {
		t.Fatalf("%d dropped, want 2", n)
	}
	for range queueMaxSkip {
		q.Offer(unit(1, false))
	}
	var u Unit
	if ok, _ := q.next(t.Context(), &u); !ok || !u.Lost {
		t.Errorf("a stream without key frames is never taken up again")
	}
}

func TestQueueMakesFilesWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := NewQueue()
		ctx, cancel := context.WithCancel(t.Context())
		put := make(chan error)
		go func() {
			for n := range 3 * queueUnits {
				if err := q.Put(ctx, unit(n, false)); err != nil {
					put <- err
					return
				}
			}
			put <- nil
		}()
		synctest.Wait()
		var u Unit
		for n := range 3 * queueUnits {
			if ok, err := q.next(ctx, &u); !ok || err != nil || u.Data[0] != byte(n) {
				t.Fatalf("unit %d: %v %v %v", n, ok, err, u.Data)
			}
		}
		if err := <-put; err != nil || q.overflowed() != 0 {
			t.Fatalf("put: %v, %d dropped", err, q.overflowed())
		}
		go func() {
			for {
				if err := q.Put(ctx, unit(0, false)); err != nil {
					put <- err
					return
				}
			}
		}()
		synctest.Wait()
		cancel()
		if err := <-put; !errors.Is(err, context.Canceled) {
			t.Fatalf("put after cancel: %v", err)
		}
	})
}

func TestQueueWaitsForUnits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := NewQueue()
		ctx, cancel := context.WithCancel(t.Context())
		got := make(chan error)
		go func() {
			var u Unit
			for {
				if ok, err := q.next(ctx, &u); !ok {
					got <- err
					return
				}
			}
		}()
		synctest.Wait()
		q.Offer(unit(1, true))
		synctest.Wait()
		cancel()
		if err := <-got; !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
	})
}

func BenchmarkQueue(b *testing.B) {
	q, u, out := NewQueue(), &Unit{Format: someFormat, Data: make([]byte, 40_000)}, Unit{}
	b.ReportAllocs()
	for b.Loop() {
		q.Offer(u)
		if ok, err := q.next(b.Context(), &out); !ok {
			b.Fatal(err)
		}
	}
}

// TestQueueKeepsNoBufferOfAKeyFrameForEachUnit: a file keeps the queue full, and every thirtieth unit is large.
func TestQueueKeepsNoBufferOfAKeyFrameForEachUnit(t *testing.T) {
	q := NewQueue()
	small, large := &Unit{Format: someFormat, Data: make([]byte, 40<<10)}, &Unit{Format: someFormat, Data: make([]byte, 2<<20), Key: true}
	n := 0
	put := func() {
		u := small
		if n++; n%30 == 1 {
			u = large
		}
		q.Offer(u)
	}
	for range queueUnits - 1 {
		put()
	}
	var u Unit
	turn := func() {
		put()
		if ok, err := q.next(t.Context(), &u); !ok || err != nil {
			t.Fatal(ok, err)
		}
	}
	for range 1000 {
		turn()
	}
	held := q.spared + cap(u.Data)
	for _, u := range q.units {
		held += cap(u.Data)
	}
	if q.overflowed() > 0 || held > q.bytes+queueSpare+2<<20 {
		t.Errorf("%d MiB are held for %d, %d dropped", held>>20, q.bytes>>20, q.overflowed())
	}
	if made := testing.AllocsPerRun(300, turn); made > 0 {
		t.Errorf("%v allocations a unit", made)
	}
}
