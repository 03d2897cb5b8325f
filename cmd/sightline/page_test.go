package main

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/chromedp/chromedp"
)

// openPage shows an address in a headless Chromium, as a visitor would see it.
func openPage(t testing.TB, url string) context.Context {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatalf("find chromium: %v; run `make deps`", err)
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.UserDataDir(t.TempDir()),
		chromedp.NoSandbox, chromedp.DisableGPU, chromedp.WindowSize(1440, 900))
	ctx, stop := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(stop)
	ctx, closePage := chromedp.NewContext(ctx)
	t.Cleanup(closePage)
	ctx, cancel := context.WithTimeout(ctx, 2*patience)
	t.Cleanup(cancel)
	if err := chromedp.Do(ctx, chromedp.Navigate(url)); err != nil {
		t.Fatal(err)
	}
	return ctx
}

// promised waits for what a promise in the page gives.
func promised[T any](t testing.TB, page context.Context, promise string) T {
	t.Helper()
	v, err := chromedp.Run(page, chromedp.Evaluate[T](promise, chromedp.EvalAwaitPromise))
	if err != nil {
		text, _ := chromedp.Run(page, chromedp.Evaluate[string](`document.body.innerText`))
		t.Fatalf("%v; the page reads:\n%s", err, text)
	}
	return v
}

// shown resolves to width, height and frames of the first video, once n frames were shown.
func shown(n int) string {
	return fmt.Sprintf(`new Promise((done) => {
		let frames = 0;
		const video = () => document.querySelector("video");
		const count = (_, frame) => ++frames == %d ? done([frame.width, frame.height, frames]) : video().requestVideoFrameCallback(count);
		const wait = () => video() ? video().requestVideoFrameCallback(count) : setTimeout(wait, 20);
		wait();
	})`, n)
}

// capture takes a screenshot into a file.
func capture(t testing.TB, page context.Context, file string) image.Image {
	t.Helper()
	data, err := chromedp.Run(page, chromedp.CaptureScreenshot())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, data, 0o644); err != nil {
		t.Fatal(err)
	}
	shot, err := png.Decode(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	return shot
}

// framed counts the rows on which red lies between lines in the colour of the box.
func framed(shot image.Image) (rows int) {
	b := shot.Bounds()
	for y := b.Min.Y; y < b.Max.Y; y++ {
		red := along(b.Dx(), func(x int) bool { return looksLike(shot.At(x, y), color.RGBA{R: 255}) })
		green := along(b.Dx(), func(x int) bool { return looksLike(shot.At(x, y), color.RGBA{R: 40, G: 255, B: 40}) })
		if red.to-red.from > 20 && green.from >= 0 && green.from < red.from && green.to > red.to {
			rows++
		}
	}
	return rows
}

func looksLike(c color.Color, like color.RGBA) bool {
	r, g, b, _ := c.RGBA()
	far := func(a uint32, b uint8) bool { d := int(a>>8) - int(b); return d > 70 || d < -70 }
	return !far(r, like.R) && !far(g, like.G) && !far(b, like.B)
}

func TestPageShowsLiveVideoWithBoxes(t *testing.T) {
	config := write(t, "quiet.yaml", "bus: {listen: \"\"}\n")
	p := start(t, nil, run("-c", config, "--loop", "--model", tiny(t), scene(t, "10"))...)
	page := openPage(t, p.page(t))
	first := promised[[]int](t, page, shown(sceneRate))
	if first[0] != sceneWidth || first[1] != sceneHeight {
		t.Errorf("the video is %dx%d, want %dx%d", first[0], first[1], sceneWidth, sceneHeight)
	}
	promised[[]int](t, page, shown(sceneRate)) // frames go on
	rows := 0
	eventually(t, "a box around the block in the screenshot", func() bool {
		rows = framed(capture(t, page, filepath.Join(t.ArtifactDir(), "page.png")))
		return rows > blockHeight/3
	})
	if code := p.stop(t); code != exitDone {
		t.Errorf("exit code %d with a viewer", code)
	}
}
