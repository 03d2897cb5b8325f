package viewer

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"go.uber.org/goleak"
)

// patience bounds what takes a moment, on a machine that does many other things too.
const patience = 60 * time.Second

func TestMain(m *testing.M) { goleak.VerifyTestMain(browsing{m}) }

// browsing runs the tests and closes their browser before anybody looks for what is left.
type browsing struct{ *testing.M }

func (m browsing) Run() int {
	defer func() {
		if chromium.close != nil {
			chromium.close()
		}
	}()
	return m.M.Run()
}

// chromium is the one browser of all tests; each has a window with storage of its own.
var chromium struct {
	once  sync.Once
	ctx   context.Context // chromedp's handle of a browser
	close func()
	err   error
}

func startChromium() (err error) {
	path, err := exec.LookPath("chromium")
	if err != nil {
		return fmt.Errorf("find chromium: %w; run `make deps`", err)
	}
	dir, err := os.MkdirTemp("", "viewer")
	if err != nil {
		return err
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.UserDataDir(filepath.Join(dir, "profile")),
		chromedp.Env("TMPDIR="+dir), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.WindowSize(1440, 900), chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("autoplay-policy", "document-user-activation-required"))
	allocator, stop := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, cancel := chromedp.NewContext(allocator)
	chromium.ctx = ctx
	chromium.close = func() {
		limited, late := context.WithTimeout(ctx, patience)
		defer late()
		_ = chromedp.Cancel(limited) // closes the browser in order and waits
		cancel()
		stop()
		_ = os.RemoveAll(dir)
	}
	return chromedp.Do(ctx)
}

// browser is one window, which fails the test at its end when the page made an error, broke its own policy or asked another
// host for anything.
type browser struct {
	t   *testing.T
	ctx context.Context
}

func newBrowser(t *testing.T, origin string) *browser {
	t.Helper()
	chromium.once.Do(func() { chromium.err = startChromium() })
	if chromium.err != nil {
		t.Fatal(chromium.err)
	}
	var mu sync.Mutex // protects faults
	var faults []string
	ctx, closeWindow := chromedp.NewContext(chromium.ctx, chromedp.WithNewBrowserContext(), chromedp.WithListener(func(event any) {
		mu.Lock()
		defer mu.Unlock()
		if fault := faultOf(event, origin); fault != "" {
			faults = append(faults, fault)
		}
	}))
	t.Cleanup(func() {
		closeWindow()
		mu.Lock()
		defer mu.Unlock()
		for _, fault := range faults {
			t.Errorf("the page: %s", fault)
		}
	})
	b := &browser{t: t, ctx: ctx}
	b.do(call(network.Enable, network.EnableParams{}), call(log.Enable, cdp.Empty{}), chromedp.EmulateViewport(1440, 900),
		call(emulation.SetFocusEmulationEnabled, emulation.SetFocusEmulationEnabledParams{Enabled: true})) // each as if in front
	return b
}

// call makes a command of the protocol an action.
func call[P, R any](command cdp.Command[P, R], params P) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, command, params)
		return err
	})
}

// faultOf tells what is wrong with an event. Refused requests are no fault of the page: tests make them.
func faultOf(event any, origin string) string {
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		return "threw " + e.ExceptionDetails.Text + " " + e.ExceptionDetails.Exception.Description
	case *network.EventRequestWillBeSent:
		if !strings.HasPrefix(e.Request.URL, origin) && e.Request.URL != "about:blank" {
			return "asked for " + e.Request.URL
		}
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError && e.Entry.Source != log.EntrySourceNetwork {
			return e.Entry.Text
		}
	}
	return ""
}

func (b *browser) do(actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	if err := chromedp.Do(b.ctx, actions...); err != nil {
		b.t.Fatal(err)
	}
}

// await returns when the JavaScript condition holds. It asks at every animation frame inside the page.
func (b *browser) await(condition string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	script := fmt.Sprintf(`new Promise((done) => { const ask = () => (%s) ? done(true) : requestAnimationFrame(ask); ask(); })`, condition)
	if _, err := chromedp.Run(ctx, chromedp.Evaluate[bool](script, chromedp.EvalAwaitPromise)); err != nil {
		b.picture("stuck")
		b.t.Fatalf("await %s: %v; the page at %s reads:\n%s", condition, err, ask[string](b, `location.hash`), ask[string](b, `document.body.innerText`))
	}
}

// ask returns what a JavaScript expression says.
func ask[T any](b *browser, expression string) T {
	b.t.Helper()
	result, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		b.t.Fatalf("ask %s: %v", expression, err)
	}
	return result
}

// picture takes a screenshot; `go test -artifacts` keeps it.
func (b *browser) picture(name string) image.Image {
	b.t.Helper()
	shot, err := chromedp.Run(b.ctx, chromedp.CaptureScreenshot())
	if err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(b.t.ArtifactDir(), name+".png"), shot, 0o644); err != nil {
		b.t.Fatal(err)
	}
	decoded, err := png.Decode(bytes.NewReader(shot))
	if err != nil {
		b.t.Fatal(err)
	}
	return decoded
}

func (b *browser) scheme(value string) {
	b.t.Helper()
	b.do(call(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: value}},
	}))
}

// tile is the expression of a camera's tile; field and video of what is inside.
func tile(name string) string {
	return fmt.Sprintf(`document.querySelector('article[data-camera="%s"]')`, name)
}
func video(name string) string {
	return fmt.Sprintf(`document.querySelector('video[data-camera="%s"]')`, name)
}
func field(name, field string) string {
	return fmt.Sprintf(`%s?.querySelector('[data-field="%s"]').textContent`, tile(name), field)
}

// playing holds once the video advances in its true size.
func playing(name string) string {
	return fmt.Sprintf(`%s?.dataset.playback === "playing" && %s.videoWidth === %d && %s.videoHeight === %d && %s.currentTime > 0.5 && !%s.paused`,
		tile(name), video(name), clipWidth, video(name), clipHeight, video(name), video(name))
}
