package evaluate

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// inventionWithPlots adds what callers may add.
func inventionWithPlots() Report {
	r := invention()
	r.Models[1].Parts = []Part{{"images", 0, false}, {"stem", 0.58, true}, {"middle", 3e-5, false}, {"huge", 40, true}}
	r.Models[1].Ranges = []Range{{"images", 0, 255}, {"stem", -0.28, 136}, {"wide", -5000, 70000}, {"negative", -8, 0}}
	r.Plots = []Plot{
		{Title: "Sensitivity <i>by layer</i>", Note: "With this layer alone in int8.", Unit: "error", Bars: []Bar{Plain("a/very/long/name/of/a/layer/that/does/not/fit/anywhere", .3), Plain("b", -.1), Plain("c", 0)}},
		{Title: "Ranges", Bars: []Bar{{"a", -.28, 136, 8}, {"b", 0, 2, 1}}},
		{Title: "Sweep", Unit: "AP", Over: "share of zeros, %", Lines: []Curve{{"repaired", [][2]float64{{0, 30}, {30, 29}, {50, 25}}}, {"bare", [][2]float64{{0, 30}, {30, 27}, {50, 25}}}, {"empty", nil}}},
		{Title: "Nothing"},
	}
	return r
}

func pageOf(t testing.TB, r Report) string {
	t.Helper()
	var b bytes.Buffer
	if err := r.WriteHTML(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestPageStandsAlone(t *testing.T) {
	text := pageOf(t, inventionWithPlots())
	for _, bad := range []string{"http:", "https:", "src=", "url(", "@import", "<link", "<script", "<b>old", "<i>by", "ZgotmplZ", "NaN", "Inf"} {
		if strings.Contains(text, bad) {
			t.Errorf("the page holds %s", bad)
		}
	}
	for _, want := range []string{"nano-int8", "&lt;b&gt;old&lt;/b&gt; &amp; slow", "&lt;script&gt;alert(1)", "29.6", "-1.5 to &#43;0.1", "1.93x", "dominated by", "Sensitivity &lt;i&gt;", "coco-dev", "repaired"} {
		if !strings.Contains(text, want) {
			t.Errorf("the page does not hold %s", want)
		}
	}
	if again := pageOf(t, inventionWithPlots()); again != text {
		t.Error("the same report gives two pages")
	}
}

var drawings = regexp.MustCompile(`(?s)<svg.*?</svg>`)

// TestDrawingsAreSound: well formed, and every shape inside its drawing.
func TestDrawingsAreSound(t *testing.T) {
	found := drawings.FindAllString(pageOf(t, inventionWithPlots()), -1)
	if len(found) != 14 { // two of all models, two columns of classes, seven strips, three of callers
		t.Errorf("%d drawings", len(found))
	}
	for _, svg := range found {
		var width, height float64
		d := xml.NewDecoder(strings.NewReader(svg))
		for {
			token, err := d.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%v in %.200s", err, svg)
			}
			e, ok := token.(xml.StartElement)
			if !ok {
				continue
			}
			v := map[string]float64{}
			for _, a := range e.Attr {
				if a.Name.Local == "viewBox" {
					sizes := strings.Fields(a.Value)
					width, height = number(t, sizes[2]), number(t, sizes[3])
				}
				if slices.Contains([]string{"x", "y", "width", "height", "cx", "cy", "x1", "y1", "x2", "y2"}, a.Name.Local) {
					v[a.Name.Local] = number(t, a.Value)
				}
			}
			if e.Name.Local == "svg" {
				continue
			}
			for _, p := range [][2]float64{{v["x"], v["y"]}, {v["x"] + v["width"], v["y"] + v["height"]}, {v["cx"], v["cy"]}, {v["x1"], v["y1"]}, {v["x2"], v["y2"]}} {
				if p[0] < 0 || p[1] < 0 || p[0] > width+0.1 || p[1] > height+0.1 {
					t.Errorf("%s %v leaves its drawing of %vx%v", e.Name.Local, e.Attr, width, height)
				}
			}
		}
	}
}

func number(t *testing.T, text string) float64 {
	t.Helper()
	v, err := strconv.ParseFloat(text, 64)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestPageOfLittle(t *testing.T) {
	empty := Report{Data: "nothing"}
	pageOf(t, empty)
	one := invention()
	one.Models = one.Models[:1]
	if text := pageOf(t, one); !strings.Contains(text, "<h1>yolox_nano on coco-dev</h1>") {
		t.Error("the page of one model does not begin with its name")
	}
	bare := Report{Data: "bare", Models: []ModelReport{{Name: "none", Accuracy: Accuracy{-1, -1, -1, -1, -1, -1}, Recall: -1, Network: Latency{1, 1, 1, 1}, Whole: Latency{1, 1, 1, 1}}}}
	if text := pageOf(t, bare); strings.Contains(text, "NaN") {
		t.Error("NaN on the page of a model without objects")
	}
}

func TestNamesStandClearOfEachOther(t *testing.T) {
	r := invention()
	for i := range 6 { // a crowd
		m := r.Models[1]
		m.Name = "another of many " + strconv.Itoa(i)
		m.AP += float64(i) / 500
		m.Whole.Faster += float64(i%3) / 20
		r.Models = append(r.Models, m)
	}
	r.markDominated()
	d := r.tradeOff()
	var names []rectangle
	for _, s := range d.Shapes {
		if s.Kind != "text" || !strings.HasPrefix(s.Class, "label") {
			continue
		}
		width := textWidth(s.Text, 13)
		left := s.X
		if s.Anchor == "end" {
			left -= width
		}
		names = append(names, rectangle{left, s.Y - 7, left + width, s.Y + 7})
	}
	if len(names) != len(r.Models) {
		t.Errorf("%d names for %d models", len(names), len(r.Models))
	}
	for i, a := range names {
		if a[0] < 0 || a[2] > d.Width || slices.ContainsFunc(names[:i], a.meets) {
			t.Errorf("name %d at %v meets another or the edge", i, a)
		}
	}
}

func TestTicksAreRound(t *testing.T) {
	for _, c := range []struct {
		low, high float64
		want      []float64
		decimals  int
	}{{0, 1, []float64{0, .2, .4, .6, .8, 1}, 1}, {0, 74.6, []float64{0, 20, 40, 60}, 0}, {-.28, 136, []float64{0, 50, 100}, 0}, {27, 33, []float64{28, 30, 32}, 0}, {0, .00047, []float64{0, .0001, .0002, .0003, .0004}, 4}, {3, 3, []float64{3}, 1}} {
		got, decimals := axis{low: c.low, high: c.high}.ticks(5)
		same := slices.EqualFunc(got, c.want, func(a, b float64) bool { return decimal(a, 6) == decimal(b, 6) })
		if !same || decimals != c.decimals {
			t.Errorf("%v to %v: %v with %d decimals, want %v with %d", c.low, c.high, got, decimals, c.want, c.decimals)
		}
	}
}

// TestPageInABrowser: no words cut off, nothing wider than a telephone but what scrolls by itself, colours for the dark.
func TestPageInABrowser(t *testing.T) {
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatalf("find chromium: %v; run `make deps`", err)
	}
	file := filepath.Join(t.TempDir(), "report.html")
	if err := os.WriteFile(file, []byte(pageOf(t, inventionWithPlots())), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, width := range []int{390, 1280} {
		options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.UserDataDir(t.TempDir()),
			chromedp.NoSandbox, chromedp.DisableGPU, chromedp.WindowSize(width, 900))
		ctx, stop := chromedp.NewExecAllocator(context.Background(), options...)
		defer stop()
		ctx, closePage := chromedp.NewContext(ctx)
		defer closePage()
		if err := chromedp.Do(ctx, chromedp.Navigate("file://"+file)); err != nil {
			t.Fatal(err)
		}
		cut, err := chromedp.Run(ctx, chromedp.Evaluate[[]string](`[...document.querySelectorAll("svg text")].filter((e) => {
			const a = e.getBoundingClientRect(), b = e.ownerSVGElement.getBoundingClientRect();
			return a.left < b.left - 1 || a.right > b.right + 1 || a.top < b.top - 2 || a.bottom > b.bottom + 2;
		}).map((e) => e.textContent)`))
		if err != nil || len(cut) > 0 {
			t.Errorf("%d pixels wide: cut off: %q, %v", width, cut, err)
		}
		over, err := chromedp.Run(ctx, chromedp.Evaluate[float64](`document.documentElement.scrollWidth - innerWidth`))
		if err != nil || over > 0 {
			t.Errorf("%d pixels wide: the page is %v wider, %v", width, over, err)
		}
		colours, err := chromedp.Run(ctx, chromedp.Evaluate[[]string](`[...document.querySelectorAll("circle.mark")].slice(0, 3).map((e) => getComputedStyle(e).fill)`))
		if err != nil || len(slices.Compact(colours)) != 3 {
			t.Errorf("%d pixels wide: dots in %q, %v", width, colours, err)
		}
	}
}
