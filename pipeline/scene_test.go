package pipeline

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/sightline/sightline/detect/track"
)

const site = `
objects: {track: [person, car]}
cameras:
  gate:
    source: gate.mp4
    objects: {track: [person], filters: {person: {min_score: 0.6}}}
    zones:
      yard: {coordinates: [[0, 0.5], [1, 0.5], [1, 1], [0, 1]], labels: [person], inertia: 5, loitering_time: 2s}
      all: {coordinates: [[0, 0], [1, 0], [1, 1], [0, 1]]}
    lines:
      door: {coordinates: [[0.5, 1], [0.5, 0]], labels: [person]}
    masks:
      screen: {coordinates: [[0.8, 0], [1, 0], [1, 0.2]]}
  plain: {source: plain.mp4}
`

func TestPlacesOfACameraReachTheTracker(t *testing.T) {
	cfg, err := Parse("x.yml", []byte(site))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]track.Scene{"gate": {
		Zones: []track.Zone{
			{Name: "all", Area: track.Polygon{{X: 0, Y: 0}, {X: 1, Y: 0}, {X: 1, Y: 1}, {X: 0, Y: 1}}, Inertia: track.DefaultInertia},
			{Name: "yard", Area: track.Polygon{{X: 0, Y: 0.5}, {X: 1, Y: 0.5}, {X: 1, Y: 1}, {X: 0, Y: 1}}, Labels: []string{"person"},
				Inertia: 5, Loitering: 2 * time.Second},
		},
		Lines:   []track.Line{{Name: "door", From: track.Point{X: 0.5, Y: 1}, To: track.Point{X: 0.5, Y: 0}, Labels: []string{"person"}}},
		Masks:   []track.Polygon{{{X: 0.8, Y: 0}, {X: 1, Y: 0}, {X: 1, Y: 0.2}}},
		Labels:  []string{"person"},
		Filters: map[string]track.Filter{"person": {MinScore: 0.6}},
	}}
	got := scenesOf(cfg.Cameras)
	if !reflect.DeepEqual(got, want) {
		t.Errorf("scenes:\n%+v\nwant:\n%+v", got, want)
	}
	for name, s := range got { // what one checks, the other accepts
		if err := s.Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestOwnersDoNotNoticePlaces: only what an owner works with begins its camera anew.
func TestOwnersDoNotNoticePlaces(t *testing.T) {
	for change, same := range map[[2]string]bool{
		{"0.5, 1]", "0.4, 1]"}: true, {"inertia: 5", "inertia: 6"}: true, {"[0.8, 0]", "[0.7, 0]"}: true, {"min_score: 0.6", "min_score: 0.5"}: true,
		{"gate.mp4", "other.mp4"}: false, {"source: gate.mp4", "source: gate.mp4\n    fps: 5"}: false, {"objects: {track: [person, car]}", "tiles: {policy: grid}"}: false,
	} {
		before, err := Parse("x.yml", []byte(site))
		if err != nil {
			t.Fatal(err)
		}
		after, err := Parse("x.yml", []byte(strings.Replace(site, change[0], change[1], 1)))
		if err != nil {
			t.Fatal(err)
		}
		if before.Cameras["gate"].sameStream(after.Cameras["gate"]) != same {
			t.Errorf("%s: the same stream is %v", change[1], !same)
		}
		if len(after.Cameras["gate"].Zones) != 2 {
			t.Error("comparing took the zones away")
		}
	}
}

func TestPlacesAreBounded(t *testing.T) {
	many := func(kind, coordinates string, n int) string {
		text := "cameras:\n  gate:\n    source: a.mp4\n    " + kind + ":\n"
		for i := range n {
			text += fmt.Sprintf("      p%d: {coordinates: %s}\n", i, coordinates)
		}
		return text
	}
	const square, line = "[[0, 0], [1, 0], [1, 1]]", "[[0, 0], [1, 0]]"
	for kind, coordinates := range map[string]string{"zones": square, "lines": line, "masks": square} {
		if _, err := Parse("x.yml", []byte(many(kind, coordinates, 64))); err != nil {
			t.Error(err)
		}
		want := fmt.Sprintf("x.yml:4: cameras.gate.%s: must hold at most 64 %s; found 65", kind, kind)
		if _, err := Parse("x.yml", []byte(many(kind, coordinates, 65))); err == nil || err.Error() != want {
			t.Errorf("got %v\nwant %s", err, want)
		}
	}
	long := "[" + strings.Repeat("[0, 0], ", 65) + "]"
	if _, err := Parse("x.yml", []byte(many("zones", long, 1))); err == nil || !strings.HasSuffix(err.Error(), "must have at most 64 points; found 65") {
		t.Error(err)
	}
}

// TestExampleOfTheShippedConfigurationIsValid reads what configs/default.yaml shows in its comments.
func TestExampleOfTheShippedConfigurationIsValid(t *testing.T) {
	t.Setenv("GATE_PASSWORD", "S3cr3t!")
	data, err := os.ReadFile(filepath.Join("..", "configs", "default.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var example strings.Builder
	for line := range strings.Lines(string(data)) {
		if text, ok := strings.CutPrefix(line, "#   "); ok {
			example.WriteString(text)
		}
	}
	cfg, err := Parse("example.yml", []byte(example.String()))
	if err != nil {
		t.Fatal(err)
	}
	if s := cfg.Cameras["gate"].scene(); len(s.Zones) == 0 || len(s.Lines) == 0 || len(s.Masks) == 0 {
		t.Errorf("the example shows %+v", s)
	}
}
