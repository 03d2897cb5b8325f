package viewer

import (
	"fmt"
	"image"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

var (
	gate = camera{Name: "gate", State: "online", Width: 3840, Height: 2160, FPS: 12.5, DetectionFPS: 11.24, LatencyMS: 48.4, Detector: "big", Objects: 5,
		Counts: map[string]int{"person": 4, "car": 1}, Dropped: 1234, Viewers: 1,
		Zones: []zone{{"yard", new(3)}, {"far", nil}}, Lines: []line{{"door", map[string]int{"in": 12, "out": 1009}}, {"new", nil}}}
	lobby = camera{Name: "lobby", State: "connecting", Counts: map[string]int{}}
	hall  = camera{Name: "hall", State: "online", Width: 768, Height: 432, FPS: 25, DetectionFPS: 25, LatencyMS: 31, Counts: map[string]int{}}
	yard  = camera{Name: "yard", State: "offline", Cause: `dial 192.0.2.7:554: <img src=x onerror=alert(1)> refused`, LatencyMS: 2310, Counts: map[string]int{}}
)

// detectors are those that the page names: none where all cameras have the same.
const detectors = `[...document.querySelectorAll(".detector:not([hidden])")].map((d) => d.textContent).join()`

func TestEmptyPageTellsWhatToDo(t *testing.T) {
	t.Parallel()
	s := newStation(t, "")
	b := newBrowser(t, s.URL)
	b.do(chromedp.Navigate(s.URL))
	b.await(`!document.getElementById("empty").hidden`)
	if text := ask[string](b, `document.getElementById("empty").innerText`); !strings.Contains(text, "sightline run clip.mp4") {
		t.Errorf("the empty page reads %q", text)
	}
	b.picture("empty")
	s.say(lobby)
	b.await(field("lobby", "state") + ` === "connecting" && document.getElementById("empty").hidden`)
	s.say()
	b.await(`!document.querySelector("article") && !document.getElementById("empty").hidden`)
}

func TestVideoPlaysWithItsFigures(t *testing.T) {
	t.Parallel()
	s := newStation(t, "", yard, gate, hall, lobby)
	b := newBrowser(t, s.URL)
	b.do(chromedp.Navigate(s.URL))
	b.await(playing("gate"))
	b.await(fmt.Sprintf(`parseFloat(%s) > 0`, field("gate", "video-fps")))
	frames := fmt.Sprintf(`%s.getVideoPlaybackQuality().totalVideoFrames`, video("gate"))
	b.await(fmt.Sprintf(`%s > %d`, frames, ask[int](b, frames)+10))

	for expression, want := range map[string]string{
		field("gate", "name"): "gate", field("gate", "state"): "online", field("gate", "detection-fps"): "11.2 fps",
		field("gate", "latency"): "48 ms", field("gate", "size"): "3840 × 2160", field("gate", "dropped"): "1,234",
		field("yard", "cause"): yard.Cause, field("yard", "playback"): "Offline", field("lobby", "counts"): "–", field("hall", "counts"): "Nothing in view",
		field("gate", "detector"): "big", detectors: "",
		tile("yard") + `.dataset.state`: "offline", `document.getElementById("summary").textContent`: "2 of 4 online · 5 objects",
		`[...document.querySelectorAll("article")].map((a) => a.dataset.camera).join()`: "gate,hall,lobby,yard",
		tile("gate") + `.querySelector('[data-label="person"]').dataset.count`:          "4",
		tile("gate") + `.querySelector('[data-zone="yard"]').textContent`:               "yard 3",
		tile("gate") + `.querySelector('[data-zone="far"]').textContent`:                "far –",
		tile("gate") + `.querySelector('[data-line="door"]').textContent`:               "door in 12 out 1,009",
		tile("gate") + `.querySelector('[data-line="new"]').textContent`:                "new in – out –",
		tile("hall") + `.querySelector(".places").textContent`:                          "",
	} {
		if got := ask[string](b, expression); got != want {
			t.Errorf("%s is %q, not %q", expression, got, want)
		}
	}
	quick := hall
	quick.Detector = "small"
	s.say(yard, gate, quick, lobby)
	b.await(detectors + ` === "big,small"`)
	if n := ask[int](b, `document.querySelectorAll("article img").length`); n != 0 {
		t.Errorf("a cause became %d pictures", n)
	}
	for _, scheme := range []string{"light", "dark"} {
		b.scheme(scheme)
		if shot := b.picture("grid-" + scheme); !colourful(shot, rectangle(b, video("gate"))) {
			t.Errorf("%s: no test picture where the video stands", scheme)
		}
	}
}

func TestPageFitsATelephone(t *testing.T) {
	t.Parallel()
	long := yard
	long.Name = strings.Repeat("camera", 10)
	s := newStation(t, "", gate, long)
	b := newBrowser(t, s.URL)
	b.do(chromedp.EmulateViewport(360, 740), chromedp.Navigate(s.URL))
	b.await(playing("gate"))
	for _, hash := range []string{"#/", "#/gate"} {
		b.do(chromedp.Navigate(s.URL + "/" + hash))
		b.await(`document.body.classList.contains("large") === (location.hash === "#/gate")`)
		if wide := ask[int](b, `document.documentElement.scrollWidth`); wide > 360 {
			t.Errorf("%s is %d pixels wide", hash, wide)
		}
		b.picture("telephone" + strings.ReplaceAll(hash, "#/", "-"))
	}
}

func rectangle(b *browser, element string) image.Rectangle {
	r := ask[[4]int](b, fmt.Sprintf(`(() => { const r = %s.getBoundingClientRect(); return [r.left, r.top, r.right, r.bottom].map(Math.round); })()`, element))
	return image.Rect(r[0], r[1], r[2], r[3])
}

// colourful holds where the test picture's full colours are: neither black nor the page's greys.
func colourful(picture image.Image, area image.Rectangle) bool {
	var red, green, blue bool
	for y := area.Min.Y; y < area.Max.Y; y++ {
		for x := area.Min.X; x < area.Max.X; x++ {
			r, g, b, _ := picture.At(x, y).RGBA()
			const high, low = 0xb000, 0x5000
			red = red || r > high && g < low && b < low
			green = green || g > high && r < low && b < low
			blue = blue || b > high && r < low && g < low
		}
	}
	return red && green && blue
}

func TestClickMakesLargeAndEscapeGoesBack(t *testing.T) {
	t.Parallel()
	s := newStation(t, "", gate, lobby, yard)
	b := newBrowser(t, s.URL)
	b.do(chromedp.Navigate(s.URL))
	b.await(playing("gate"))
	small := rectangle(b, video("gate"))
	b.do(chromedp.Click(chromedp.CSS(`article[data-camera="gate"] .picture`)))
	b.await(`location.hash === "#/gate" && document.body.classList.contains("large")`)
	large := rectangle(b, video("gate"))
	if large.Dx() < 2*small.Dx() || large.Max.Y > 900 {
		t.Errorf("the video grew from %v to %v", small, large)
	}
	b.await(playing("gate"))
	b.picture("large")
	b.do(chromedp.KeyEvent(kb.ArrowRight))
	b.await(`location.hash === "#/lobby"`)
	b.do(chromedp.KeyEvent(kb.ArrowLeft))
	b.await(`location.hash === "#/gate" && document.title === "gate · Sightline"`)
	b.do(chromedp.KeyEvent(kb.Escape))
	b.await(`location.hash === "#/" && !document.body.classList.contains("large") && document.activeElement === ` + tile("gate") + `.querySelector(".picture")`)
	b.do(chromedp.KeyEvent(kb.Enter)) // by keyboard alone
	b.await(`location.hash === "#/gate"`)
	b.do(chromedp.Navigate(s.URL+"/#/nobody"), chromedp.Reload())
	b.await(`!document.body.classList.contains("large") && document.querySelectorAll("article").length === 3`)
}

// Keys and clicks may come faster than the browser tells the page where the one before led: here all come in one task.
func TestInputInOneBreathIsFollowed(t *testing.T) {
	t.Parallel()
	s := newStation(t, "", gate, lobby, yard)
	b := newBrowser(t, s.URL)
	b.do(chromedp.Navigate(s.URL))
	b.await(`document.querySelectorAll("article").length === 3`)
	const script = `(() => {
		const been = [];
		const click = (element) => { element.click(); been.push(location.hash); };
		const press = (key) => { document.activeElement.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true })); been.push(location.hash); };
		click(document.querySelector('article[data-camera="gate"] .picture'));
		press("ArrowRight"); press("ArrowRight");
		click(document.getElementById("after")); click(document.getElementById("before"));
		press("ArrowLeft"); press("Escape");
		click(document.activeElement); click(document.activeElement);
		return been.join(" ");
	})()`
	if been, want := ask[string](b, script), "#/gate #/lobby #/yard #/gate #/yard #/lobby #/ #/lobby #/"; been != want {
		t.Errorf("went by %s, not %s", been, want)
	}
}

func TestVideoStopsWithItsCameraAndWithThePage(t *testing.T) {
	t.Parallel()
	s := newStation(t, "", gate)
	b := newBrowser(t, s.URL)
	b.do(chromedp.Navigate(s.URL))
	b.await(playing("gate"))
	away := gate
	away.State, away.Cause = "offline", "no packet for 10 s"
	s.say(away)
	b.await(tile("gate") + `.dataset.playback === "idle" && ` + field("gate", "playback") + ` === "Offline"`)
	s.say(gate)
	b.await(playing("gate"))
	b.do(chromedp.Navigate("about:blank"))
	s.awaitEnded(t, fmt.Sprint("s", s.made()))
}

func TestTokenIsAskedForKeptAndSent(t *testing.T) {
	t.Parallel()
	const token = "correct-horse-battery"
	s := newStation(t, token, gate)
	b := newBrowser(t, s.URL)
	b.do(chromedp.Navigate(s.URL))
	b.await(`document.getElementById("locked").open`)
	b.picture("locked")
	b.do(chromedp.SendKeys(chromedp.CSS("#token"), "wrong"+kb.Enter))
	b.await(`document.getElementById("locked").open && !document.getElementById("refused").hidden`)
	b.do(chromedp.SendKeys(chromedp.CSS("#token"), token+kb.Enter))
	b.await(`!document.getElementById("locked").open`)
	b.await(playing("gate"))
	b.do(chromedp.Reload())
	b.await(playing("gate"))
	if ask[bool](b, `document.getElementById("locked").open || location.href.includes("correct")`) {
		t.Error("the token was asked for again, or stands in the address")
	}
	b.do(chromedp.Navigate("about:blank"))
	s.awaitEnded(t, fmt.Sprint("s", s.made()))
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, request := range s.unmarked {
		if request != "GET " && request != "GET Bearer wrong" {
			t.Errorf("a request without the token: %q", request)
		}
	}
}

func TestSilentServerIsSaidAndForgiven(t *testing.T) {
	t.Parallel()
	s := newStation(t, "", gate)
	b := newBrowser(t, s.URL)
	b.do(chromedp.Navigate(s.URL))
	b.await(playing("gate"))
	trouble := `(document.getElementById("trouble").hidden ? "" : document.getElementById("trouble").textContent)`
	s.silence(true)
	b.await(trouble + `.includes("does not answer")`)
	s.silence(false)
	b.await(`document.getElementById("trouble").hidden`)
}
