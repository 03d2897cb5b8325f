package sinks

import (
	"bytes"
	"context"
	"fmt"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/sightline/sightline/pipeline/bus"
)

// openPage opens the viewer page in a headless Chromium, as a visitor would.
func openPage(t *testing.T, url string) context.Context {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatalf("find chromium: %v; install package chromium", err)
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.UserDataDir(t.TempDir()),
		chromedp.NoSandbox, chromedp.DisableGPU, chromedp.WindowSize(1440, 900))
	ctx, stop := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(stop)
	ctx, closePage := chromedp.NewContext(ctx)
	t.Cleanup(closePage)
	ctx, cancel := context.WithTimeout(ctx, 60*time.Second)
	t.Cleanup(cancel)
	if err := chromedp.Do(ctx, chromedp.Navigate(url)); err != nil {
		t.Fatal(err)
	}
	return ctx
}

// ask waits for what a promise in the page gives.
func ask[T any](t *testing.T, page context.Context, promise string) T {
	t.Helper()
	v, err := chromedp.Run(page, chromedp.Evaluate[T](promise, chromedp.EvalAwaitPromise))
	if err != nil {
		text, _ := chromedp.Run(page, chromedp.Evaluate[string](`document.body.innerText`))
		t.Fatalf("%v; the page reads:\n%s", err, text)
	}
	return v
}

// playing resolves to the size of the video and the number of frames that were shown, once there are thirty.
const playing = `new Promise((done) => {
	let shown = 0;
	const count = (_, frame) => ++shown == 30 ? done([frame.width, frame.height, shown]) : document.querySelector("video").requestVideoFrameCallback(count);
	const wait = () => document.querySelector("video") ? document.querySelector("video").requestVideoFrameCallback(count) : setTimeout(wait, 20);
	wait();
})`

// probe draws the video's present picture and reads a column of grey far from the box, and the extent of what differs
// from it along a row through the box.
const probe = `new Promise((done) => {
	const video = document.querySelector("video"), canvas = document.createElement("canvas");
	canvas.width = video.videoWidth; canvas.height = video.videoHeight;
	const c = canvas.getContext("2d");
	c.drawImage(video, 0, 0);
	const row = c.getImageData(0, 450, canvas.width, 1).data, grey = [row[32], row[33], row[34]];
	let left = -1, right = -1;
	for (let x = 0; x < canvas.width; x++)
		if (Math.max(...grey.map((g, i) => Math.abs(row[4 * x + i] - g))) > 20) { if (left < 0) left = x; right = x; }
	done([...grey, left, right]);
})`

func TestChromiumPlaysThePage(t *testing.T) {
	for _, encoding := range []bus.Encoding{bus.EncodingSHM, bus.EncodingJPEG} {
		t.Run(string(encoding), func(t *testing.T) {
			s := startStation(t, Config{})
			one("gate", encoding, 1920, 1080).roll(t, s.conn)
			page := openPage(t, s.url)
			if v := ask[[]int](t, page, playing); v[0] != 1280 || v[1] != 720 {
				t.Errorf("the video is %dx%d", v[0], v[1])
			}
			seen := ask[[]int](t, page, probe)
			for _, v := range seen[:3] { // (60-16)*255/219 = 51
				if v < 47 || v > 55 {
					t.Errorf("grey of 51 is shown as %v", seen[:3])
					break
				}
			}
			if !near(seen[3], 400) || !near(seen[4], 799) {
				t.Errorf("box from %d to %d, want 400 to 800", seen[3], seen[4])
			}
			shot, err := chromedp.Run(page, chromedp.CaptureScreenshot())
			if err != nil {
				t.Fatal(err)
			}
			if _, err := png.Decode(bytes.NewReader(shot)); err != nil {
				t.Error(err)
			}
			if err := os.WriteFile(filepath.Join(t.ArtifactDir(), fmt.Sprintf("page-%s.png", encoding)), shot, 0o644); err != nil {
				t.Error(err)
			}
		})
	}
}
