package ingest

import (
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sightline/sightline/ingest/decode/testclip"
	"github.com/sightline/sightline/pipeline/bus"
)

// damagedCopy overwrites a stretch in the middle of a file.
func damagedCopy(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(7, 7))
	for at := len(content) * 2 / 5; at < len(content)/2; at++ {
		content[at] = byte(rng.Uint32())
	}
	out := filepath.Join(t.TempDir(), "damaged"+filepath.Ext(path))
	if err := os.WriteFile(out, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return out
}

// What is published of a damaged file is exactly what the whole file shows at that time; behind the damage it goes on.
func TestADamagedFileGoesOnFromTheNextKeyFrame(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"clip.mp4", "clip.ts", "clip.mkv"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			log := &logged{}
			conn := connect(t, log)
			d := detect(t, conn, "*")
			whole := testclip.Make(t, name, "testsrc2=size=320x180:rate=25:duration=4",
				"-c:v libx264 -preset medium -tune zerolatency -g 10 -pix_fmt yuv420p")
			clean := newCamera(t, conn, log, CameraConfig{Name: "clean", Source: whole, Pace: PaceFast})
			damaged := newCamera(t, conn, log, CameraConfig{Name: "damaged", Source: damagedCopy(t, whole), Pace: PaceFast})
			for _, cam := range []*Camera{clean, damaged} {
				if err := cam.Run(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			sums, got, last := map[uint32]bool{}, 0, shot{}
			for _, s := range d.all() {
				if s.Camera == "clean" {
					sums[s.sum] = true
					continue
				}
				if got, last = got+1, s; !sums[s.sum] {
					t.Errorf("frame %d at %d shows what the whole file never does", s.Seq, s.RTPTimestamp)
				}
			}
			s := damaged.Stats()
			if len(sums) != 100 || got < 50 || got == 100 || s.Dropped["corrupt"] == 0 {
				t.Errorf("%d frames whole, %d damaged, %+v", len(sums), got, s)
			}
			if last.RTPTimestamp < 90*3600 {
				t.Errorf("the last frame is of %d: it did not go on behind the damage", last.RTPTimestamp)
			}
		})
	}
}

// A file that was cut between key frames hides the pictures before the cut: they are decoded, since others refer to them.
func TestPicturesHiddenByAnEditListAreNotPublished(t *testing.T) {
	t.Parallel()
	whole := testclip.Counter(t, "whole.mp4", 40, 25, "-c:v libx264 -preset ultrafast -tune zerolatency -qp 0 -g 10 -pix_fmt yuv420p")
	cut := filepath.Join(t.TempDir(), "cut.mp4")
	if out, err := exec.Command("ffmpeg", "-v", "error", "-ss", "0.52", "-i", whole, "-c", "copy", cut).CombinedOutput(); err != nil {
		t.Fatalf("cut with ffmpeg: %v: %s", err, out)
	}
	log := &logged{}
	conn := connect(t, log)
	d := detect(t, conn, "gate")
	if err := newCamera(t, conn, log, CameraConfig{Source: cut, Pace: PaceFast}).Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	shots := d.all()
	if len(shots) != 27 {
		t.Fatalf("%d frames, want 27: the first 13 of 40 are cut off, 10 of them with their key frame", len(shots))
	}
	for i, s := range shots {
		if testclip.CounterOf(s.luma) != 13+i || s.Seq != uint64(1+i) {
			t.Errorf("frame %d shows %d, seq %d", i, testclip.CounterOf(s.luma), s.Seq)
		}
	}
}

func TestATruncatedFileIsPlayedAsFarAsItGoes(t *testing.T) {
	t.Parallel()
	log := &logged{}
	conn := connect(t, log)
	d := detect(t, conn, "gate")
	whole := testclip.Counter(t, "clip.ts", 40, 25, testclip.Lossless)
	content, err := os.ReadFile(whole)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(whole, content[:len(content)/2+77], 0o600); err != nil {
		t.Fatal(err)
	}
	if err := newCamera(t, conn, log, CameraConfig{Source: whole, Pace: PaceFast}).Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	shots := d.all()
	if len(shots) < 10 || len(shots) > 30 {
		t.Errorf("%d frames of half the file", len(shots))
	}
	for i, s := range shots {
		if testclip.CounterOf(s.luma) != i {
			t.Errorf("frame %d shows %d", i, testclip.CounterOf(s.luma))
		}
	}
}

func TestFilesThatCannotBePlayedFailWithTheReason(t *testing.T) {
	t.Parallel()
	text, empty, circle := filepath.Join(t.TempDir(), "text.mp4"), filepath.Join(t.TempDir(), "empty.mp4"), filepath.Join(t.TempDir(), "circle.mp4")
	err := errors.Join(os.WriteFile(text, []byte(strings.Repeat("no video\n", 1000)), 0o600), os.WriteFile(empty, nil, 0o600), os.Symlink(circle, circle))
	if err != nil {
		t.Fatal(err)
	}
	log := &logged{}
	conn := connect(t, log)
	events := make(chan *bus.Event, 10)
	s, err := conn.SubscribeEvents("gate", func(e *bus.Event) { events <- e })
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for source, want := range map[string]string{
		filepath.Join(t.TempDir(), "missing.mp4"): "there is no such file; check the path",
		t.TempDir(): "it is a directory; name a video file in it",
		text:        "name a video file",
		empty:       "it is empty; name a video file",
		circle:      "too many levels of symbolic links", // unreadable for root too
		testclip.Make(t, "sound.mp4", "sine=duration=1", "-c:a aac"): "it has no video stream (mov,mp4",
		"/dev/null": "it is no regular file; name a video file",
	} {
		cam := newCamera(t, conn, log, CameraConfig{Source: source})
		err := cam.Run(t.Context())
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), source) {
			t.Errorf("run %s: %v", source, err)
		}
		if strings.Contains(source, "missing") && !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("run %s: %v is not fs.ErrNotExist", source, err)
		}
		if st := cam.Stats(); st.State != StateFailed || st.Cause != err.Error() {
			t.Errorf("stats %+v", st)
		}
		select {
		case e := <-events:
			if e.Type != bus.EventCameraOffline || !strings.Contains(e.Cause, want) {
				t.Errorf("event %+v", e)
			}
		case <-time.After(patience):
			t.Error("no event")
		}
	}
}
