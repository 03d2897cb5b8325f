package testcam

import (
	"context"
	"crypto/tls"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/sightline/sightline/ingest/decode/testclip"
)

// Somebody else's client reads the stream: ffmpeg takes all pictures of more than one round, by both ways of authentication.
func TestForeignClientsReadTheStream(t *testing.T) {
	t.Parallel()
	for name, output := range map[string]string{
		"h264.mp4":  testclip.H264,
		"h264.ts":   testclip.H264,
		"h264.h264": testclip.H264,
		"h265.mp4":  "-c:v libx265 -preset ultrafast -g 10 -x265-params log-level=none -pix_fmt yuv420p",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			clip := testclip.Make(t, name, "testsrc2=size=320x180:rate=25:duration=1", output)
			c, err := Listen(t.Context(), "127.0.0.1:0", clip, Options{Path: "yard/1", User: "admin", Password: "a b"})
			if err != nil {
				t.Fatal(err)
			}
			ctx, stop := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- c.Run(ctx) }()
			url := strings.Replace(c.URL(), "://", "://admin:a%20b@", 1)
			out, err := exec.Command("ffprobe", "-v", "error", "-rtsp_transport", "tcp", "-read_intervals", "%+#40", "-count_frames",
				"-show_entries", "stream=codec_name,width,height,nb_read_frames", "-of", "csv", url).CombinedOutput()
			stop()
			if err := <-ended; err != nil {
				t.Error(err)
			}
			codec, _, _ := strings.Cut(name, ".")
			if codec == "h265" {
				codec = "hevc"
			}
			if want := "stream," + codec + ",320,180,"; err != nil || !strings.Contains(string(out), want) {
				t.Errorf("ffprobe: %v: %s, want %s", err, out, want)
			}
			if s := c.Stats(); s.Sessions != 1 || s.Loops < 1 {
				t.Errorf("%+v", s)
			}
		})
	}
}

func TestListenRefuses(t *testing.T) {
	t.Parallel()
	clip := testclip.Make(t, "clip.mp4", "testsrc2=size=64x64:rate=25:duration=0.2", testclip.H264)
	other := testclip.Make(t, "clip.webm", "testsrc2=size=64x64:rate=25:duration=0.2", "-c:v libvpx")
	first, err := Listen(t.Context(), "127.0.0.1:0", clip, Options{TLS: &tls.Config{MinVersion: tls.VersionTLS12}})
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	if !strings.HasPrefix(first.URL(), "rtsps://127.0.0.1:") {
		t.Errorf("URL is %s", first.URL())
	}
	for name, test := range map[string]struct {
		address, file string
		options       Options
		want          string
	}{
		"no file":       {"127.0.0.1:0", filepath.Join(t.TempDir(), "none.mp4"), Options{}, "none.mp4"},
		"another codec": {"127.0.0.1:0", other, Options{}, "it holds vp8; convert it to H.264"},
		"port in use":   {first.Address(), clip, Options{}, "in use"},
		"no such login": {"127.0.0.1:0", clip, Options{Auth: []Auth{"ntlm"}}, "must be basic, digest or digest-sha256"},
	} {
		if err := Serve(t.Context(), test.address, test.file, test.options); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", name, err, test.want)
		}
	}
}

// cutOff is a log that ends something with its first line.
type cutOff context.CancelFunc

func (end cutOff) Write(line []byte) (int, error) {
	end()
	return len(line), nil
}

func TestServeEndsWithItsContext(t *testing.T) {
	t.Parallel()
	clip := testclip.Make(t, "clip.mp4", "testsrc2=size=64x64:rate=25:duration=0.2", testclip.H264)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	on := slog.New(slog.NewTextHandler(cutOff(cancel), nil)) // its first line says that the camera is on
	if err := Serve(ctx, "127.0.0.1:0", clip, Options{Log: on}); err != nil || ctx.Err() == nil {
		t.Errorf("cancelled: %v, %v", err, ctx.Err())
	}
}

func FuzzParameterSets(f *testing.F) {
	f.Add([]byte("\x01\x42\x00\x1e\xff\xe1\x00\x04\x67\x42\x00\x1e\x01\x00\x02\x68\xce"), []byte("\x00\x00\x00\x02\x65\x88"))
	f.Add([]byte("\x00\x00\x00\x01\x67\x42\x00\x00\x01\x68\xce"), []byte("\x00\x00\x01\x65\x88"))
	f.Add(append([]byte{1, 22: 1}, 0x20, 0, 1, 0, 2, 0x40, 1), []byte{0, 0, 0, 9})
	f.Fuzz(func(t *testing.T, extradata, data []byte) {
		if len(extradata) >= 7 && extradata[0] == 1 {
			avcSets(extradata) //nolint:errcheck // it must not panic
		}
		if len(extradata) >= 23 {
			hevcSets(extradata) //nolint:errcheck // it must not panic
		}
		for lengths := range 5 {
			v := video{lengths: lengths}
			nals, err := v.split(data)
			for _, nal := range nals {
				if err == nil && len(nal) == 0 {
					t.Error("an empty NAL unit")
				}
			}
		}
	})
}

func TestMain(m *testing.M) {
	if _, err := exec.LookPath("ffprobe"); err != nil {
		os.Stderr.WriteString("ffprobe is not installed: run make deps\n") //nolint:errcheck // the exit status says it too
		os.Exit(1)
	}
	goleak.VerifyTestMain(m)
}
