package track

import (
	"log/slog"
	"reflect"
	"testing"
	"time"

	"github.com/sightline/sightline/pipeline/bus"
)

// watching hears the scenes that are told of.
func watching(t *testing.T, conn *bus.Conn) chan *bus.Scene {
	t.Helper()
	scenes := make(chan *bus.Scene, 100)
	sub, err := conn.SubscribeScenes("*", func(s *bus.Scene) { scenes <- s })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sub.Close)
	return scenes
}

// TestSceneIsToldOfWithItsCounts: at the beginning, after a crossing, after a change, and when it is gone.
func TestSceneIsToldOfWithItsCounts(t *testing.T) {
	conn := newConn(t)
	scenes := watching(t, conn)
	area := Polygon{{0, 0}, {1, 0}, {1, 1}}
	s := Scene{Zones: []Zone{{Name: "yard", Area: area, Labels: []string{"person"}}}, Lines: []Line{upright}, Masks: []Polygon{area}}
	w, stop := running(t, conn, map[string]Scene{"gate": s, "yard": {Labels: []string{"car"}}})
	defer stop()
	corners := []bus.Point{{0, 0}, {1, 0}, {1, 1}}
	want := &bus.Scene{
		Schema: bus.SchemaScene, Camera: "gate", Zones: []bus.SceneZone{{Name: "yard", Coordinates: corners, Labels: []string{"person"}}},
		Lines: []bus.SceneLine{{Name: "mid", Coordinates: [2]bus.Point{upright.From.point(), upright.To.point()}, Counts: &bus.Totals{}}},
		Masks: []bus.SceneMask{{Coordinates: corners}},
	}
	about := func(camera string) *bus.Scene {
		for {
			if got := next(t, scenes); got.Camera == camera {
				conforms(t, "scene", got)
				got.At = time.Time{}
				return got
			}
		}
	}
	if got := about("gate"); !reflect.DeepEqual(got, want) {
		t.Errorf("told of %+v, want %+v", got, want)
	}
	feed(t, w, time.Now(), "gate", "s1", 1, 40)
	for want.Lines[0].Counts = (&bus.Totals{In: 1, Out: 1}); !reflect.DeepEqual(about("gate"), want); {
	}
	if err := w.SetScenes(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	for !about("gate").Empty() {
	}
}

// TestScenesAreToldOfAtABoundedRate, however often a line is crossed or the configuration changes.
func TestScenesAreToldOfAtABoundedRate(t *testing.T) {
	conn := newConn(t)
	scenes := watching(t, conn)
	w := NewWorker(conn, Config{}, slog.New(slog.DiscardHandler))
	now := time.Now().Add(time.Hour) // so that crossings, which take the true time, come too soon to be told of at once
	told := func(after time.Duration, n int) {
		t.Helper()
		w.sweep(t.Context(), now.Add(after))
		if err := w.conn.PublishScene(t.Context(), &bus.Scene{Camera: "end", At: now}); err != nil {
			t.Fatal(err)
		}
		got := 0
		for next(t, scenes).Camera != "end" {
			got++
		}
		if got != n {
			t.Errorf("after %v: told %d times, want %d", after, got, n)
		}
	}
	if err := w.SetScenes(t.Context(), counted); err != nil {
		t.Fatal(err)
	}
	told(0, 1)
	told(4*time.Second, 0)
	told(5*time.Second, 1)
	for range 100 {
		w.notify(t.Context(), "gate", true)
	}
	told(5900*time.Millisecond, 0)
	told(6*time.Second, 1)
	if err := w.SetScenes(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	told(7*time.Second, 1)
	told(time.Minute, 0)
}

// TestCameraStatsCountWhatIsThere: two people, one of whom is in the zone.
func TestCameraStatsCountWhatIsThere(t *testing.T) {
	conn := newConn(t)
	scenes := map[string]Scene{
		"gate": {Zones: []Zone{{Name: "left", Area: Polygon{{0, 0}, {0.4, 0}, {0.4, 1}, {0, 1}}}, {Name: "sky", Area: Polygon{{0, 0}, {1, 0}, {1, 0.1}}}}, Lines: []Line{upright}},
		"yard": {Lines: []Line{upright}},
	}
	w := NewWorker(conn, Config{}, slog.New(slog.DiscardHandler))
	if err := w.SetScenes(t.Context(), scenes); err != nil {
		t.Fatal(err)
	}
	feed(t, w, time.Now(), "gate", "s1", 1, 2)
	if got := w.CameraStats()[0]; len(got.Active) != 0 || got.Lines != nil {
		t.Errorf("before anything was told of, or loaded: %+v", got)
	}
	w.ledger.round(t.Context())
	feed(t, w, time.Now(), "gate", "s1", 3, 10)
	want := []CameraStats{
		{Camera: "gate", Active: map[string]int{"person": 2}, Stationary: map[string]int{}, Zones: map[string]int{"left": 1, "sky": 0}, Lines: map[string]bus.Totals{"mid": {}}},
		{Camera: "yard", Active: map[string]int{}, Stationary: map[string]int{}, Zones: map[string]int{}, Lines: map[string]bus.Totals{"mid": {}}},
	}
	if got := w.CameraStats(); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	feed(t, w, time.Now(), "gate", "s1", 11, 40)
	if got := w.CameraStats()[0].Lines["mid"]; got != (bus.Totals{In: 1, Out: 1}) {
		t.Errorf("crossings %+v", got)
	}
}
