package bus

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"
)

func frameFor(detector, camera string, seq uint64) *Frame {
	f := jpegFrame(camera, seq)
	f.Detector = detector
	return f
}

// pullDetector is newPuller for the frames of some detectors.
func pullDetector(t testing.TB, c *Conn, detectors ...string) *FramePuller {
	t.Helper()
	p, err := c.PullFrames(deadline(t), "pool", detectors...)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// nothing wants that no frame comes to a puller.
func nothing(t testing.TB, p *FramePuller) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if f, err := p.Next(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got frame %d of %s for %q, %v", f.Seq, f.Camera, f.Detector, err)
	}
}

func publish(t testing.TB, c *Conn, f *Frame) {
	t.Helper()
	if err := c.PublishFrame(t.Context(), f); err != nil {
		t.Fatal(err)
	}
}

// TestFramesReachTheirDetectorOnly: what names none goes to those who take such frames, what nobody takes to nobody.
func TestFramesReachTheirDetectorOnly(t *testing.T) {
	s := newBroker(t, "127.0.0.1:0")
	owner := connect(t, Config{Server: s})
	pullers := map[string]*FramePuller{
		"":      pullDetector(t, connect(t, Config{URL: s.ClientURL()})),
		"big":   pullDetector(t, connect(t, Config{URL: s.ClientURL()}), "big"),
		"small": pullDetector(t, connect(t, Config{URL: s.ClientURL()}), "small"),
	}
	publish(t, owner, frameFor("nobody", "lost", 1))
	for i, detector := range []string{"big", "", "small"} {
		publish(t, owner, frameFor(detector, fmt.Sprintf("cam-%d", i), 1))
	}
	stored(t, owner, 4)
	for detector, p := range pullers {
		if f, err := p.Next(deadline(t)); err != nil || f.Detector != detector {
			t.Fatalf("%q got %+v, %v", detector, f, err)
		}
		nothing(t, p)
	}
}

// TestPullersOfADetectorShare: of two, also where one takes other frames too, each frame reaches one.
func TestPullersOfADetectorShare(t *testing.T) {
	s := newBroker(t, "127.0.0.1:0")
	owner := connect(t, Config{Server: s})
	one := pullDetector(t, connect(t, Config{URL: s.ClientURL()}), "big")
	both := pullDetector(t, connect(t, Config{URL: s.ClientURL()}), "big", "")
	publish(t, owner, frameFor("big", "gate", 1))
	stored(t, owner, 1)
	if f, err := both.Next(deadline(t)); err != nil || f.Camera != "gate" {
		t.Fatalf("%+v, %v", f, err)
	}
	nothing(t, one)
	publish(t, owner, frameFor("", "gate", 2))
	stored(t, owner, 2)
	if f, err := both.Next(deadline(t)); err != nil || f.Seq != 2 {
		t.Fatalf("%+v, %v", f, err)
	}
	nothing(t, one)
}

// TestACameraChangesItsDetector: there and back, each frame reaches the one that it is for, and no frame that was replaced comes late.
func TestACameraChangesItsDetector(t *testing.T) {
	s := newBroker(t, "127.0.0.1:0")
	owner := connect(t, Config{Server: s})
	pullers := map[string]*FramePuller{"": pullDetector(t, owner), "big": pullDetector(t, connect(t, Config{URL: s.ClientURL()}), "big")}
	for seq, detector := range []string{"", "big", "big", "", "", "big"} {
		if seq%2 == 0 {
			other := map[string]string{"": "big", "big": ""}[detector]
			publish(t, owner, frameFor(other, "gate", 100+uint64(seq))) // is replaced before anybody asks
			stored(t, owner, uint64(seq)/2+uint64(seq)+1)
		}
		publish(t, owner, frameFor(detector, "gate", uint64(seq)))
		stored(t, owner, uint64(seq)/2+uint64(seq)+2)
		if f, err := pullers[detector].Next(deadline(t)); err != nil || f.Seq != uint64(seq) || f.Detector != detector {
			t.Fatalf("frame %d: got %+v, %v", seq, f, err)
		}
	}
	for _, p := range pullers {
		nothing(t, p)
	}
}
