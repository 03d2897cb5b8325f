package track

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.uber.org/goleak"

	"github.com/sightline/sightline/pipeline/bus"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// logLines collects what is logged.
type logLines struct {
	mu   sync.Mutex // protects text
	text strings.Builder
}

func (l *logLines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logLines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// newConn connects to a broker of its own.
func newConn(t *testing.T) *bus.Conn {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	server, err := bus.StartServer(bus.ServerConfig{DataDir: t.TempDir()}, log)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := bus.Connect(t.Context(), bus.Config{Server: server, Name: "test", StoreBytes: 16 << 20}, log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		conn.Close()
		server.Close()
	})
	return conn
}

// listener hears everything that a worker publishes.
type listener struct {
	t      *testing.T
	tracks chan *bus.Tracks
	events chan *bus.Event
}

func listen(t *testing.T, conn *bus.Conn) *listener {
	t.Helper()
	l := &listener{t: t, tracks: make(chan *bus.Tracks, 1000), events: make(chan *bus.Event, 1000)}
	tracks, err := conn.SubscribeTracks("*", func(m *bus.Tracks) { l.tracks <- m })
	if err != nil {
		t.Fatal(err)
	}
	events, err := conn.SubscribeEvents("*", func(m *bus.Event) { l.events <- m })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		tracks.Close()
		events.Close()
	})
	return l
}

func next[T any](t *testing.T, from chan T) T {
	t.Helper()
	select {
	case m := <-from:
		return m
	case <-time.After(20 * time.Second):
		t.Fatalf("no %T came", *new(T))
		panic("unreachable")
	}
}

// seen is what a detector says of two people that cross, in frame seq.
func seen(camera, session string, seq uint64) *bus.Detections {
	s := float64(seq) / 12.5
	d := &bus.Detections{
		Schema: bus.SchemaDetections, Camera: camera, Session: session, Seq: seq, CapturedAt: epoch.Add(time.Duration(seq) * 80 * time.Millisecond),
		Clock: bus.ClockFile, RTPTimestamp: uint32(seq) * 7200, Frame: frame, Model: "test@00000000", Detector: "big",
		Tiles: bus.Tiles{Policy: bus.PolicyOff, Run: 1, Of: 1}, Objects: []bus.Object{},
	}
	for _, p := range []walker{person(300, 500, 300, 0), person(1500, 520, -300, 0)} {
		if box, ok := p.at(s); ok {
			d.Objects = append(d.Objects, bus.Object{Label: "person", Score: 0.8, Box: box})
		}
	}
	return d
}

func TestDetectionsBecomeTracksAndEvents(t *testing.T) {
	conn := newConn(t)
	heard := listen(t, conn)
	w := NewWorker(conn, Config{}, slog.New(slog.DiscardHandler))
	ctx, stop := context.WithCancel(t.Context())
	over := make(chan error, 1)
	go func() { over <- w.Run(ctx) }()
	const frames = 40
	cameras := []string{"gate", "yard"}
	awaitWorker(t, conn, heard)
	for seq := uint64(1); seq <= frames; seq++ {
		for _, camera := range cameras {
			if err := conn.PublishDetections(ctx, seen(camera, "s1", seq)); err != nil {
				t.Fatal(err)
			}
		}
	}
	last := map[string]*bus.Tracks{}
	for range frames * len(cameras) {
		m := next(t, heard.tracks)
		d := seen(m.Camera, "s1", m.Seq)
		if before := last[m.Camera]; before != nil && m.Seq != before.Seq+1 {
			t.Errorf("%s: frame %d after %d", m.Camera, m.Seq, before.Seq)
		}
		if m.Session != d.Session || !m.CapturedAt.Equal(d.CapturedAt) || m.RTPTimestamp != d.RTPTimestamp || m.Frame != d.Frame || m.Model != d.Model || m.Detector != d.Detector || m.Clock != d.Clock {
			t.Errorf("tracks %+v of detections %+v", m, d)
		}
		last[m.Camera] = m
	}
	for _, camera := range cameras { // they have met in second 2
		objects := last[camera].Objects
		conforms(t, "tracks", last[camera])
		if len(objects) != 2 || objects[0].TrackID != 1 || objects[1].TrackID != 2 || objects[0].Box[0] < objects[1].Box[0] {
			t.Errorf("%s ends with %+v", camera, objects)
		}
	}
	stop()
	if err := <-over; err != nil {
		t.Error(err)
	}
	checkEvents(t, heard, cameras)
	if s := w.Stats(); s.Frames < frames*2 || s.Failed != 0 || s.Cameras != 0 {
		t.Errorf("stats %+v", s)
	}
}

// awaitWorker returns when the worker listens: it answers the frames of a camera that nothing else is asked of.
func awaitWorker(t *testing.T, conn *bus.Conn, heard *listener) {
	t.Helper()
	patience := time.After(20 * time.Second)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for seq := uint64(1); ; seq++ {
		empty := seen("first", "s0", seq)
		empty.Objects = []bus.Object{}
		if err := conn.PublishDetections(t.Context(), empty); err != nil {
			t.Fatal(err)
		}
		select {
		case m := <-heard.tracks:
			for m.Seq < seq {
				m = next(t, heard.tracks)
			}
			return
		case <-tick.C:
		case <-patience:
			t.Fatal("the worker does not listen")
		}
	}
}

// conforms holds a message to the schema that other programs read it by.
func conforms(t *testing.T, kind string, message any) {
	t.Helper()
	schema, err := jsonschema.UnmarshalJSON(bytes.NewReader(bus.Schema(kind)))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource(kind+".json", schema); err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(message)
	if err != nil {
		t.Fatal(err)
	}
	instance, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	if err := compiler.MustCompile(kind + ".json").Validate(instance); err != nil {
		t.Errorf("%s: %v", data, err)
	}
}

func checkEvents(t *testing.T, heard *listener, cameras []string) {
	t.Helper()
	kinds := map[string]int{}
	for len(heard.events) > 0 || kinds["end gate"]+kinds["end yard"] < 4 {
		e := next(t, heard.events)
		conforms(t, "event", e)
		kinds[fmt.Sprintf("%s %s", e.Type, e.Camera)]++
		if e.Session != "s1" || e.Detector != "big" || e.Label != "person" || e.TrackID < 1 || e.TrackID > 2 || e.Box == nil || e.Type == bus.EventEnd && e.Seq != 40 {
			t.Errorf("event %+v", e)
		}
	}
	for _, camera := range cameras { // 40 frames are 3.2 s: updates at 1.24 and 2.28 s
		if kinds["start "+camera] != 2 || kinds["update "+camera] != 4 || kinds["end "+camera] != 2 {
			t.Errorf("events: %v", kinds)
		}
	}
}

// feed gives frames straight to a worker that does not run, at a time of the test's own.
func feed(t *testing.T, w *Worker, now time.Time, camera, session string, from, to uint64) {
	t.Helper()
	for seq := from; seq <= to; seq++ {
		w.take(t.Context(), seen(camera, session, seq), now)
	}
}

func TestNewSessionEndsTheTracksOfTheOld(t *testing.T) {
	conn := newConn(t)
	heard := listen(t, conn)
	w := NewWorker(conn, Config{}, slog.New(slog.DiscardHandler))
	now := time.Now()
	feed(t, w, now, "gate", "s1", 1, 5)
	feed(t, w, now, "gate", "s2", 1, 4)
	feed(t, w, now, "gate", "s1", 6, 7) // detectors had these still
	if late := w.Stats().Late; late != 2 {
		t.Errorf("%d frames were late", late)
	}
	var got []string
	for range 6 {
		e := next(t, heard.events)
		got = append(got, fmt.Sprintf("%s/%s/%d", e.Session, e.Type, e.TrackID))
	}
	if want := "[s1/start/1 s1/start/2 s1/end/1 s1/end/2 s2/start/1 s2/start/2]"; fmt.Sprint(got) != want {
		t.Errorf("events are %v", got)
	}
	feed(t, w, now.Add(time.Minute), "gate", "s1", 8, 10) // the other session is over, and this one goes on
	for range 2 {
		next(t, heard.events)
	}
	if e := next(t, heard.events); e.Session != "s1" || e.TrackID <= 2 {
		t.Errorf("the session that came back gave id %d: %+v", e.TrackID, e)
	}
}

func TestLateAndDoubleFramesChangeNothing(t *testing.T) {
	w := NewWorker(newConn(t), Config{}, slog.New(slog.DiscardHandler))
	now := time.Now()
	feed(t, w, now, "gate", "s1", 1, 5)
	feed(t, w, now, "gate", "s1", 3, 5)
	feed(t, w, now, "gate", "s1", 6, 6)
	if s := w.Stats(); s.Late != 3 || s.Frames != 6 {
		t.Errorf("stats %+v", s)
	}
}

func TestSilentCameraEndsItsTracksAndIsForgotten(t *testing.T) {
	conn := newConn(t)
	heard := listen(t, conn)
	w := NewWorker(conn, Config{Forget: time.Minute}, slog.New(slog.DiscardHandler))
	now := time.Now()
	feed(t, w, now, "gate", "s1", 1, 5)
	w.sweep(t.Context(), now.Add(2500*time.Millisecond))
	if s := w.Stats(); s.Events != 2 {
		t.Errorf("too early: %+v", s)
	}
	w.sweep(t.Context(), now.Add(4*time.Second))
	for _, kind := range []bus.EventType{bus.EventStart, bus.EventStart, bus.EventEnd, bus.EventEnd} {
		if e := next(t, heard.events); e.Type != kind {
			t.Errorf("event %+v, not %s", e, kind)
		}
	}
	feed(t, w, now.Add(5*time.Second), "gate", "s1", 20, 23)
	if e := next(t, heard.events); e.Type != bus.EventStart || e.TrackID != 3 {
		t.Errorf("after the silence: %+v", e)
	}
	w.sweep(t.Context(), now.Add(2*time.Minute))
	if s := w.Stats(); s.Cameras != 0 {
		t.Errorf("stats %+v", s)
	}
}

func TestCamerasAreBounded(t *testing.T) {
	w := NewWorker(newConn(t), Config{}, slog.New(slog.DiscardHandler))
	now := time.Now()
	for i := range maxCameras + 10 {
		feed(t, w, now.Add(time.Duration(i)), fmt.Sprint("camera", i), "s1", 1, 1)
	}
	if s := w.Stats(); s.Cameras != maxCameras {
		t.Errorf("%d cameras", s.Cameras)
	}
	if w.cameras["camera9"] != nil || w.cameras["camera10"] == nil {
		t.Error("not the oldest were forgotten")
	}
}

func TestRunRefusesWhatCannotWork(t *testing.T) {
	conn := newConn(t)
	err := NewWorker(conn, Config{MaxTracks: 1000}, slog.New(slog.DiscardHandler)).Run(t.Context())
	if err == nil || !strings.Contains(err.Error(), "max tracks 1000") {
		t.Errorf("a bad configuration: %v", err)
	}
	conn.Close()
	if err := NewWorker(conn, Config{}, slog.New(slog.DiscardHandler)).Run(t.Context()); err == nil {
		t.Error("a closed connection was accepted")
	}
}

func TestWhatCannotBePublishedIsCountedAndSaidOnce(t *testing.T) {
	conn := newConn(t)
	conn.Close()
	var lines logLines
	w := NewWorker(conn, Config{}, slog.New(slog.NewTextHandler(&lines, nil)))
	feed(t, w, time.Now(), "gate", "s1", 1, 5)
	if s := w.Stats(); s.Failed != 7 || s.Frames != 0 { // five frames, two starts
		t.Errorf("stats %+v", s)
	}
	if n := strings.Count(lines.String(), "could not publish tracks"); n != 1 {
		t.Errorf("said %d times:\n%s", n, lines.String())
	}
}
