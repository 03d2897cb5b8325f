package evaluate

import (
	"fmt"
	"math"
	"slices"
)

// fewest is the error below which rounding is of no account: everything smaller is drawn as nothing.
const fewest = 1e-6

// sensitivityByPart draws, on a logarithmic scale, what rounding of each part alone does to the outputs. Parts that stayed float are pale.
func (m ModelReport) sensitivityByPart(model int) drawing {
	most := fewest * 10
	for _, p := range m.Parts {
		most = max(most, p.Error)
	}
	y := axis{math.Log10(fewest), math.Ceil(math.Log10(most)), 112, 8}
	d := columns("error", "What rounding each part of "+m.Name+" alone does to the outputs", len(m.Parts))
	for exponent := y.low; exponent <= y.high; exponent += 2 {
		d.rule(y.at(exponent), power(exponent))
	}
	for i, p := range m.Parts {
		class, note := "mark "+colour(model), "in int8"
		if p.Float {
			class, note = "mark float "+colour(model), "stays float"
		}
		top := y.at(math.Log10(max(fewest, p.Error)))
		d.column(i, class, top, y.from, fmt.Sprintf("%s\nerror of the outputs %.2g when only this is int8\n%s", p.Tensor, p.Error, note))
	}
	d.line("axis", d.x.from, y.from, d.x.to, y.from)
	return d.drawing
}

// rangesByTensor draws what each tensor can hold in 8 bits, on a scale that is linear around zero and logarithmic beyond.
func (m ModelReport) rangesByTensor(model int) drawing {
	low, high := -1.0, 1.0
	for _, r := range m.Ranges {
		low, high = min(low, r.Low), max(high, r.High)
	}
	y := axis{bend(low) * 1.05, bend(high) * 1.05, 112, 8}
	d := columns("range", "Ranges of the tensors of "+m.Name+" that are int8", len(m.Ranges))
	for _, v := range []float64{-1000, -100, -10, -1, 0, 1, 10, 100, 1000} {
		if b := bend(v); b >= y.low && b <= y.high {
			d.rule(y.at(b), fmt.Sprint(v))
		}
	}
	for i, r := range m.Ranges {
		tip := fmt.Sprintf("%s\n%.3g to %.3g in steps of %.2g", r.Tensor, r.Low, r.High, (r.High-r.Low)/255)
		d.column(i, "mark "+colour(model), y.at(bend(r.High)), y.at(bend(r.Low)), tip)
	}
	d.line("axis", d.x.from, y.at(0), d.x.to, y.at(0))
	return d.drawing
}

func bend(v float64) float64 { return math.Asinh(v * 2) }

// power writes a power of ten.
func power(exponent float64) string {
	if exponent >= -2 && exponent <= 2 {
		return fmt.Sprintf("%g", math.Pow(10, exponent))
	}
	return fmt.Sprintf("1e%g", exponent)
}

// rowOfColumns is a drawing with a narrow column for each thing, from the input of a network to its output.
type rowOfColumns struct {
	drawing
	x axis
}

func columns(name, label string, n int) rowOfColumns {
	d := rowOfColumns{drawing{Width: plotWidth, Height: 124, Label: label}, axis{0, float64(max(1, n)), 64, plotWidth - 8}}
	d.Shapes = append(d.Shapes, shape{Kind: "text", Class: "name", X: 12, Y: 60, Text: name, Anchor: "middle", Turned: true})
	return d
}

func (d *rowOfColumns) rule(y float64, words string) {
	d.line("grid", d.x.from, y, d.x.to, y)
	d.text("tick", "end", d.x.from-8, y, words)
}

func (d *rowOfColumns) column(i int, class string, top, bottom float64, tip string) {
	width := d.x.at(1) - d.x.at(0)
	d.box(class, d.x.at(float64(i))+width*0.1, top, width*0.8, math.Max(1, bottom-top), "")
	d.box("touch", d.x.at(float64(i)), 8, width, 104, tip)
}

// worst names the parts whose rounding hurts most.
func (m ModelReport) worst(n int) []Part {
	parts := slices.Clone(m.Parts)
	slices.SortStableFunc(parts, func(a, b Part) int {
		if a.Error > b.Error {
			return -1
		}
		return bit(a.Error < b.Error)
	})
	return parts[:min(n, len(parts))]
}
