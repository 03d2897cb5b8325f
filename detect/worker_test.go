package detect

import (
	"context"
	"math"
	"testing"
	"time"

	"github.com/sightline/sightline/pipeline/bus"
	"github.com/sightline/sightline/pipeline/picture"
)

// post sends frames of one camera and hears what is detected in them.
type post struct {
	conn  *bus.Conn
	heard chan *bus.Detections
	seq   uint64
	jpeg  *picture.JPEGEncoder
	ring  *bus.Ring
}

// startWorker runs a worker with the tiny model on a broker of its own.
func startWorker(t *testing.T) (*Worker, *post) {
	t.Helper()
	return startLanes(t, 1)
}

// startLanes is startWorker with an engine of so many lanes.
func startLanes(t *testing.T, lanes int) (*Worker, *post) {
	t.Helper()
	broker, err := bus.StartServer(bus.ServerConfig{DataDir: t.TempDir()}, silent)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(broker.Close)
	conn, err := bus.Connect(t.Context(), bus.Config{Server: broker, Name: "test"}, silent)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	w := NewWorker(Duty{}, open(t, "tiny.onnx", func(c *Config) { c.Workers = lanes }), conn, silent)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		select {
		case <-ended:
		case <-time.After(10 * time.Second):
			t.Error("the worker does not stop")
		}
	})
	p := &post{conn: conn, heard: make(chan *bus.Detections, 100)}
	sub, err := conn.SubscribeDetections("gate", func(d *bus.Detections) { p.heard <- d })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sub.Close)
	if p.jpeg, err = picture.NewJPEGEncoder(90); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.jpeg.Close)
	if p.ring, err = bus.NewRing("gate", 4, 640, 360); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.ring.Close() })
	return w, p
}

// TestTheEngineIsReplacedWhileFramesCome: every frame has an answer, first of the one model, then of the other.
func TestTheEngineIsReplacedWhileFramesCome(t *testing.T) {
	w, p := startLanes(t, 2)
	pic := paint(640, 360, block{0, 100, 100, 120, 90})
	first := p.send(t, bus.EncodingJPEG, pic)
	next := open(t, "tiny_v8.onnx", nil)
	if next.model == first.Model {
		t.Fatal("two models of one id show nothing")
	}
	replaced := make(chan *Engine)
	go func() { replaced <- w.Replace(next) }()
	for before, sent := (*Engine)(nil), 0; before == nil || sent < 10; sent++ {
		d := p.send(t, bus.EncodingSHM, pic)
		if before != nil && d.Model != next.model {
			t.Errorf("frame %d, after the change: %s", d.Seq, d.Model)
		}
		select {
		case before = <-replaced:
			if before.model != first.Model {
				t.Errorf("gave back %s", before.model)
			}
		default:
		}
	}
	if s := w.Stats(); s.Bad+s.Failed > 0 {
		t.Errorf("%+v", s)
	}
}

func (p *post) frame(encoding bus.Encoding) *bus.Frame {
	p.seq++
	return &bus.Frame{
		Camera: "gate", Session: "01TEST", Seq: p.seq, CapturedAt: time.Now(), Clock: bus.ClockArrival, Width: 640, Height: 360,
		Encoding: encoding, Policy: bus.PolicyOff, Regions: []bus.Region{{W: 640, H: 360}}, PublishedAt: time.Now(),
	}
}

// send publishes a picture and waits for its detections.
func (p *post) send(t *testing.T, encoding bus.Encoding, pic *picture.I420) *bus.Detections {
	t.Helper()
	f := p.frame(encoding)
	if encoding == bus.EncodingJPEG {
		data, err := p.jpeg.Encode(pic, nil)
		if err != nil {
			t.Fatal(err)
		}
		f.Body = data
	} else {
		slot, err := p.ring.Acquire()
		if err != nil {
			t.Fatal(err)
		}
		planes := slot.Planes()
		copyPlane(planes.Y, planes.StrideY, pic.Y, pic.StrideY, pic.Width, pic.Height)
		copyPlane(planes.U, planes.StrideC, pic.U, pic.StrideC, pic.Width/2, pic.Height/2)
		copyPlane(planes.V, planes.StrideC, pic.V, pic.StrideC, pic.Width/2, pic.Height/2)
		planes.Matrix, planes.FullRange = uint8(pic.Matrix), pic.FullRange
		f.Ref = slot.Commit()
	}
	return p.publish(t, f)
}

func (p *post) publish(t *testing.T, f *bus.Frame) *bus.Detections {
	t.Helper()
	if err := p.conn.PublishFrame(t.Context(), f); err != nil {
		t.Fatal(err)
	}
	select {
	case d := <-p.heard:
		return d
	case <-time.After(10 * time.Second):
		t.Fatal("no detections within 10 s")
		return nil
	}
}

func copyPlane(dst []byte, dstStride int, src []byte, srcStride, w, h int) {
	for y := range h {
		copy(dst[y*dstStride:y*dstStride+w], src[y*srcStride:])
	}
}

func TestBothTransportsGiveTheSameDetections(t *testing.T) {
	w, p := startWorker(t)
	pic := paint(640, 360, block{0, 100, 60, 120, 90}, block{2, 400, 200, 90, 100})
	var objects [2][]bus.Object
	for i, encoding := range []bus.Encoding{bus.EncodingSHM, bus.EncodingJPEG} {
		d := p.send(t, encoding, pic)
		if d.Seq != p.seq || d.Session != "01TEST" || d.Tiles.Run != 1 || d.Timing.Infer <= 0 || d.Timing.Total <= 0 || d.Frame.Width != 640 {
			t.Errorf("%s: %+v", encoding, d)
		}
		holdBlocks(t, d.Objects, 7, block{0, 100, 60, 120, 90}, block{2, 400, 200, 90, 100})
		objects[i] = d.Objects
	}
	for i, o := range objects[0] {
		other := objects[1][i]
		for k := range o.Box {
			if math.Abs(float64(o.Box[k]-other.Box[k])) > 3 {
				t.Errorf("boxes %v and %v", o.Box, other.Box)
			}
		}
		if math.Abs(float64(o.Score-other.Score)) > 0.03 || o.Label != other.Label {
			t.Errorf("%+v and %+v", o, other)
		}
	}
	until(t, "both counted", func() bool { return w.Stats().Objects == 4 }) // a frame is counted after it was handed over
	if s := w.Stats(); s.Frames != 2 || s.Objects != 4 || s.Bad+s.Stale+s.Failed != 0 {
		t.Errorf("%+v", s)
	}
}

// TestBadFramesEndWithThemselves: whatever is wrong with a frame, the next one is detected.
func TestBadFramesEndWithThemselves(t *testing.T) {
	w, p := startWorker(t)
	pic := paint(640, 360, block{0, 100, 60, 120, 90})
	whole, err := p.jpeg.Encode(pic, nil)
	if err != nil {
		t.Fatal(err)
	}
	bad := 0
	for name, change := range map[string]func(*bus.Frame){
		"garbage":    func(f *bus.Frame) { f.Body = []byte("no JPEG") },
		"half":       func(f *bus.Frame) { f.Body = whole[:len(whole)/2] },
		"other size": func(f *bus.Frame) { f.Width, f.Height, f.Regions[0] = 320, 180, bus.Region{W: 320, H: 180} },
	} {
		f := p.frame(bus.EncodingJPEG)
		f.Body = append([]byte{}, whole...)
		change(f)
		if err := p.conn.PublishFrame(t.Context(), f); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		bad++
		until(t, name+" counted", func() bool { return w.Stats().Bad >= uint64(bad) })
		holdBlocks(t, p.send(t, bus.EncodingJPEG, pic).Objects, 7, block{0, 100, 60, 120, 90})
	}
}

// TestSlotThatWasReusedIsStale: the message outlived its pixels.
func TestSlotThatWasReusedIsStale(t *testing.T) {
	w, p := startWorker(t)
	slot, err := p.ring.Acquire()
	if err != nil {
		t.Fatal(err)
	}
	f := p.frame(bus.EncodingSHM)
	f.Ref = slot.Commit()
	if err := p.ring.Close(); err != nil { // the owner is gone, and its memory with it
		t.Fatal(err)
	}
	if err := p.conn.PublishFrame(t.Context(), f); err != nil {
		t.Fatal(err)
	}
	until(t, "stale frame counted", func() bool { return w.Stats().Stale+w.Stats().Bad > 0 })
	if w.Stats().Frames != 0 {
		t.Error("pixels that are gone were detected in")
	}
}
