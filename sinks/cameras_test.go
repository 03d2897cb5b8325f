package sinks

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/sightline/sightline/pipeline/bus"
)

func TestCameraListTellsWhatIsHeard(t *testing.T) {
	now := time.Date(2026, 2, 3, 10, 0, 0, 0, time.UTC)
	c := newCameras([]string{"yard"})
	c.now = func() time.Time { return now }
	c.onStatus(&bus.Status{Role: "ingest", ID: "gate", State: "online", Counters: map[string]float64{"fps": 12.5}})
	c.onStatus(&bus.Status{Role: "detect", ID: "worker-1", State: "running"})
	for i := range 20 {
		captured := now
		now = now.Add(50 * time.Millisecond)
		c.onDetections(&bus.Detections{Camera: "gate", Session: "s", Seq: uint64(10 + 2*i), CapturedAt: captured, Frame: bus.Size{Width: 3840, Height: 2160},
			Detector: "big", Model: "yolo@01234567",
			Objects: []bus.Object{{Label: "person"}, {Label: "person"}, {Label: "car"}}})
	}
	list := c.list(map[string]int{"gate": 3})
	if len(list) != 2 || list[0].Name != "gate" || list[1].Name != "yard" {
		t.Fatalf("%+v", list)
	}
	g := list[0]
	if g.State != "online" || g.Width != 3840 || g.Objects != 3 || g.Counts["person"] != 2 || g.Counts["car"] != 1 || g.Detector != "big" || g.Model != "yolo@01234567" || g.Viewers != 3 {
		t.Errorf("%+v", g)
	}
	if g.FPS != 12.5 || g.DetectionFPS != 20 || g.LatencyMS != 50 || g.Dropped != 19 {
		t.Errorf("fps %v, detection fps %v, latency %v, dropped %d", g.FPS, g.DetectionFPS, g.LatencyMS, g.Dropped)
	}
	if list[1].State != "unknown" || list[1].Cause == "" {
		t.Errorf("a camera never heard of: %+v", list[1])
	}
	if text, _ := json.Marshal(list[1]); !json.Valid(text) || string(text[:16]) != `{"name":"yard","` {
		t.Errorf("%s", text)
	}
	now = now.Add(staleAfter + time.Second)
	if g := c.list(nil)[0]; g.State != "unknown" || g.FPS != 0 || g.DetectionFPS != 0 {
		t.Errorf("after silence: %+v", g)
	}
}

func TestCaptureRateComesFromSequenceWhereTheOwnerIsSilent(t *testing.T) {
	now := time.Date(2026, 2, 3, 10, 0, 0, 0, time.UTC)
	c := newCameras(nil)
	c.now = func() time.Time { return now }
	for i := range 10 {
		now = now.Add(100 * time.Millisecond)
		c.onDetections(&bus.Detections{Camera: "gate", Session: "s", Seq: uint64(3 * i), CapturedAt: now})
	}
	if g := c.list(nil)[0]; g.FPS != 30 || g.DetectionFPS != 10 {
		t.Errorf("fps %v, detection fps %v: want 30 and 10", g.FPS, g.DetectionFPS)
	}
}

func TestLateDetectionsAndNewSessions(t *testing.T) {
	c := newCameras(nil)
	for _, m := range []struct {
		session string
		seq     uint64
		objects int
	}{{"a", 5, 1}, {"a", 7, 2}, {"a", 6, 9}, {"b", 1, 4}} {
		c.onDetections(&bus.Detections{Camera: "gate", Session: m.session, Seq: m.seq, CapturedAt: time.Now(), Objects: make([]bus.Object, m.objects)})
	}
	if g := c.list(nil)[0]; g.Objects != 4 || g.Dropped != 1 {
		t.Errorf("%d objects, %d dropped: want those of the new session, and the gap of the old one", g.Objects, g.Dropped)
	}
}

func TestCameraEventsChangeStateAtOnce(t *testing.T) {
	c := newCameras(nil)
	c.onEvent(&bus.Event{Type: bus.EventCameraOffline, Camera: "gate", Cause: "connection refused"})
	c.onEvent(&bus.Event{Type: bus.EventStart, Camera: "other"})
	list := c.list(nil)
	if len(list) != 1 || list[0].State != "offline" || list[0].Cause != "connection refused" {
		t.Fatalf("%+v", list)
	}
	c.onEvent(&bus.Event{Type: bus.EventCameraOnline, Camera: "gate"})
	if g := c.list(nil)[0]; g.State != "online" || g.Cause != "" {
		t.Errorf("%+v", g)
	}
}

func TestCameraListIsBounded(t *testing.T) {
	c := newCameras(nil)
	for i := range maxCameras + 10 {
		c.onDetections(&bus.Detections{Camera: fmt.Sprintf("cam%d", i)})
	}
	c.onDetections(&bus.Detections{Camera: "no.such.name"})
	if n := len(c.list(nil)); n != maxCameras {
		t.Errorf("%d cameras", n)
	}
}
