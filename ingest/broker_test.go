package ingest

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sightline/sightline/ingest/decode/testclip"
	"github.com/sightline/sightline/ingest/testcam"
	"github.com/sightline/sightline/pipeline/bus"
)

// broker starts one that listens, so that it can go away and come back at the same address.
func broker(t *testing.T, cfg bus.ServerConfig, log *logged) *bus.Server {
	t.Helper()
	server, err := bus.StartServer(cfg, log.logger())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	return server
}

// A broker that goes away is no business of the camera: it is read on, its frames are dropped and counted, and what comes after
// the broker is back belongs to the same session, with the gap in its numbers.
func TestTheBrokerGoesAwayWhileACameraIsRead(t *testing.T) {
	t.Parallel()
	log := new(logged)
	cfg := bus.ServerConfig{Listen: "127.0.0.1:0", DataDir: t.TempDir()}
	server := broker(t, cfg, log)
	cfg.Listen = strings.TrimPrefix(server.ClientURL(), "nats://")
	conn, err := bus.Connect(t.Context(), bus.Config{URL: server.ClientURL(), Name: "test"}, log.logger())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	d := detect(t, conn, "gate")
	source := camera(t, testclip.Counter(t, "clip.mp4", 48, 25, testclip.Lossless), testcam.Options{})
	c := newCamera(t, conn, log, CameraConfig{Source: source.URL()})
	stop := run(t, c)
	d.wait(5)
	server.Close()
	waitFor(t, func() bool { return !conn.Connected() })
	before := len(d.all())
	lost := conn.Stats().FramesDropped
	waitFor(t, func() bool { return conn.Stats().FramesDropped >= lost+10 })
	broker(t, cfg, log)
	shots := d.wait(before + 10)
	if err := stop(); err != nil {
		t.Error(err)
	}
	checkShots(t, shots)
	if gap := shots[before].Seq - shots[before-1].Seq; gap <= 10 {
		t.Errorf("the numbers go on by %d although at least 10 frames were dropped", gap)
	}
	if s, n := c.Stats(), source.Stats(); s.Reconnects != 0 || n.Sessions != 1 || s.Cause != "stopped" {
		t.Errorf("%+v; the camera was connected to %d times", s, n.Sessions)
	}
}

// A frame that the broker does not take is counted, said once a second at most, and hurts nothing else.
func TestFramesTooLargeForTheBrokerAreCounted(t *testing.T) {
	t.Parallel()
	log := new(logged)
	server := broker(t, bus.ServerConfig{DataDir: t.TempDir(), MaxPayload: 8 << 10}, log)
	conn, err := bus.Connect(t.Context(), bus.Config{Server: server, Name: "test"}, log.logger())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	d := detect(t, conn, "*")
	noise := testclip.Make(t, "noise.mp4", "nullsrc=size=320x240:rate=25:duration=1,geq=random(1)*255:128:128", testclip.H264)
	large := newCamera(t, conn, log, CameraConfig{Name: "large", Source: noise, Transport: TransportJPEG})
	small := newCamera(t, conn, log, CameraConfig{Name: "small", Source: testclip.Counter(t, "clip.mp4", 25, 25, testclip.Lossless), Transport: TransportJPEG})
	var running sync.WaitGroup
	for _, c := range []*Camera{large, small} {
		running.Go(func() {
			if err := c.Run(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	running.Wait()
	for _, shot := range d.wait(5) { // on a busy machine some are replaced by newer ones
		if shot.Camera != "small" {
			t.Errorf("a frame of %s: want those of the small one", shot.Camera)
		}
	}
	if s := small.Stats(); s.Frames != 25 {
		t.Errorf("%+v", s)
	}
	if s := large.Stats(); s.Dropped["publish"] != 25 || s.Frames != 0 {
		t.Errorf("%+v", s)
	}
	if n := strings.Count(log.String(), "message too large"); n < 1 || n > 20 {
		t.Errorf("said %d times: %s", n, log.String())
	}
}

// Readers that hold every frame cost frames, which are counted; the camera goes on when they let go.
func TestReadersThatHoldEveryFrame(t *testing.T) {
	t.Parallel()
	log := new(logged)
	conn := connect(t, log)
	mapper := bus.NewMapper()
	var mu sync.Mutex // protects what follows
	var held []*bus.View
	var frames []bus.Frame
	letGo := false
	release := func() {
		mu.Lock()
		defer mu.Unlock()
		letGo = true
		for _, v := range held {
			v.Release()
		}
		held = nil
	}
	s, err := conn.SubscribeFrames("gate", func(f *bus.Frame) {
		mu.Lock()
		defer mu.Unlock()
		if frames = append(frames, *f); letGo {
			return
		}
		if v, err := mapper.Open(f.Ref); err == nil { // a frame that is gone already is none to hold
			held = append(held, v)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Close()
		release()
		mapper.Close()
	})
	c := newCamera(t, conn, log, CameraConfig{Source: testclip.Counter(t, "clip.mp4", 25, 25, testclip.Lossless), Transport: TransportSHM, Loop: true})
	began := time.Now()
	stop := run(t, c)
	waitFor(t, func() bool { return c.Stats().Dropped["ring_full"] > 5 })
	release()
	full := c.Stats()
	if n, most := full.Frames+full.Dropped["ring_full"], uint64(time.Since(began)/(40*ms))+2; n > most {
		t.Errorf("%d frames in the time of %d: the file rushes on while nothing is published", n, most)
	}
	waitFor(t, func() bool { return c.Stats().Frames > full.Frames+5 })
	waitFor(t, func() bool {
		mu.Lock()
		defer mu.Unlock()
		return slices.ContainsFunc(frames, func(f bus.Frame) bool { return f.Dropped > 0 })
	})
	if err := stop(); err != nil {
		t.Error(err)
	}
	mu.Lock()
	defer mu.Unlock()
	for i := 1; i < len(frames); i++ {
		if f, last := frames[i], frames[i-1]; f.Session != last.Session || f.Seq < last.Seq+1+uint64(f.Dropped) {
			t.Errorf("frame %d of session %s, %d dropped, follows frame %d of %s", f.Seq, f.Session, f.Dropped, last.Seq, last.Session)
		}
	}
}
