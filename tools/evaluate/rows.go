package evaluate

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
)

const rowHeight = 19.0

// byClass draws a bar for the first model's AP in every class and a dot on it for each other model's, best classes first, in two
// columns.
func (r Report) byClass() []drawing {
	if len(r.Models) == 0 || len(r.Models[0].Classes) == 0 {
		return nil
	}
	order := make([]int, len(r.Models[0].Classes))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		return cmp.Compare(r.Models[0].Classes[b].AP, r.Models[0].Classes[a].AP)
	})
	half := (len(order) + 1) / 2
	var columns []drawing
	for part := range slices.Chunk(order, half) {
		columns = append(columns, r.classColumn(part))
	}
	return columns
}

func (r Report) classColumn(classes []int) drawing {
	d := drawing{Width: 470, Height: rowHeight*float64(len(classes)) + 26, Label: "AP by class"}
	x := axis{0, 100, 160, d.Width - 14}
	for v := 0.0; v <= 100; v += 25 {
		d.line("grid", x.at(v), 0, x.at(v), d.Height-22)
		d.text("tick", "middle", x.at(v), d.Height-10, decimal(v, 0))
	}
	for row, c := range classes {
		y := rowHeight * (float64(row) + 0.5)
		first := r.Models[0].Classes[c]
		d.text("label", "end", x.from-44, y, shortened(first.Name, 16))
		d.text("count", "end", x.from-8, y, grouped(int64(first.Objects)))
		tips := []string{fmt.Sprintf("%s, %d objects", first.Name, first.Objects)}
		for _, m := range r.Models {
			tips = append(tips, m.Name+": "+points(m.Classes[c].AP))
		}
		tip := strings.Join(tips, "\n")
		d.box("mark bar "+colour(0), x.from, y-6, x.at(100*first.AP)-x.from, 12, "")
		others := float64(len(r.Models) - 1)
		for i, m := range r.Models[1:] { // a little apart, so that equal ones are seen
			off := (float64(i) - (others-1)/2) * math.Min(4, 9/others)
			d.dot("mark "+colour(i+1), x.at(100*m.Classes[c].AP), y+off, 4, "")
		}
		d.box("touch", 0, y-rowHeight/2, d.Width, rowHeight, tip)
	}
	return d
}

// macsByLayer draws where a network computes, and what of it on whole numbers.
func (m ModelReport) macsByLayer(model int) drawing {
	most := int64(1)
	for _, l := range m.Layers {
		most = max(most, l.MACs)
	}
	y := axis{0, float64(most) / 1e6, 112, 8}
	return m.strip("MMAC", y, func(l Layer) (float64, string) {
		if l.Int8 {
			return float64(l.MACs) / 1e6, "mark " + colour(model)
		}
		return float64(l.MACs) / 1e6, "mark float " + colour(model)
	})
}

// zerosByLayer draws the share of weights that are zero.
func (m ModelReport) zerosByLayer(model int) drawing {
	return m.strip("zeros, %", axis{0, 100, 112, 8}, func(l Layer) (float64, string) {
		return 100 * float64(l.Zeros) / float64(max(1, l.Weights)), "mark " + colour(model)
	})
}

// strip draws a narrow column for each layer, from the input to the output.
func (m ModelReport) strip(name string, y axis, value func(Layer) (float64, string)) drawing {
	d := drawing{Width: plotWidth, Height: 124, Label: name + " by layer of " + m.Name}
	x := axis{0, float64(max(1, len(m.Layers))), 64, d.Width - 8}
	values, decimals := y.ticks(3)
	for _, v := range values {
		d.line("grid", x.from, y.at(v), x.to, y.at(v))
		d.text("tick", "end", x.from-8, y.at(v), decimal(v, decimals))
	}
	d.Shapes = append(d.Shapes, shape{Kind: "text", Class: "name", X: 12, Y: (y.from + y.to) / 2, Text: name, Anchor: "middle", Turned: true})
	width := x.at(1) - x.at(0)
	for i, l := range m.Layers {
		v, class := value(l)
		d.box(class, x.at(float64(i))+width*0.1, y.at(v), width*0.8, y.from-y.at(v), "")
		d.box("touch", x.at(float64(i)), y.to, width, y.from-y.to, l.tip())
	}
	d.line("axis", x.from, y.from, x.to, y.from)
	return d
}

func (l Layer) tip() string {
	kind := "float"
	if l.Int8 {
		kind = "int8"
	}
	return fmt.Sprintf("%s\n%s %v, %s\n%s MMAC, %s of %s weights are zero", l.Name, l.Op, l.Kernel, kind,
		decimal(float64(l.MACs)/1e6, 2), grouped(l.Zeros), grouped(l.Weights))
}

// bars draws the rows of a caller's plot.
func (p Plot) bars() drawing {
	d := drawing{Width: plotWidth, Height: rowHeight*float64(len(p.Bars)) + 26, Label: p.Title}
	low, high := 0.0, 0.0
	for _, b := range p.Bars {
		low, high = math.Min(low, b.Low), math.Max(high, b.High)
	}
	if low == high {
		high = 1
	}
	x := axis{low, high, 280, d.Width - 90}
	values, decimals := x.ticks(8)
	for _, v := range values {
		d.line("grid", x.at(v), 0, x.at(v), d.Height-22)
		d.text("tick", "middle", x.at(v), d.Height-10, decimal(v, decimals))
	}
	for row, b := range p.Bars {
		y := rowHeight * (float64(row) + 0.5)
		text := fmt.Sprintf("%.3g", b.Value)
		plain := b.Low == math.Min(0, b.Value) && b.High == math.Max(0, b.Value)
		if !plain {
			text = fmt.Sprintf("%.3g … %.3g", b.Low, b.High)
		}
		tip := b.Label + ": " + text + " " + p.Unit
		d.text("label", "end", x.from-10, y, shortened(b.Label, 36))
		d.box("mark c0", x.at(b.Low), y-6, math.Max(1, x.at(b.High)-x.at(b.Low)), 12, "")
		if !plain {
			d.line("value-mark", x.at(b.Value), y-8, x.at(b.Value), y+8)
		}
		d.text("value", "start", x.at(b.High)+6, y, text)
		d.box("touch", 0, y-rowHeight/2, d.Width, rowHeight, tip)
	}
	return d
}

// lines draws the lines of a caller's plot; each has its name at its end.
func (p Plot) lines() drawing {
	d := drawing{Width: plotWidth, Height: 360, Label: p.Title}
	var xs, ys []float64
	for _, l := range p.Lines {
		for _, at := range l.Points {
			xs, ys = append(xs, at[0]), append(ys, at[1])
		}
	}
	if len(xs) == 0 {
		return d
	}
	x := axis{slices.Min(xs), slices.Max(xs), 64, d.Width - 170}
	y := spanning(ys, d.Height-56, 16)
	d.grid(x, y, p.Over, p.Unit)
	last := math.Inf(-1)
	for i, l := range byLastPoint(p.Lines) {
		var path [][2]float64
		for _, at := range l.Points {
			path = append(path, [2]float64{x.at(at[0]), y.at(at[1])})
		}
		d.path("curve "+colour(l.place), path)
		for k, at := range path {
			d.dot("mark "+colour(l.place), at[0], at[1], 4, fmt.Sprintf("%s: %.4g at %.4g", l.Name, l.Points[k][1], l.Points[k][0]))
		}
		end := path[len(path)-1]
		if label := end[1]; i == 0 || label >= last+16 {
			last = label
		} else {
			last += 16
		}
		d.text("label", "start", end[0]+12, last, shortened(l.Name, 24))
	}
	return d
}

// placed is a curve with its place among the curves, which gives it its colour.
type placed struct {
	Curve
	place int
}

// byLastPoint orders curves by where they end, the highest first, so that their names can stand below each other.
func byLastPoint(lines []Curve) []placed {
	var all []placed
	for i, l := range lines {
		if len(l.Points) > 0 {
			all = append(all, placed{l, i})
		}
	}
	end := func(l placed) float64 { return l.Points[len(l.Points)-1][1] }
	slices.SortStableFunc(all, func(a, b placed) int { return cmp.Compare(end(b), end(a)) })
	return all
}
