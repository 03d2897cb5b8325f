package sinks

import (
	"testing"
	"time"

	"github.com/pion/rtp/codecs"
	"github.com/sightline/sightline/pipeline/picture"
)

func TestTimestampsFollowCaptureTimes(t *testing.T) {
	t0 := time.Date(2026, 2, 3, 10, 0, 0, 0, time.UTC)
	ms := time.Millisecond
	var c mediaClock
	for i, step := range []struct {
		captured, want time.Duration
		why            string
	}{
		{0, 0, "the first"},
		{80 * ms, 80 * ms, "distances are kept"},
		{80 * ms, 81 * ms, "the same picture again"},
		{120 * ms, 120 * ms, "back to the capture times"},
		{30 * time.Second, 30 * time.Second, "a pause is a pause"},
		{-time.Hour, 30*time.Second + 40*ms, "a new session with another clock"},
		{-time.Hour + 40*ms, 30*time.Second + 80*ms, "which goes on"},
		{24 * time.Hour, 30*time.Second + 120*ms, "a leap"},
	} {
		if got := c.at(t0.Add(step.captured)); got != step.want {
			t.Errorf("step %d, %s: %v, want %v", i, step.why, got, step.want)
		}
	}
}

func grey(w, h int, y byte) *picture.I420 {
	p := picture.New(w, h)
	fill(p.Y, y)
	fill(p.U, 128)
	fill(p.V, 128)
	return p
}

func fill(b []byte, v byte) {
	for i := range b {
		b[i] = v
	}
}

func TestStreamGoesOnAcrossSizes(t *testing.T) {
	s := newStream("")
	defer s.close()
	at := time.Unix(1000, 0)
	var last uint16
	var lastTime uint32
	for i, size := range [][2]int{{320, 180}, {320, 180}, {640, 360}, {640, 360}, {320, 180}} {
		u, err := s.encode(grey(size[0], size[1], 100), at.Add(time.Duration(i)*40*time.Millisecond), false)
		if err != nil || u == nil {
			t.Fatalf("picture %d: %v %v", i, u, err)
		}
		if want := i != 1 && i != 3; u.key != want {
			t.Errorf("picture %d: key %v, want %v", i, u.key, want)
		}
		first, end := u.packets[0].Header, u.packets[len(u.packets)-1].Header
		if i > 0 && (first.SequenceNumber != last+1 || first.Timestamp-lastTime != 3600) {
			t.Errorf("picture %d: sequence %d after %d, %d ticks after the last", i, first.SequenceNumber, last, first.Timestamp-lastTime)
		}
		if !end.Marker {
			t.Errorf("picture %d: no marker on its last packet", i)
		}
		last, lastTime = end.SequenceNumber, end.Timestamp
	}
}

func TestKeyFramesStartWithParameterSets(t *testing.T) {
	s := newStream("")
	defer s.close()
	u, err := s.encode(grey(320, 180, 50), time.Unix(0, 0), false)
	if err != nil {
		t.Fatal(err)
	}
	nal, err := (&codecs.H264Packet{}).Unmarshal(u.packets[0].Payload)
	if err != nil || len(nal) < 5 || nal[4]&31 != 7 {
		t.Errorf("first packet: %x %v, want a sequence parameter set", nal[:min(8, len(nal))], err)
	}
	for i := range u.packets {
		if n := len(u.packets[i].Payload); n > maxPayload {
			t.Errorf("packet %d has %d bytes", i, n)
		}
	}
}

func TestMissingEncoderIsNamed(t *testing.T) {
	s := newStream("no_such_encoder")
	if _, err := s.encode(grey(320, 180, 50), time.Unix(0, 0), false); err == nil {
		t.Error("an encoder that does not exist encoded")
	}
}
