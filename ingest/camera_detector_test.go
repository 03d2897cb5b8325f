package ingest

import (
	"testing"

	"github.com/sightline/sightline/ingest/decode/testclip"
	"github.com/sightline/sightline/pipeline/bus"
)

// TestACameraIsGivenToAnotherDetector in its running session: its frames name it, in order, and its state what concerns it.
func TestACameraIsGivenToAnotherDetector(t *testing.T) {
	t.Parallel()
	log := &logged{}
	conn := connect(t, log)
	frames := make(chan *bus.Frame, 1000)
	sub, err := conn.SubscribeFrames("gate", func(f *bus.Frame) { frames <- f })
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Close()
	cam := newCamera(t, conn, log, CameraConfig{
		Source: testclip.Counter(t, "clip.mp4", 25, 25, testclip.Lossless), Loop: true, Detector: "big",
	})
	stop := run(t, cam)
	first := <-frames
	for _, next := range []string{"small", ""} {
		before := cam.Detector()
		if err := cam.SetDetector(next); err != nil {
			t.Fatal(err)
		}
		f := <-frames
		for ; f.Detector == before; f = <-frames {
		}
		if f.Detector != next || f.Session != first.Session {
			t.Errorf("frame %d is for %q in session %s", f.Seq, f.Detector, f.Session)
		}
	}
	if first.Detector != "big" {
		t.Errorf("the first frame is for %q", first.Detector)
	}
	if err := cam.SetDetector("a.b"); err == nil || cam.Detector() != "" {
		t.Errorf("%v; the detector is %q", err, cam.Detector())
	}
	cam.SetConcern("nobody looks")
	if s := cam.Stats(); s.State != StateOnline || s.Cause != "nobody looks" {
		t.Errorf("%+v", s)
	}
	cam.SetConcern("")
	if s := cam.Stats(); s.Cause != "" {
		t.Errorf("%+v", s)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}
