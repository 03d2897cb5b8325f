package detect

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/sightline/sightline/pipeline/bus"
)

// TestFramesWaitWhereTheyAreReplaced: while the lanes are busy a worker takes no more frames than keep them so, and gets the newest
// when they are free.
func TestFramesWaitWhereTheyAreReplaced(t *testing.T) {
	w, p := startWorker(t)
	pic := paint(640, 360, block{0, 100, 60, 120, 90})
	entered, leave, left := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() { // holds the only lane
		_, err := w.Engine().Detect(context.Background(), Look{Picture: pic, Valid: func() bool { close(entered); <-leave; return true }})
		left <- err
	}()
	<-entered
	yard := make(chan uint64, 100)
	sub, err := p.conn.SubscribeDetections("yard", func(d *bus.Detections) { yard <- d.Seq })
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Close()
	body, err := p.jpeg.Encode(pic, nil)
	if err != nil {
		t.Fatal(err)
	}
	const last = 20
	publish := func(camera string) {
		f := p.frame(bus.EncodingJPEG)
		f.Camera, f.Body = camera, body
		if err := p.conn.PublishFrame(t.Context(), f); err != nil {
			t.Fatal(err)
		}
		until(t, "the frame is out", func() bool { return p.conn.Stats().FramesPublished == p.seq })
	}
	publish("gate")
	until(t, "the first frame waits for the lane", func() bool { return p.conn.Stats().Received == 1 })
	for p.seq < last {
		publish("yard")
	}
	close(leave)
	if err := <-left; err != nil {
		t.Error(err)
	}
	if seq := <-yard; seq != last {
		t.Errorf("frame %d was detected, want the newest, %d", seq, last)
	}
}

func TestBacklog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBacklog()
		b.give(3)
		through := make(chan error, 1)
		ctx, cancel := context.WithCancel(t.Context())
		wait := func() { through <- b.below(ctx, 2) }
		go wait()
		b.take(1)
		if synctest.Wait(); len(through) != 0 {
			t.Error("did not wait for two regions")
		}
		b.take(1)
		if err := <-through; err != nil {
			t.Error(err)
		}
		b.give(5)
		go wait()
		cancel()
		if err := <-through; err == nil {
			t.Error("did not end with its context")
		}
	})
}
