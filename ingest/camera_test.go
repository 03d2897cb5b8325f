package ingest

import (
	"context"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sightline/sightline/ingest/decode/testclip"
	"github.com/sightline/sightline/pipeline/bus"
)

func TestEveryFrameOfAFileArrivesWithItsPixels(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		transport Transport
		encoding  bus.Encoding
		output    string
	}{
		"auto.mp4":    {TransportAuto, bus.EncodingSHM, testclip.Lossless},
		"jpeg.mp4":    {TransportJPEG, bus.EncodingJPEG, testclip.Lossless},
		"bframes.mkv": {TransportSHM, bus.EncodingSHM, "-c:v libx264 -qp 0 -g 12 -bf 3 -pix_fmt yuv420p"},
		"mpeg4.avi":   {TransportSHM, bus.EncodingSHM, "-c:v mpeg4 -q:v 2 -pix_fmt yuv420p"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			log := &logged{}
			conn := connect(t, log)
			d := detect(t, conn, "gate")
			cam := newCamera(t, conn, log, CameraConfig{
				Source: testclip.Counter(t, name, 40, 25, c.output), Transport: c.transport, Pace: PaceFast,
			})
			if err := cam.Run(t.Context()); err != nil {
				t.Fatal(err)
			}
			shots := d.all()
			if len(shots) != 40 {
				t.Fatalf("%d frames, want 40; %+v", len(shots), cam.Stats())
			}
			for i, s := range shots {
				if n := testclip.CounterOf(s.luma); n != i || s.Seq != uint64(i+1) || s.Dropped != 0 || s.Encoding != c.encoding {
					t.Fatalf("frame %d: shows %d, seq %d, dropped %d, %s", i, n, s.Seq, s.Dropped, s.Encoding)
				}
				want := shots[0].CapturedAt.Add(time.Duration(i) * 40 * ms)
				if !s.CapturedAt.Equal(want) || s.RTPTimestamp != uint32(i*3600) || s.Clock != bus.ClockFile {
					t.Fatalf("frame %d: captured %v after the first, RTP %d, %s", i, s.CapturedAt.Sub(shots[0].CapturedAt), s.RTPTimestamp, s.Clock)
				}
				if s.Session != shots[0].Session || len(s.Session) != 26 || s.Width != 64 || s.Height != 64 {
					t.Fatalf("frame %d: session %q, %dx%d", i, s.Session, s.Width, s.Height)
				}
				if len(s.Regions) != 1 || s.Regions[0] != (bus.Region{W: 64, H: 64}) || s.Policy != bus.PolicyAdaptive {
					t.Fatalf("frame %d: %s %v", i, s.Policy, s.Regions)
				}
			}
			if s := cam.Stats(); s.State != StateEnded || s.Frames != 40 || s.Width != 64 || s.Cause != "end of file" || s.Decode <= 0 {
				t.Errorf("stats: %+v", s)
			}
		})
	}
}

func TestALoopingFileGoesOnInOneSession(t *testing.T) {
	t.Parallel()
	log := &logged{}
	conn := connect(t, log)
	d := detect(t, conn, "gate")
	cam := newCamera(t, conn, log, CameraConfig{Source: testclip.Counter(t, "clip.mp4", 10, 25, testclip.Lossless), Loop: true, Pace: PaceFast})
	stop := run(t, cam)
	shots := d.wait(35)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	for i, s := range shots {
		if testclip.CounterOf(s.luma) != i%10 || s.Seq != uint64(i+1) || s.Session != shots[0].Session {
			t.Fatalf("frame %d: shows %d, seq %d", i, testclip.CounterOf(s.luma), s.Seq)
		}
		if at := s.CapturedAt.Sub(shots[0].CapturedAt); at != time.Duration(i)*40*ms {
			t.Fatalf("frame %d: captured %v after the first", i, at)
		}
	}
	if s := cam.Stats(); s.State != StateStopped {
		t.Errorf("state %s", s.State)
	}
}

// Played in real time no frame comes before its time, and the times are exactly the container's.
func TestRealtimeFollowsTheTimestamps(t *testing.T) {
	t.Parallel()
	log := &logged{}
	conn := connect(t, log)
	d := detect(t, conn, "gate")
	cam := newCamera(t, conn, log, CameraConfig{Source: testclip.Counter(t, "clip.mp4", 15, 50, testclip.Lossless)})
	if err := cam.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	shots := d.all()
	if len(shots) < 5 { // a busy machine may be late for some, which are passed over then
		t.Fatalf("%d frames of 15", len(shots))
	}
	first := testclip.CounterOf(shots[0].luma)
	for _, s := range shots {
		n := testclip.CounterOf(s.luma)
		if s.PublishedAt.Before(s.CapturedAt) {
			t.Errorf("frame %d was published %v before its time", n, s.CapturedAt.Sub(s.PublishedAt))
		}
		if at := s.CapturedAt.Sub(shots[0].CapturedAt); at != time.Duration(n-first)*20*ms && at < time.Second {
			t.Errorf("frame %d: captured %v after frame %d", n, at, first)
		}
	}
}

func TestMaxFPSShedsEvenlyAndCounts(t *testing.T) {
	t.Parallel()
	log := &logged{}
	conn := connect(t, log)
	d := detect(t, conn, "gate")
	cam := newCamera(t, conn, log, CameraConfig{
		Source: testclip.Counter(t, "clip.mp4", 40, 25, testclip.Lossless), Pace: PaceFast, MaxFPS: 5,
	})
	if err := cam.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	shots := d.all()
	for i, s := range shots {
		if s.Seq != uint64(1+5*i) || i > 0 && s.Dropped != 4 || testclip.CounterOf(s.luma) != 5*i {
			t.Errorf("frame %d: seq %d, dropped %d, shows %d", i, s.Seq, s.Dropped, testclip.CounterOf(s.luma))
		}
	}
	if s := cam.Stats(); len(shots) != 8 || s.Dropped["max_fps"] != 32 {
		t.Errorf("%d frames, stats %+v", len(shots), s)
	}
}

func TestAdaptiveRegionsCoverTheFrameInTime(t *testing.T) {
	t.Parallel()
	for _, transport := range []Transport{TransportSHM, TransportJPEG} {
		log := &logged{}
		conn := connect(t, log)
		d := detect(t, conn, "gate")
		cam := newCamera(t, conn, log, CameraConfig{
			Source: testclip.Make(t, "clip.mp4", "color=gray:size=640x360:rate=25:duration=3", testclip.H264), Pace: PaceFast,
			Transport: transport, Tiles: TilesConfig{Policy: bus.PolicyAdaptive, Size: 128, Overlap: 0.2, Sweep: time.Second},
		})
		if err := cam.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		looked, shots := map[bus.Region]bool{}, d.wait(75)
		for _, s := range shots {
			for _, r := range s.Regions[1:] {
				looked[r] = true
			}
			if s.Policy != bus.PolicyAdaptive || s.Of != 29 || s.CoverageAge > 1200*time.Millisecond || len(s.Regions) > 6 { // a frame may get lost on a busy machine
				t.Fatalf("%s, frame %d: %s, %d regions of %d, oldest look %v", transport, s.Seq, s.Policy, len(s.Regions), s.Of, s.CoverageAge)
			}
		}
		if len(looked) != 28 || shots[74].CoverageAge < 500*time.Millisecond {
			t.Errorf("%s: %d of 28 tiles were looked at; oldest look at the end %v", transport, len(looked), shots[74].CoverageAge)
		}
	}
}

func TestGridRegionsAreOfTheFramesSize(t *testing.T) {
	t.Parallel()
	log := &logged{}
	conn := connect(t, log)
	d := detect(t, conn, "gate")
	cam := newCamera(t, conn, log, CameraConfig{
		Source: testclip.Make(t, "clip.mp4", "testsrc2=size=320x180:rate=25:duration=0.2", testclip.H264), Pace: PaceFast,
		Tiles: TilesConfig{Policy: bus.PolicyGrid, Size: 128, Overlap: 0.2},
	})
	if err := cam.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, s := range d.wait(5) {
		if want := bus.GridRegions(320, 180, 128, 0.2); !slices.Equal(s.Regions, want) || len(want) < 7 || s.Policy != bus.PolicyGrid {
			t.Fatalf("%s %v", s.Policy, s.Regions)
		}
	}
}

func TestEventsAndStatusTellOfTheCamera(t *testing.T) {
	t.Parallel()
	log := &logged{}
	conn := connect(t, log)
	events, states := make(chan *bus.Event, 10), make(chan *bus.Status, 10)
	es, err := conn.SubscribeEvents("gate", func(e *bus.Event) { events <- e })
	if err != nil {
		t.Fatal(err)
	}
	defer es.Close()
	ss, err := conn.SubscribeStatus("gate", func(s *bus.Status) { states <- s })
	if err != nil {
		t.Fatal(err)
	}
	defer ss.Close()
	detect(t, conn, "gate")
	cam := newCamera(t, conn, log, CameraConfig{Source: testclip.Counter(t, "clip.mp4", 5, 25, testclip.Lossless), Pace: PaceFast})
	if err := cam.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, want := range []bus.Event{{Type: bus.EventCameraOnline}, {Type: bus.EventCameraOffline, Cause: "end of file"}} {
		select {
		case e := <-events:
			if e.Type != want.Type || e.Cause != want.Cause || e.Camera != "gate" || e.Label != bus.CameraLabel || e.Session == "" {
				t.Errorf("event %+v, want %s %q", e, want.Type, want.Cause)
			}
		case <-time.After(patience):
			t.Fatalf("no %s", want.Type)
		}
	}
	for {
		select {
		case s := <-states:
			if s.Role != "ingest" || s.ID != "gate" {
				t.Fatalf("status %+v", s)
			}
			if s.State == string(StateEnded) {
				if s.Counters["frames"] != 5 || s.Counters["width"] != 64 {
					t.Errorf("status %+v", s)
				}
				return
			}
		case <-time.After(patience):
			t.Fatal("no status of the end")
		}
	}
}

func TestAnUnreachableCameraIsTriedAgainAndLeaksNoPassword(t *testing.T) {
	t.Parallel()
	log := &logged{}
	conn := connect(t, log)
	came := make(chan struct{}, 100)
	refusing := serveTCP(t, func(c net.Conn) {
		c.Close()
		came <- struct{}{}
	})
	cam := newCamera(t, conn, log, CameraConfig{Source: "rtsp://user:" + secretEscaped + "@" + refusing + "/1"})
	stop := run(t, cam)
	for range 3 {
		select {
		case <-came:
		case <-time.After(patience):
			t.Fatalf("it is not tried again: %+v", cam.Stats())
		}
	}
	s := cam.Stats()
	if err := stop(); err != nil || s.Cause == "" || s.Reconnects < 2 {
		t.Errorf("stopped: %v; %+v", err, s)
	}
	checkSecrets(t, s.Cause)
	checkSecrets(t, log.String())
}

func TestCameraConfigurationsAreChecked(t *testing.T) {
	t.Parallel()
	log := &logged{}
	conn := connect(t, log)
	_, err := NewCamera(CameraConfig{
		Name: "a.b>", Source: "clip.mp4", Detector: "a b", Transport: "fax", Pace: "slow", JPEGQuality: 101, MaxFPS: -1, Threads: 99,
		Tiles: TilesConfig{Policy: "all", Size: 8, Overlap: 2},
	}, conn, log.logger())
	if err == nil {
		t.Fatal("it was taken")
	}
	for _, word := range []string{"camera", "detector", "transport", "pace", "quality", "fps", "threads", "policy", "size", "overlap"} {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("nothing about %s in: %v", word, err)
		}
	}
	for source, want := range map[string]string{
		"":                              "has no source",
		"ftp://u:" + secret + "@host/x": "no scheme that a camera may have",
		"gopher://169.254.169.254/":     "no scheme that a camera may have",
	} {
		_, err := NewCamera(CameraConfig{Name: "gate", Source: source}, conn, log.logger())
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("source %q: %v", source, err)
			continue
		}
		checkSecrets(t, err.Error())
	}
}

func TestSlotsStayBelowTheMemoryBound(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ w, h, want int }{{640, 480, 8}, {1920, 1080, 8}, {2560, 1440, 8}, {3840, 2160, 4}, {7680, 4320, 4}} {
		if n := slotsFor(c.w, c.h); n != c.want {
			t.Errorf("%dx%d: %d slots, want %d", c.w, c.h, n, c.want)
		}
	}
}

// BenchmarkOwner plays a 4K file in a loop, a detector answering, and counts everything in the process: decoding, copying,
// publishing, the broker, and the answers.
func BenchmarkOwner(b *testing.B) {
	log := &logged{}
	conn := connect(b, log)
	source := testclip.Shared(b, "mosaic-4k.mp4")
	answered := make(chan struct{}, 1)
	s, err := conn.SubscribeFrames("gate", func(f *bus.Frame) {
		_ = conn.PublishDetections(context.Background(), &bus.Detections{
			Camera: f.Camera, Session: f.Session, Seq: f.Seq, CapturedAt: f.CapturedAt, Clock: f.Clock, Model: "none@00000000",
			Frame: bus.Size{Width: f.Width, Height: f.Height}, Tiles: bus.Tiles{Policy: f.Policy, Run: 1, Of: 1},
		})
		signal(answered)
	})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	cam := newCamera(b, conn, log, CameraConfig{Source: source, Loop: true, Pace: PaceFast})
	ctx, cancel := context.WithCancel(b.Context())
	ended := make(chan error, 1)
	go func() { ended <- cam.Run(ctx) }()
	<-answered
	b.ReportAllocs()
	for b.Loop() {
		<-answered
	}
	cancel()
	<-ended
	st := cam.Stats()
	b.ReportMetric(float64(st.DecodeTotal.Microseconds())/1000/float64(st.Frames), "decode-ms/frame")
}
