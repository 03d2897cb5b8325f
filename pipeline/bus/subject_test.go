package bus

import (
	"strings"
	"testing"
)

func TestValidateCamera(t *testing.T) {
	for _, name := range []string{"gate", "A-1_b", strings.Repeat("x", 64)} {
		if err := ValidateCamera(name); err != nil {
			t.Error(err)
		}
	}
	for _, name := range []string{"", "a.b", "a b", "*", ">", "ä", "a/b", "a\n", strings.Repeat("x", 65)} {
		if ValidateCamera(name) == nil {
			t.Errorf("camera %q was accepted", name)
		}
	}
}

func TestSubjects(t *testing.T) {
	s, err := NewSubjects("acme.berlin.sightline")
	if err != nil {
		t.Fatal(err)
	}
	for got, want := range map[string]string{
		s.Frames("gate"):  "acme.berlin.sightline.frames.gate",
		s.Packets("gate"): "acme.berlin.sightline.packets.gate",
		s.Detections("*"): "acme.berlin.sightline.detections.*",
		s.Tracks("gate"):  "acme.berlin.sightline.tracks.gate",
		s.Event("gate", "traffic light", EventStart):    "acme.berlin.sightline.events.gate.traffic_light.start",
		s.Event("gate", "", EventEnd):                   "acme.berlin.sightline.events.gate._.end",
		s.Event("gate", "a.*>ä", EventEnd):              "acme.berlin.sightline.events.gate.a____.end",
		s.Event("gate", CameraLabel, EventCameraOnline): "acme.berlin.sightline.events.gate.camera.camera_online",
		s.Events("gate"):                                "acme.berlin.sightline.events.gate.>",
		s.Status("ingest", "gate"):                      "acme.berlin.sightline.status.ingest.gate",
		s.stream(streamFrames):                          "FRAMES~acme~berlin~sightline",
		Subjects{DefaultPrefix}.stream(streamFrames):    "FRAMES",
	} {
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestNewSubjectsRefuses(t *testing.T) {
	for _, prefix := range []string{".", "a.", ".a", "a..b", "a.*", "a.>", "a b", strings.Repeat("a.", 80) + "a"} {
		if _, err := NewSubjects(prefix); err == nil {
			t.Errorf("prefix %q was accepted", prefix)
		}
	}
	if s, err := NewSubjects(""); err != nil || s.Prefix() != DefaultPrefix {
		t.Errorf("no prefix: got %q, %v", s.Prefix(), err)
	}
}
