package ingest

import (
	"context"
	"errors"
	"hash/crc32"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/sightline/sightline/pipeline/bus"
	"github.com/sightline/sightline/pipeline/picture"
)

// connect starts a broker inside the test and connects to it.
func connect(t testing.TB, log *logged) *bus.Conn {
	t.Helper()
	server, err := bus.StartServer(bus.ServerConfig{DataDir: t.TempDir()}, log.logger())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	conn, err := bus.Connect(context.Background(), bus.Config{Server: server, Name: "test"}, log.logger())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	return conn
}

// shot is a frame that was read as a detector reads it.
type shot struct {
	bus.Frame
	luma byte   // of the middle
	sum  uint32 // of the luma plane
}

// detector reads every frame of a camera and answers with empty detections.
type detector struct {
	t      testing.TB
	conn   *bus.Conn
	mapper *bus.Mapper
	jpeg   *picture.JPEGDecoder
	heap   picture.I420
	grows  bool // pictures do: the ring of the smaller ones goes, with what was not read

	mu    sync.Mutex // protects shots
	shots []shot
	came  chan struct{} // of length 1
}

func detect(t testing.TB, conn *bus.Conn, camera string) *detector {
	t.Helper()
	jpeg, err := picture.NewJPEGDecoder()
	if err != nil {
		t.Fatal(err)
	}
	d := &detector{t: t, conn: conn, mapper: bus.NewMapper(), jpeg: jpeg, came: make(chan struct{}, 1)}
	s, err := conn.SubscribeFrames(camera, d.frame)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Close()
		d.mapper.Close()
		d.jpeg.Close()
	})
	return d
}

// frame runs in the subscription's goroutine.
func (d *detector) frame(f *bus.Frame) {
	s := shot{Frame: *f}
	switch f.Encoding {
	case bus.EncodingSHM:
		view, err := d.mapper.Open(f.Ref)
		if d.grows && errors.Is(err, bus.ErrStale) {
			return
		}
		if err != nil {
			d.t.Errorf("open frame %d: %v", f.Seq, err)
			return
		}
		p := view.Planes()
		s.read(p.Y, p.StrideY)
		if !view.Valid() {
			d.t.Errorf("frame %d was taken back while it was read", f.Seq)
		}
		view.Release()
	case bus.EncodingJPEG:
		if err := d.jpeg.Decode(f.Body, &d.heap); err != nil {
			d.t.Errorf("decode frame %d: %v", f.Seq, err)
			return
		}
		s.read(d.heap.Y, d.heap.StrideY)
		s.luma = byte((int(s.luma)*219+127)/255 + 16) // JPEG has full range
	}
	d.mu.Lock()
	d.shots = append(d.shots, s)
	d.mu.Unlock()
	signal(d.came)
	err := d.conn.PublishDetections(context.Background(), &bus.Detections{
		Schema: bus.SchemaDetections, Camera: f.Camera, Session: f.Session, Seq: f.Seq, CapturedAt: f.CapturedAt, Clock: f.Clock,
		RTPTimestamp: f.RTPTimestamp, Frame: bus.Size{Width: f.Width, Height: f.Height}, Model: "none@00000000",
		Tiles: bus.Tiles{Policy: f.Policy, Run: len(f.Regions), Of: f.Of, Regions: f.Regions[1:]}, Objects: []bus.Object{},
	})
	if err != nil {
		d.t.Errorf("answer frame %d: %v", f.Seq, err)
	}
}

func (s *shot) read(y []byte, stride int) {
	s.luma = y[s.Height/2*stride+s.Width/2]
	for row := range s.Height {
		s.sum = crc32.Update(s.sum, crc32.IEEETable, y[row*stride:row*stride+s.Width])
	}
}

func (d *detector) all() []shot {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.shots)
}

// wait returns when n frames were read.
func (d *detector) wait(n int) []shot {
	d.t.Helper()
	for {
		if all := d.all(); len(all) >= n {
			return all
		}
		select {
		case <-d.came:
		case <-time.After(patience):
			d.t.Fatalf("%d frames came, want %d", len(d.all()), n)
		}
	}
}

// newCamera makes a camera for a test.
func newCamera(t testing.TB, conn *bus.Conn, log *logged, cfg CameraConfig) *Camera {
	t.Helper()
	if cfg.Name == "" {
		cfg.Name = "gate"
	}
	c, err := NewCamera(cfg, conn, log.logger())
	if err != nil {
		t.Fatal(err)
	}
	c.retry.first = 20 * ms
	return c
}

// run runs a camera until the function that it returns is called; that gives Run's error.
func run(t *testing.T, c *Camera) func() error {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	stop := sync.OnceValue(func() error {
		cancel()
		select {
		case err := <-ended:
			return err
		case <-time.After(patience):
			t.Error("the camera does not stop")
			return nil
		}
	})
	t.Cleanup(func() { stop() })
	return stop
}
