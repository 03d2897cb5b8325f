package ingest

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

const chromium = "/usr/bin/chromium"

// publishingPage takes the camera and publishes it, as any page with a WHIP client does.
const publishingPage = `<!doctype html><title>publish</title><script>
async function publish(codec) {
  const stream = await navigator.mediaDevices.getUserMedia({video: {width: 640, height: 480, frameRate: 20}, audio: true});
  const pc = window.pc = new RTCPeerConnection();
  for (const track of stream.getTracks()) {
    if (track.kind === 'video') track.contentHint = 'detail'; // a busy machine shall send fewer pictures, not smaller ones
    const t = pc.addTransceiver(track, {direction: 'sendonly', streams: [stream]});
    if (track.kind === 'video')
      t.setCodecPreferences(RTCRtpSender.getCapabilities('video').codecs.filter(c => c.mimeType === codec));
  }
  await pc.setLocalDescription();
  await new Promise(done => pc.iceGatheringState === 'complete' ? done() :
    pc.onicegatheringstatechange = () => pc.iceGatheringState === 'complete' && done());
  const response = await fetch('/yard/whip', {method: 'POST', body: pc.localDescription.sdp,
    headers: {'Content-Type': 'application/sdp', 'Authorization': 'Bearer token'}});
  if (response.status !== 201) throw new Error(response.status + ' ' + await response.text());
  await pc.setRemoteDescription({type: 'answer', sdp: await response.text()});
  return new URL(response.headers.get('Location'), location.href).href;
}
</script>`

// browser starts headless Chromium with its fake camera, which shows a moving picture on green.
func browser(t *testing.T) context.Context {
	t.Helper()
	if _, err := os.Stat(chromium); err != nil {
		t.Fatalf("find a browser: %v: run make deps", err)
	}
	options := []chromedp.ExecAllocatorOption{
		chromedp.ExecPath(chromium), chromedp.UserDataDir(t.TempDir()), chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Env("TMPDIR=" + t.TempDir()),
		chromedp.NoFirstRun, chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true),
		chromedp.Flag("use-fake-device-for-media-stream", true), chromedp.Flag("use-fake-ui-for-media-stream", true),
	}
	ctx, stop := context.WithTimeout(t.Context(), 5*patience)
	t.Cleanup(stop)
	ctx, stop = chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(stop)
	ctx, stop = chromedp.NewContext(ctx)
	t.Cleanup(func() {
		chromedp.Cancel(ctx) //nolint:errcheck // closes the browser and waits for it
		stop()
	})
	if err := chromedp.Do(ctx); err != nil { // starts it
		t.Fatal(err)
	}
	return ctx
}

// pageServer serves the page beside the camera that it publishes to.
func pageServer(t *testing.T, s *whipServer) *httptest.Server {
	t.Helper()
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/" {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			w.Write([]byte(publishingPage)) //nolint:errcheck // the test notices
			return
		}
		s.ServeHTTP(w, r)
	}))
	t.Cleanup(page.Close)
	return page
}

func TestWHIPChromiumPublishes(t *testing.T) {
	t.Parallel()
	chrome := browser(t)
	for _, codec := range []string{"video/VP8", "video/H264"} {
		t.Run(codec[6:], func(t *testing.T) {
			t.Parallel()
			s := newWHIPServer(t, "token")
			s.source.silent = 3 * time.Second // a tab that is closed says nothing
			w := watch(t, s.source)
			ctx, leave := chromedp.NewContext(chrome, chromedp.WithNewBrowserContext())
			t.Cleanup(leave)
			if err := chromedp.Do(ctx, chromedp.Navigate(pageServer(t, s).URL)); err != nil {
				t.Fatal(err)
			}
			known, err := chromedp.Run(ctx, chromedp.Evaluate[bool](
				`RTCRtpSender.getCapabilities('video').codecs.some(c => c.mimeType === '`+codec+`')`))
			if err != nil || !known {
				t.Fatalf("this Chromium does not send %s: %v", codec, err)
			}
			session, err := chromedp.Run(ctx, chromedp.Evaluate[string](`publish('`+codec+`')`, chromedp.EvalAwaitPromise))
			if err != nil || session == "" {
				t.Fatalf("publish: %v", err)
			}
			checkFakeCamera(t, w)
			if err := chromedp.Do(ctx, chromedp.Navigate("about:blank")); err != nil {
				t.Fatal(err)
			}
			w.fails(Closed, "yard")
		})
	}
}

// checkFakeCamera waits until the picture has the size that the page asked for, and looks at it: green, and moving.
func checkFakeCamera(t *testing.T, w *watched) {
	t.Helper()
	var before pictured
	moved := 0
	for n := 0; n < 400 && moved < 10; n++ {
		p := w.next()
		if p.picture.Width*480 != p.picture.Height*640 {
			t.Fatalf("picture of %dx%d", p.picture.Width, p.picture.Height)
		}
		if n > 0 && p.PTS <= before.PTS {
			t.Errorf("picture at %s after one at %s", p.PTS, before.PTS)
		}
		if p.picture.Width == 640 {
			if u, v := p.picture.U[0], p.picture.V[0]; u > 110 || v > 110 {
				t.Fatalf("the corner is not green: U %d, V %d", u, v)
			}
			if n > 0 && before.picture.Width == 640 && string(before.picture.Y) != string(p.picture.Y) {
				moved++
			}
		}
		before = p
	}
	if moved < 10 {
		t.Errorf("%d moving pictures of 640x480; the last one was %dx%d", moved, before.picture.Width, before.picture.Height)
	}
}
