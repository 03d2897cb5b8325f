package bus

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

const patience = 20 * time.Second

// TestMain looks at the world afterwards: no goroutine and no ring may be left.
func TestMain(m *testing.M) {
	before := rings()
	code := m.Run()
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	if left := rings(); code == 0 && len(left) > len(before) {
		fmt.Fprintln(os.Stderr, "rings left in shared memory:", left)
		code = 1
	}
	os.Exit(code)
}

func rings() (names []string) {
	entries, _ := os.ReadDir(ringDir())
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), fmt.Sprintf("%s%d-%d-", ringPrefix, os.Getuid(), os.Getpid())) {
			names = append(names, e.Name())
		}
	}
	return names
}

// journal is a log that tests read.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(b)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

func (j *journal) log() *slog.Logger { return slog.New(slog.NewTextHandler(j, nil)) }

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func newBroker(t testing.TB, listen string) *Server {
	t.Helper()
	return newBrokerIn(t, listen, t.TempDir())
}

func newBrokerIn(t testing.TB, listen, dir string) *Server {
	t.Helper()
	s, err := StartServer(ServerConfig{Listen: listen, DataDir: dir}, quiet())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func connect(t testing.TB, cfg Config) *Conn {
	t.Helper()
	c, err := Connect(deadline(t), cfg, quiet())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func deadline(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// eventually asks until the answer is yes.
func eventually(t testing.TB, what string, ask func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); !ask(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("never came true: %s", what)
		}
	}
}

var captured = time.Date(2026, 2, 3, 10, 11, 12, 123456789, time.UTC)

func jpegFrame(camera string, seq uint64) *Frame {
	return &Frame{
		Camera: camera, Session: "01JKX", Seq: seq, CapturedAt: captured, Clock: ClockRTCP, RTPTimestamp: 165782000, Width: 3840, Height: 2160,
		Encoding: EncodingJPEG, Policy: PolicyAdaptive, Regions: GridRegions(3840, 2160, 640, 0.2), Of: 33, CoverageAge: 812 * time.Millisecond, Dropped: 2, Decode: 11234 * time.Microsecond,
		Body: []byte("\xff\xd8 a picture \xff\xd9"),
	}
}

func someDetections(camera string, seq uint64) *Detections {
	return &Detections{
		Camera: camera, Session: "01JKX", Seq: seq, CapturedAt: captured, Clock: ClockRTCP, RTPTimestamp: 165782000,
		Frame: Size{3840, 2160}, Model: "yolox-nano-int8@9f3c12ab", Detector: "big", Dropped: 2, Tiles: Tiles{PolicyAdaptive, 3, 33, 812.5, []Region{{0, 0, 640, 640}, {512, 0, 640, 640}}},
		Timing:  Timing{11.2, 3.1, 2, 24.7, 0.4, 48.4},
		Objects: []Object{{"person", 0, 0.87, Box{1532.5, 610, 1620.5, 841.5}}},
	}
}
