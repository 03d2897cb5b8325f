package sinks

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/sightline/sightline/pipeline/bus"
	"github.com/sightline/sightline/pipeline/picture"
	"go.uber.org/goleak"
)

// station is a whole sinks process in a test: an embedded broker, a server, and its HTTP side on a free port.
type station struct {
	conn   *bus.Conn
	server *Server
	url    string
}

// startStation starts one and sees to it that nothing of it is left at the end.
func startStation(t testing.TB, cfg Config) *station {
	t.Helper()
	leaks := goleak.IgnoreCurrent()
	t.Cleanup(func() {
		http.DefaultTransport.(*http.Transport).CloseIdleConnections()
		goleak.VerifyNone(t, leaks)
	})
	broker, err := bus.StartServer(bus.ServerConfig{DataDir: t.TempDir()}, quiet())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(broker.Close)
	ctx, cancel := context.WithCancel(context.Background())
	conn, err := bus.Connect(ctx, bus.Config{Server: broker, Name: t.Name()}, quiet())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	s := New(cfg, conn, quiet())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	web := httptest.NewServer(s.Handler())
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("server: %v", err)
		}
		web.Close()
	})
	eventually(t, "the server runs", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.ctx != nil
	})
	return &station{conn: conn, server: s, url: web.URL}
}

// eventually polls a state that has no event of its own.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(10 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline:
			t.Fatalf("%s: not within 10 s", what)
		case <-tick.C:
		}
	}
}

// film is a camera with its detector: frames by either transport, and the same objects found in each of them.
type film struct {
	camera   string
	encoding bus.Encoding
	every    time.Duration
	pic      *picture.I420
	objects  []bus.Object
	blind    bool                                        // no detector runs
	lag      uint64                                      // frames that the detector is behind
	scene    func(seq uint64, pic *picture.I420) bus.Box // draws what moves, and says where it is; nil: nothing moves
}

// roll publishes until the test ends.
func (f film) roll(t testing.TB, conn *bus.Conn) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	ring, err := bus.NewRing(f.camera, 8, f.pic.Width, f.pic.Height)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		<-ended
		if err := ring.Close(); err != nil {
			t.Errorf("close ring: %v", err)
		}
	})
	go func() {
		defer close(ended)
		tick := time.NewTicker(f.every)
		defer tick.Stop()
		for seq := uint64(1); ; seq++ {
			if err := f.publish(ctx, conn, ring, seq); err != nil && ctx.Err() == nil {
				t.Errorf("publish %s/%d: %v", f.camera, seq, err)
				return
			}
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
	}()
}

func (f film) publish(ctx context.Context, conn *bus.Conn, ring *bus.Ring, seq uint64) error {
	if f.scene != nil {
		f.scene(seq, f.pic)
	}
	now := time.Now()
	frame := &bus.Frame{Camera: f.camera, Session: "01JSESSION", Seq: seq, CapturedAt: now, Clock: bus.ClockArrival, RTPTimestamp: uint32(now.UnixMicro() * 9 / 100),
		Width: f.pic.Width, Height: f.pic.Height, Encoding: f.encoding, Policy: bus.PolicyOff, PublishedAt: now,
		Regions: []bus.Region{{W: f.pic.Width, H: f.pic.Height}}}
	if f.encoding == bus.EncodingSHM {
		slot, err := ring.Acquire()
		if err != nil {
			return err
		}
		f.fill(slot.Planes())
		frame.Ref = slot.Commit()
	} else {
		body, err := encodeJPEG(f.pic, 90)
		if err != nil {
			return err
		}
		frame.Body = body
	}
	if err := conn.PublishFrame(ctx, frame); err != nil || f.blind || seq <= f.lag {
		return err
	}
	return conn.PublishDetections(ctx, f.detections(seq-f.lag, now.Add(-time.Duration(f.lag)*f.every)))
}

func (f film) detections(seq uint64, captured time.Time) *bus.Detections {
	d := &bus.Detections{Schema: bus.SchemaDetections, Camera: f.camera, Session: "01JSESSION", Seq: seq, CapturedAt: captured,
		Clock: bus.ClockArrival, RTPTimestamp: uint32(captured.UnixMicro() * 9 / 100), Frame: bus.Size{Width: f.pic.Width, Height: f.pic.Height}, Model: "test@00000000",
		Tiles: bus.Tiles{Policy: bus.PolicyOff, Run: 1, Of: 1}, Objects: f.objects}
	if f.scene != nil {
		d.Objects = []bus.Object{{Label: "square", Score: 0.5, Box: f.scene(seq, nil)}}
	}
	return d
}

func (f film) fill(p *bus.Planes) {
	p.Matrix, p.FullRange = uint8(f.pic.Matrix), f.pic.FullRange
	copyPlane(p.Y, p.StrideY, f.pic.Y, f.pic.StrideY, f.pic.Width, f.pic.Height)
	cw, ch := (f.pic.Width+1)/2, (f.pic.Height+1)/2
	copyPlane(p.U, p.StrideC, f.pic.U, f.pic.StrideC, cw, ch)
	copyPlane(p.V, p.StrideC, f.pic.V, f.pic.StrideC, cw, ch)
}

// one is a film of a grey picture with one object.
func one(camera string, encoding bus.Encoding, w, h int) film {
	return film{camera: camera, encoding: encoding, every: 40 * time.Millisecond, pic: grey(w, h, 60),
		objects: []bus.Object{{Label: "person", Score: 0.87, Box: bus.Box{600, 300, 1200, 900}}}}
}
