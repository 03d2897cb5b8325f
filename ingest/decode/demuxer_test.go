package decode_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sightline/sightline/ingest/decode"
	"github.com/sightline/sightline/ingest/decode/testclip"
)

func write(t testing.TB, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestWhatIsNoVideoFileIsRefusedWithReasonAndRemedy(t *testing.T) {
	clip := testclip.Make(t, "clip.mp4", testclip.Moving, testclip.H264)
	content, err := os.ReadFile(clip)
	if err != nil {
		t.Fatal(err)
	}
	fifo := filepath.Join(t.TempDir(), "fifo.mp4")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ path, want string }{
		"missing":        {filepath.Join(t.TempDir(), "nowhere.mp4"), "there is no such file; check the path"},
		"directory":      {t.TempDir(), "it is a directory; name a video file in it"},
		"pipe":           {fifo, "it is no regular file; name a video file"},
		"device":         {"/dev/zero", "it is no regular file; name a video file"},
		"io error":       {"/proc/self/mem", "it cannot be read; check the file and its disk"},
		"empty":          {write(t, "empty.mp4", ""), "it is empty; name a video file"},
		"text":           {write(t, "text.mp4", strings.Repeat("Dear camera, please send a picture.\n", 200)), "name a video file"},
		"text named txt": {write(t, "notes.txt", strings.Repeat("Dear camera\n", 500)), "name a video file"},
		"no moov":        {write(t, "cut.mp4", string(content[:len(content)/2])), "cut off"},
		"sound only":     {testclip.Make(t, "sound.mp4", "sine=duration=1", "-c:a aac"), "it has no video stream"},
		"address":        {"rtsp://user:S3cr3t!@127.0.0.1/1", "there is no such file"},
		"protocol":       {"concat:" + clip, "there is no such file"},
		"hls": {write(t, "list.m3u8", "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nfile://"+clip+"\n#EXT-X-ENDLIST\n"),
			"it is a list of other files"},
		"hls named mp4": {write(t, "list.mp4", "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nhttp://127.0.0.1/x.ts\n"),
			"it is a list of other files"},
		"concat": {write(t, "list.ffconcat", "ffconcat version 1.0\nfile '"+clip+"'\n"), "it is a list of other files"},
		"sdp": {write(t, "camera.sdp", "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\na=rtpmap:96 H264/90000\n"),
			"it is a list of other files"},
	} {
		t.Run(name, func(t *testing.T) {
			d, err := decode.OpenFile(context.Background(), c.path)
			if err == nil {
				d.Close()
				t.Fatal("it was opened")
			}
			if text := err.Error(); !strings.Contains(text, c.want) || !strings.HasPrefix(text, "open video file "+c.path) {
				t.Fatalf("error: %v", err)
			}
		})
	}
}

func TestAFileThatMayNotBeReadIsRefused(t *testing.T) {
	path := testclip.Make(t, "clip.mp4", testclip.Moving, testclip.H264)
	if err := os.Chmod(path, 0); err != nil {
		t.Fatal(err)
	}
	failed := make(chan error)
	go func() {
		if os.Geteuid() == 0 { // root may read all: be somebody else, on this thread, which ends with the goroutine
			runtime.LockOSThread()
			if err := unix.Setfsuid(65534); err != nil {
				failed <- err
				return
			}
		}
		_, err := decode.OpenFile(context.Background(), path)
		failed <- err
	}()
	err := <-failed
	if !errors.Is(err, os.ErrPermission) || !strings.Contains(err.Error(), "may not read it; change its permissions") {
		t.Fatalf("error: %v", err)
	}
}

func TestRewindGivesTheSameAgain(t *testing.T) {
	for _, name := range []string{"clip.mp4", "clip.ts", "clip.h264", "clip.avi"} {
		t.Run(name, func(t *testing.T) {
			d, err := decode.OpenFile(t.Context(), testclip.Make(t, name, testclip.Moving, testclip.H264))
			if err != nil {
				t.Fatal(err)
			}
			defer d.Close()
			params, first := d.Parameters(), sizes(t, d)
			if err := d.Rewind(t.Context()); err != nil {
				t.Fatal(err)
			}
			second := sizes(t, d)
			if len(first) != 50 || len(second) != 50 || first[49] != second[49] {
				t.Errorf("%d packets, then %d", len(first), len(second))
			}
			if d.Parameters() != params {
				t.Error("parameters that did not change are a new value")
			}
			if d.Interval().Milliseconds() != 40 {
				t.Errorf("interval %v, want 40ms", d.Interval())
			}
		})
	}
}

func sizes(t *testing.T, d *decode.Demuxer) []int {
	t.Helper()
	var all []int
	var p decode.Packet
	for {
		ok, err := d.Read(t.Context(), &p)
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			return all
		}
		all = append(all, len(p.Data))
	}
}

func TestCancellingEndsReading(t *testing.T) {
	path := testclip.Make(t, "clip.mp4", testclip.Moving, testclip.H264)
	ctx, cancel := context.WithCancel(t.Context())
	d, err := decode.OpenFile(ctx, path)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	cancel()
	var p decode.Packet
	if ok, err := d.Read(ctx, &p); ok || !errors.Is(err, context.Canceled) {
		t.Fatalf("read: %v, %v", ok, err)
	}
	if _, err := decode.OpenFile(ctx, path); !errors.Is(err, context.Canceled) {
		t.Fatalf("open: %v", err)
	}
}

// A file can declare any size: memory is not taken for it.
func TestPicturesBeyondTheLimitAreRefused(t *testing.T) {
	for _, size := range []string{"16640x64", "8192x5120"} {
		path := testclip.Make(t, "large.mkv", "color=size="+size+":rate=5:duration=0.4", "-c:v mjpeg -pix_fmt yuvj420p")
		if got := decodeAs(t, path); got != 0 {
			t.Errorf("%d pictures of %s came out", got, size)
		}
	}
	_, err := decode.Open(&decode.Parameters{Codec: "h264", Width: 8192, Height: 5120}, 1)
	if err == nil || !strings.Contains(err.Error(), "8192x5120 pictures are larger than the limit") {
		t.Errorf("open decoder: %v", err)
	}
}

// decodeAs decodes MJPEG packets with a decoder that was told nothing about their size.
func decodeAs(t *testing.T, path string) int {
	t.Helper()
	d, err := decode.OpenFile(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	decoder, err := decode.Open(&decode.Parameters{Codec: "mjpeg"}, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer decoder.Close()
	count := 0
	var p decode.Packet
	for {
		ok, err := d.Read(t.Context(), &p)
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			return count
		}
		if err := decoder.Send(p.Data, 1); err != nil {
			t.Fatal(err)
		}
		if _, ok, _ := decoder.Receive(); ok {
			count++
		}
	}
}

func FuzzOpenFile(f *testing.F) {
	dir := f.TempDir()
	for _, name := range []string{"seed.mp4", "seed.mkv", "seed.avi"} {
		path := filepath.Join(dir, name)
		out, err := exec.Command("ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=size=32x32:rate=5:duration=0.4", "-c:v", "mpeg4", path).CombinedOutput()
		if err != nil {
			f.Fatalf("run ffmpeg: %v: %s", err, out)
		}
		content, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(content)
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		d, err := decode.OpenFile(t.Context(), write(t, "fuzz", string(content)))
		if err != nil {
			return
		}
		defer d.Close()
		var p decode.Packet
		for range 100 {
			if ok, err := d.Read(t.Context(), &p); !ok || err != nil {
				return
			}
		}
	})
}
