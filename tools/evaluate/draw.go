package evaluate

import (
	"math"
	"strconv"
	"unicode/utf8"
)

// drawing is a picture of lines, boxes and words; the page writes it as SVG. Sizes are in pixels at full width.
type drawing struct {
	Width, Height float64
	Label         string // for who cannot see it
	Shapes        []shape
}

// shape is one thing in a drawing. Class gives it its colours, in the light and in the dark.
type shape struct {
	Kind           string // box, dot, line, path, text
	Class          string
	X, Y, X2, Y2   float64 // box: corner and size; dot: centre and radius in X2; line: ends; text: where it is held
	Path           string  // SVG path data
	Text, Anchor   string
	Tip            string // shown when the pointer rests on it
	Turned, Middle bool   // text: upright along the axis; Y is its middle
}

func (d *drawing) box(class string, x, y, width, height float64, tip string) {
	d.Shapes = append(d.Shapes, shape{Kind: "box", Class: class, X: x, Y: y, X2: math.Max(0, width), Y2: math.Max(0, height), Tip: tip})
}

func (d *drawing) dot(class string, x, y, radius float64, tip string) {
	d.Shapes = append(d.Shapes, shape{Kind: "dot", Class: class, X: x, Y: y, X2: radius, Tip: tip})
}

func (d *drawing) line(class string, x, y, x2, y2 float64) {
	d.Shapes = append(d.Shapes, shape{Kind: "line", Class: class, X: x, Y: y, X2: x2, Y2: y2})
}

// text holds words at a place: anchor is start, middle or end.
func (d *drawing) text(class, anchor string, x, y float64, words string) {
	d.Shapes = append(d.Shapes, shape{Kind: "text", Class: class, X: x, Y: y, Text: words, Anchor: anchor, Middle: true})
}

// path draws a line through points.
func (d *drawing) path(class string, points [][2]float64) {
	data := ""
	for i, p := range points {
		data += string("ML"[min(1, i)]) + px(p[0]) + " " + px(p[1])
	}
	d.Shapes = append(d.Shapes, shape{Kind: "path", Class: class, Path: data})
}

// px writes a length, to a tenth.
func px(v float64) string { return strconv.FormatFloat(math.Round(v*10)/10, 'f', -1, 64) }

// axis maps values to pixels.
type axis struct{ low, high, from, to float64 }

func (a axis) at(v float64) float64 {
	if a.high == a.low {
		return a.from
	}
	return a.from + (v-a.low)/(a.high-a.low)*(a.to-a.from)
}

// ticks gives round values on the axis, about as many as asked for, and the decimals that they need.
func (a axis) ticks(about int) (values []float64, decimals int) {
	step := roundStep((a.high - a.low) / float64(about))
	if !(step > 0) || math.IsInf(step, 0) {
		return []float64{a.low}, 1
	}
	for i := math.Ceil(a.low/step - 1e-9); i*step <= a.high+step*1e-9 && len(values) < 100; i++ {
		values = append(values, i*step+0) // + 0: never -0
	}
	return values, max(0, int(math.Ceil(-math.Log10(step)-1e-9)))
}

// roundStep is the next of 1, 2, 5, 10 … that is not smaller.
func roundStep(v float64) float64 {
	unit := math.Pow(10, math.Floor(math.Log10(v)))
	for _, f := range []float64{1, 2, 5} {
		if f*unit >= v*(1-1e-9) {
			return f * unit
		}
	}
	return 10 * unit
}

// spanning is an axis over values with room on both sides, its ends round.
func spanning(values []float64, from, to float64) axis {
	low, high := math.Inf(1), math.Inf(-1)
	for _, v := range values {
		low, high = math.Min(low, v), math.Max(high, v)
	}
	if !(low <= high) {
		low, high = 0, 1
	}
	if low == high {
		low, high = low-1, high+1
	}
	step := roundStep((high - low) / 5)
	return axis{math.Floor(low/step-0.2) * step, math.Ceil(high/step+0.2) * step, from, to}
}

// grid draws the lines behind a plot, with words along them.
func (d *drawing) grid(x, y axis, xName, yName string) {
	values, decimals := y.ticks(5)
	for _, v := range values {
		d.line("grid", x.from, y.at(v), x.to, y.at(v))
		d.text("tick", "end", x.from-8, y.at(v), decimal(v, decimals))
	}
	values, decimals = x.ticks(8)
	for _, v := range values {
		d.line("grid", x.at(v), y.from, x.at(v), y.from+5)
		d.text("tick", "middle", x.at(v), y.from+16, decimal(v, decimals))
	}
	d.line("axis", x.from, y.from, x.to, y.from)
	d.text("name", "middle", (x.from+x.to)/2, y.from+36, xName)
	d.Shapes = append(d.Shapes, shape{Kind: "text", Class: "name", X: 14, Y: (y.from + y.to) / 2, Text: yName, Anchor: "middle", Turned: true})
}

// textWidth is about how wide words are in the page's letters.
func textWidth(words string, size float64) float64 {
	return 0.56 * size * float64(utf8.RuneCountInString(words))
}

// shortened keeps the end of a long name: names of layers differ there.
func shortened(name string, most int) string {
	runes := []rune(name)
	if len(runes) <= most {
		return name
	}
	return "…" + string(runes[len(runes)-most+1:])
}
