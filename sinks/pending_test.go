package sinks

import "testing"

func put(p *pending, session string, seq uint64) *shot {
	s := p.take()
	s.session, s.seq = session, seq
	p.add(s)
	return s
}

func found(session string, seq uint64) *finding {
	return &finding{session: session, seq: seq}
}

func TestPicturesMeetTheirDetections(t *testing.T) {
	var p pending
	for seq := range uint64(5) {
		put(&p, "a", seq)
	}
	if p.next() != nil {
		t.Fatal("a picture without detections came out")
	}
	if !p.match(found("a", 2)) || !p.match(found("a", 3)) || p.match(found("b", 4)) {
		t.Fatal("detections met the wrong pictures")
	}
	for _, want := range []uint64{2, 3} {
		if s := p.next(); s == nil || s.seq != want || s.found.seq != want {
			t.Fatalf("got %+v, want seq %d", s, want)
		}
	}
	if p.next() != nil || len(p.waiting) != 1 || p.skipped != 2 {
		t.Errorf("%d waiting, %d skipped: want picture 4 to wait and 0, 1 to be given up", len(p.waiting), p.skipped)
	}
}

func TestDetectionsMayComeBeforeTheirPicture(t *testing.T) {
	var p pending
	for seq := range uint64(earlyDetections + 3) {
		p.match(found("a", seq))
	}
	s := p.take()
	s.session, s.seq = "a", earlyDetections
	if !p.add(s) || p.next() != s {
		t.Error("early detections were lost")
	}
	s = p.take()
	s.session, s.seq = "a", 0
	if p.add(s) {
		t.Error("the oldest early detections should have made room")
	}
}

func TestPendingIsBoundedAndKeepsTheNewest(t *testing.T) {
	var p pending
	for seq := range uint64(3 * pendingShots) {
		put(&p, "a", seq)
	}
	if p.made != pendingShots || len(p.waiting) != pendingShots || p.skipped != 2*pendingShots {
		t.Fatalf("%d made, %d waiting, %d skipped", p.made, len(p.waiting), p.skipped)
	}
	s := p.newest()
	if s.seq != 3*pendingShots-1 || len(p.waiting) != 0 || len(p.free) != pendingShots-1 {
		t.Errorf("newest is %d, %d waiting, %d free", s.seq, len(p.waiting), len(p.free))
	}
	p.release(s)
	if p.newest() != nil {
		t.Error("a picture came from nowhere")
	}
}

func TestPendingAllocatesNothingInSteadyState(t *testing.T) {
	var p pending
	seq := uint64(0)
	d := found("a", 0)
	step := func() {
		for range 4 {
			seq++
			put(&p, "a", seq)
		}
		d.seq = seq - 1
		p.match(d)
		p.release(p.next())
	}
	for range 100 {
		step()
	}
	if n := testing.AllocsPerRun(100, step); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestViewerBeginsWithAKeyFrame(t *testing.T) {
	v := newWatcher()
	delta, key := &accessUnit{}, &accessUnit{key: true}
	v.offer(delta)
	if len(v.units) != 0 {
		t.Fatal("a viewer got a picture that needs another one")
	}
	v.offer(key)
	for range viewerQueue - 1 {
		if !v.offer(delta) {
			t.Fatal("the queue is full too early")
		}
	}
	if v.offer(delta) {
		t.Fatal("a full queue took a picture")
	}
	<-v.units
	v.offer(delta) // needs what was lost
	if len(v.units) != viewerQueue-1 {
		t.Error("after a loss a viewer must wait for a key frame")
	}
	if !v.offer(key) || len(v.units) != viewerQueue {
		t.Error("a key frame was not taken after a loss")
	}
}
