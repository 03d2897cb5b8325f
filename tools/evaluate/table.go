package evaluate

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"
)

// grid is a table of text, for the terminal and for the page.
type grid struct {
	Head []string
	Rows [][]string
}

// WriteTable writes the report for a terminal: what the models see, how fast they are, how big they are.
func (r Report) WriteTable(w io.Writer) error {
	var b strings.Builder
	r.accuracyGrid().write(&b)
	b.WriteString("\n")
	r.speedGrid().write(&b)
	b.WriteString("\n")
	r.sizeGrid().write(&b)
	b.WriteString("\n")
	for _, m := range r.Models {
		if m.DominatedBy != "" {
			fmt.Fprintf(&b, "%s is dominated: %s detects as fast and as well, or better.\n", m.Name, m.DominatedBy)
		}
	}
	for _, w := range r.Warnings {
		fmt.Fprintf(&b, "Warning: %s.\n", w)
	}
	fmt.Fprintf(&b, "%d images of %s, %d objects. AP in points; its interval is of %d resamples of the images, paired.\n", r.Images, r.Data, r.Objects, r.Resamples)
	fmt.Fprintf(&b, "Times: medians of %d rounds in turns, one thread, onnxruntime %s, %s.\n", r.Rounds, r.Runtime, r.Machine)
	_, err := io.WriteString(w, b.String())
	return err
}

// WriteClasses writes the AP of every class with objects, a column for each model.
func (r Report) WriteClasses(w io.Writer) error {
	var b strings.Builder
	r.classGrid().write(&b)
	_, err := io.WriteString(w, b.String())
	return err
}

func (r Report) accuracyGrid() grid {
	g := grid{Head: []string{"model", "AP", "AP50", "AP75", "small", "medium", "large", "recall", "AP to the first", "95 %"}}
	for i, m := range r.Models {
		row := []string{m.Name}
		for _, v := range []float64{m.AP, m.AP50, m.AP75, m.Small, m.Medium, m.Large, m.Recall} {
			row = append(row, points(v))
		}
		if i == 0 {
			g.Rows = append(g.Rows, append(row, "", ""))
			continue
		}
		g.Rows = append(g.Rows, append(row, signed(m.Difference.Mean), m.Difference.text()))
	}
	return g
}

func (r Report) speedGrid() grid {
	g := grid{Head: []string{"model", "input", "network ms", "faster by", "quartiles", "detection ms", "faster by", "quartiles"}}
	for i, m := range r.Models {
		row := []string{m.Name, m.input()}
		for _, l := range []Latency{m.Network, m.Whole} {
			if row = append(row, decimal(l.Milliseconds, 1)); i == 0 {
				row = append(row, "", "")
			} else {
				row = append(row, l.factor(), l.quartiles())
			}
		}
		g.Rows = append(g.Rows, row)
	}
	return g
}

func (r Report) sizeGrid() grid {
	g := grid{Head: []string{"model", "KiB", "gzip KiB", "parameters", "MMAC", "in int8", "zeros"}}
	for _, m := range r.Models {
		g.Rows = append(g.Rows, []string{m.Name, grouped(kibibytes(m.Bytes)), grouped(kibibytes(m.Gzip)), grouped(m.Parameters), m.millions(),
			percent(m.Int8), percent(m.Sparsity)})
	}
	return g
}

func (r Report) classGrid() grid {
	g := grid{Head: []string{"class", "objects"}}
	for _, m := range r.Models {
		g.Head = append(g.Head, m.Name)
	}
	if len(r.Models) == 0 {
		return g
	}
	for i, c := range r.Models[0].Classes {
		row := []string{c.Name, grouped(int64(c.Objects))}
		for _, m := range r.Models {
			row = append(row, points(m.Classes[i].AP))
		}
		g.Rows = append(g.Rows, row)
	}
	return g
}

// write aligns the first column left and numbers right.
func (g grid) write(b *strings.Builder) {
	widths := make([]int, len(g.Head))
	rows := append([][]string{g.Head}, g.Rows...)
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for _, row := range rows {
		var line strings.Builder
		for i, cell := range row {
			pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if i == 0 {
				line.WriteString(cell + pad)
			} else {
				line.WriteString("  " + pad + cell)
			}
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
}

func (m ModelReport) input() string { return fmt.Sprintf("%dx%d", m.Width, m.Height) }

// millions are the multiply-adds for one picture.
func (m ModelReport) millions() string { return grouped((m.MACs + 5e5) / 1e6) }

// text is the interval in points.
func (d Difference) text() string { return signed(d.Low) + " to " + signed(d.High) }

func (l Latency) factor() string { return decimal(l.Faster, 2) + "x" }

func (l Latency) quartiles() string { return decimal(l.Low, 2) + "-" + decimal(l.High, 2) }

func decimal(v float64, places int) string { return strconv.FormatFloat(v, 'f', places, 64) }

// points shows a share as COCO's tables do; without objects there is none.
func points(v float64) string {
	if v < 0 {
		return "-"
	}
	return decimal(100*v, 1)
}

func signed(v float64) string {
	text := fmt.Sprintf("%+.1f", 100*v)
	if text == "-0.0" || text == "+0.0" {
		return "0.0"
	}
	return text
}

// percent rounds, but never to all or nothing what is neither.
func percent(v float64) string {
	switch {
	case v > 0 && v < 0.005:
		return "<1 %"
	case v < 1 && v >= 0.995:
		return ">99 %"
	}
	return decimal(100*v, 0) + " %"
}

func kibibytes(n int64) int64 { return (n + 1023) / 1024 }

// grouped writes 1234567 as 1 234 567.
func grouped(n int64) string {
	text := strconv.FormatInt(n, 10)
	for at := len(text) - 3; at > 0 && text[at-1] != '-'; at -= 3 {
		text = text[:at] + " " + text[at:]
	}
	return text
}
