package track

import (
	"context"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/sightline/sightline/pipeline/bus"
)

// counted is a scene with one line, which of the two people of seen one crosses in each direction.
var counted = map[string]Scene{"gate": {Lines: []Line{upright}}}

// brokerIn starts one with a port of its own, or with one that was used before.
func brokerIn(t *testing.T, dir, address string) *bus.Server {
	t.Helper()
	server, err := bus.StartServer(bus.ServerConfig{DataDir: dir, Listen: address}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	return server
}

func connTo(t *testing.T, server *bus.Server) *bus.Conn {
	t.Helper()
	conn, err := bus.Connect(t.Context(), bus.Config{URL: server.ClientURL(), Name: "test", StoreBytes: 16 << 20}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	return conn
}

// running starts a worker with scenes; what it returns ends it in order.
func running(t *testing.T, conn *bus.Conn, scenes map[string]Scene) (w *Worker, stop func()) {
	t.Helper()
	w = NewWorker(conn, Config{}, slog.New(slog.DiscardHandler))
	if err := w.SetScenes(t.Context(), scenes); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	over := make(chan error, 1)
	go func() { over <- w.Run(ctx) }()
	return w, func() {
		t.Helper()
		cancel()
		if err := <-over; err != nil {
			t.Error(err)
		}
	}
}

// crossings takes the next n of them.
func crossings(t *testing.T, heard *listener, n int) (all []*bus.Event) {
	t.Helper()
	for len(all) < n {
		if e := next(t, heard.events); e.Type == bus.EventLineCross {
			conforms(t, "event", e)
			all = append(all, e)
		}
	}
	return all
}

func stored(t *testing.T, conn *bus.Conn, camera string) map[string]bus.Totals {
	t.Helper()
	counts, err := conn.LoadCounts(t.Context(), camera)
	if err != nil {
		t.Fatal(err)
	}
	if counts == nil {
		return nil
	}
	return counts.Lines
}

// TestCountsOutliveWorkersCamerasAndBrokers: each round is a process of its own, on the data directory of the one before, and in
// each the camera connects twice.
func TestCountsOutliveWorkersCamerasAndBrokers(t *testing.T) {
	dir := t.TempDir()
	for round := range uint64(3) {
		server := brokerIn(t, dir, "127.0.0.1:0")
		conn := connTo(t, server)
		heard := listen(t, conn)
		_, stop := running(t, conn, counted)
		awaitWorker(t, conn, heard)
		for _, session := range []string{"s1", "s2"} {
			for seq := uint64(1); seq <= 40; seq++ {
				if err := conn.PublishDetections(t.Context(), seen("gate", fmt.Sprint(session, round), seq)); err != nil {
					t.Fatal(err)
				}
			}
		}
		for i, e := range crossings(t, heard, 4) {
			want := bus.Totals{In: 2*round + uint64(i/2) + uint64(i%2), Out: 2*round + uint64(i/2) + 1} // out comes first
			if e.Counts == nil || *e.Counts != want || e.Line != "mid" {
				t.Errorf("round %d, crossing %d: %s %s, counts %v, want %v", round, i, e.Line, e.Direction, e.Counts, want)
			}
		}
		stop()
		if got, want := stored(t, conn, "gate"), (map[string]bus.Totals{"mid": {In: 2*round + 2, Out: 2*round + 2}}); !reflect.DeepEqual(got, want) {
			t.Errorf("round %d: stored %v, want %v", round, got, want)
		}
		conn.Close()
		server.Close()
	}
}

// TestCountsAreStoredWhileTheWorkerRuns: so that a crash loses no more than the last moment.
func TestCountsAreStoredWhileTheWorkerRuns(t *testing.T) {
	conn := newConn(t)
	w, stop := running(t, conn, counted)
	defer stop()
	feed(t, w, time.Now(), "gate", "s1", 1, 40)
	eventually(t, func() bool { return stored(t, conn, "gate")["mid"] == bus.Totals{In: 1, Out: 1} })
}

func eventually(t *testing.T, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(20 * time.Second); !holds(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatal("never came true")
		}
	}
}

// TestCrossingsBeforeTheTotalsAreKnown are told of without totals, and are in the totals later.
func TestCrossingsBeforeTheTotalsAreKnown(t *testing.T) {
	conn := newConn(t)
	before := &bus.Counts{Camera: "gate", At: epoch, Lines: map[string]bus.Totals{"mid": {In: 100, Out: 200}, "gone": {In: 7}}}
	if err := conn.StoreCounts(t.Context(), before); err != nil {
		t.Fatal(err)
	}
	heard := listen(t, conn)
	w := NewWorker(conn, Config{}, slog.New(slog.DiscardHandler)) // does not run: nothing is loaded but by hand
	if err := w.SetScenes(t.Context(), counted); err != nil {
		t.Fatal(err)
	}
	feed(t, w, time.Now(), "gate", "s1", 1, 40)
	for _, e := range crossings(t, heard, 2) {
		if e.Counts != nil {
			t.Errorf("totals that nobody can know: %v", e.Counts)
		}
	}
	if !w.ledger.round(t.Context()) {
		t.Fatal("not loaded")
	}
	if got, want := stored(t, conn, "gate"), (map[string]bus.Totals{"mid": {In: 101, Out: 201}, "gone": {In: 7}}); !reflect.DeepEqual(got, want) {
		t.Errorf("stored %v, want %v", got, want)
	}
	feed(t, w, time.Now(), "gate", "s2", 1, 40)
	if e := crossings(t, heard, 2)[1]; e.Counts == nil || *e.Counts != (bus.Totals{In: 102, Out: 202}) {
		t.Errorf("counts %v", e.Counts)
	}
}

// TestBrokerThatIsAwayHoldsUpNothing, and gets the counts when it is back.
func TestBrokerThatIsAwayHoldsUpNothing(t *testing.T) {
	dir := t.TempDir()
	server := brokerIn(t, dir, "127.0.0.1:0")
	address := strings.TrimPrefix(server.ClientURL(), "nats://")
	conn := connTo(t, server)
	w, stop := running(t, conn, counted)
	w.ledger.ready(t.Context())
	server.Close()
	eventually(t, func() bool { return !conn.Connected() })
	begun := time.Now()
	feed(t, w, time.Now(), "gate", "s1", 1, 40)
	if took := time.Since(begun); took > time.Second {
		t.Errorf("40 frames took %v", took)
	}
	brokerIn(t, dir, address)
	eventually(t, func() bool {
		counts, err := conn.LoadCounts(t.Context(), "gate")
		return err == nil && counts != nil && counts.Lines["mid"] == bus.Totals{In: 1, Out: 1}
	})
	stop()
}

// TestEndWithoutABrokerComesInTime and says what is lost.
func TestEndWithoutABrokerComesInTime(t *testing.T) {
	server := brokerIn(t, t.TempDir(), "127.0.0.1:0")
	var lines logLines
	l := newLedger(connTo(t, server), slog.New(slog.NewTextHandler(&lines, nil)))
	server.Close()
	l.follow(counted)
	l.count("gate", "mid", bus.DirectionIn)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	begun := time.Now()
	l.run(ctx)
	if took := time.Since(begun); took > 5*time.Second || !strings.Contains(lines.String(), "could not be stored") {
		t.Errorf("took %v, said:\n%s", took, lines.String())
	}
}

func TestAccountsAreBounded(t *testing.T) {
	conn := newConn(t)
	l := newLedger(conn, slog.New(slog.DiscardHandler))
	l.follow(counted)
	for i := range bus.MaxKeptLines + 10 {
		l.count("gate", fmt.Sprint("old", i), bus.DirectionIn)
	}
	l.count("gate", "mid", bus.DirectionOut)
	if !l.round(t.Context()) {
		t.Fatal("not stored")
	}
	if got, want := stored(t, conn, "gate"), (map[string]bus.Totals{"mid": {Out: 1}}); !reflect.DeepEqual(got, want) {
		t.Errorf("stored %d lines", len(got))
	}
	l.follow(nil)
	if !l.round(t.Context()) || len(l.accounts) != 0 {
		t.Errorf("%d accounts of cameras without lines", len(l.accounts))
	}
	l.follow(counted)
	l.round(t.Context())
	if got := l.count("gate", "mid", bus.DirectionOut); got == nil || *got != (bus.Totals{Out: 2}) {
		t.Errorf("after the line came back: %v", got)
	}
}

// TestScenesChangeWhileTheWorkerRuns: the changed camera keeps its tracks, and so does the other.
func TestScenesChangeWhileTheWorkerRuns(t *testing.T) {
	conn := newConn(t)
	heard := listen(t, conn)
	w := NewWorker(conn, Config{UpdateEvery: time.Hour}, slog.New(slog.DiscardHandler))
	zone := map[string]Scene{"gate": {Zones: []Zone{{Name: "room", Area: room}}}, "yard": {Zones: []Zone{{Name: "room", Area: room}}}}
	if err := w.SetScenes(t.Context(), zone); err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	for _, camera := range []string{"gate", "yard"} {
		feed(t, w, now, camera, "s1", 1, 15)
	}
	other := Scene{Zones: []Zone{{Name: "hall", Area: room}}, Lines: []Line{upright}}
	if err := w.SetScenes(t.Context(), map[string]Scene{"gate": other, "yard": zone["yard"]}); err != nil {
		t.Fatal(err)
	}
	bad := map[string]Scene{"gate": {Zones: []Zone{{Name: "z"}}}}
	if err := w.SetScenes(t.Context(), bad); err == nil || !strings.Contains(err.Error(), `scene of camera gate: zone "z"`) {
		t.Errorf("a bad scene: %v", err)
	}
	for _, camera := range []string{"gate", "yard"} {
		feed(t, w, now, camera, "s1", 16, 40)
	}
	w.endAll(t.Context())
	got := map[string][]string{}
	for ends := 0; ends < 4; {
		e := next(t, heard.events)
		got[e.Camera] = append(got[e.Camera], fmt.Sprint(e.Type, e.Zone, e.Line, e.TrackID))
		if e.Type == bus.EventEnd {
			ends++
		}
	}
	for camera, want := range map[string]string{
		"gate": "[start1 start2 zone_enterroom2 zone_leaveroom2 zone_enterhall2 line_crossmid2 zone_leavehall2 line_crossmid1 zone_enterhall1 zone_leavehall1 end1 end2]",
		"yard": "[start1 start2 zone_enterroom2 zone_leaveroom2 zone_enterroom1 zone_leaveroom1 end1 end2]",
	} {
		if fmt.Sprint(got[camera]) != want {
			t.Errorf("%s: %v", camera, got[camera])
		}
	}
}
