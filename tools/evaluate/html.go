package evaluate

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"strings"
)

//go:embed page.gohtml
var pageSource string

var page = template.Must(template.New("page").Funcs(template.FuncMap{"px": px, "colour": colour}).Parse(pageSource))

// WriteHTML writes the report as one page that needs nothing else: no script, no font, no server.
func (r Report) WriteHTML(w io.Writer) error {
	var b bytes.Buffer
	if err := page.Execute(&b, r.page()); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	_, err := w.Write(b.Bytes())
	return err
}

// sheet is what the template shows.
type sheet struct {
	Report
	Title    string
	Summary  string // sizes of the data and the machine
	Cards    []card
	TradeOff drawing
	BySize   drawing
	Tables   []grid
	Classes  []drawing
	Layers   []strips
	More     []morePlot
	Names    []string
}

// card is a model in few figures.
type card struct {
	Colour, Name, Note         string
	AP, Difference, Interval   string
	Faster, Quartiles, Smaller string // Smaller: the file, as a share of the first one
	Dominated                  string
}

// strips are the layers of one model.
type strips struct {
	Colour, Name, Note string
	Drawings           []drawing
	Worst              string // parts whose rounding hurts most, "" where that is not known
}

type morePlot struct {
	Plot
	Drawings []drawing
}

func (r Report) page() sheet {
	s := sheet{
		Report: r, Title: fmt.Sprintf("%d models on %s", len(r.Models), r.Data),
		Summary:  fmt.Sprintf("%s images, %s objects · %s · onnxruntime %s", grouped(int64(r.Images)), grouped(int64(r.Objects)), r.Machine, r.Runtime),
		TradeOff: r.tradeOff(), BySize: r.bySize(), Tables: []grid{r.accuracyGrid(), r.speedGrid(), r.sizeGrid()}, Classes: r.byClass(),
	}
	if len(r.Models) == 1 {
		s.Title = r.Models[0].Name + " on " + r.Data
	}
	for i, m := range r.Models {
		s.Names = append(s.Names, m.Name)
		s.Cards = append(s.Cards, r.card(i, m))
		s.Layers = append(s.Layers, m.strips(i))
	}
	for _, p := range r.Plots {
		more := morePlot{Plot: p}
		if len(p.Lines) > 0 {
			more.Drawings = append(more.Drawings, p.lines())
		}
		if len(p.Bars) > 0 {
			more.Drawings = append(more.Drawings, p.bars())
		}
		s.More = append(s.More, more)
	}
	return s
}

func (r Report) card(i int, m ModelReport) card {
	c := card{Colour: colour(i), Name: m.Name, AP: points(m.AP), Dominated: m.DominatedBy,
		Note: fmt.Sprintf("%s %s · %s KiB", m.Family, m.input(), grouped(kibibytes(m.Bytes)))}
	if i == 0 {
		return c
	}
	c.Difference, c.Interval = signed(m.Difference.Mean), m.Difference.text()
	c.Faster, c.Quartiles = m.Whole.factor(), m.Whole.quartiles()
	c.Smaller = decimal(float64(m.Bytes)/float64(max(1, r.Models[0].Bytes)), 2) + "x"
	return c
}

// fewZeros is the share of zeros, of all weights, below which a plot of them would show nothing: int8 rounds some to zero too.
const fewZeros = 0.05

func (m ModelReport) strips(i int) strips {
	s := strips{Colour: colour(i), Name: m.Name, Drawings: []drawing{m.macsByLayer(i)}}
	inFloat, zeros, weights := 0, int64(0), int64(1)
	for _, l := range m.Layers {
		inFloat += 1 - bit(l.Int8)
		zeros, weights = zeros+l.Zeros, weights+l.Weights
	}
	s.Note = fmt.Sprintf("%d layers, %s MMAC", len(m.Layers), m.millions())
	if m.Int8 > 0 {
		s.Note += fmt.Sprintf(", %s of them in int8; %d layers stay in float", percent(m.Int8), inFloat)
	}
	if float64(zeros)/float64(weights) > fewZeros {
		s.Drawings = append(s.Drawings, m.zerosByLayer(i))
		s.Note += fmt.Sprintf("; %s of the weights are zero", percent(m.Sparsity))
	}
	if len(m.Parts) > 0 {
		s.Drawings = append(s.Drawings, m.sensitivityByPart(i))
		var names []string
		for _, p := range m.worst(3) {
			names = append(names, fmt.Sprintf("%s (%.2g)", shortened(p.Tensor, 36), p.Error))
		}
		s.Worst = strings.Join(names, ", ")
	}
	if len(m.Ranges) > 0 {
		s.Drawings = append(s.Drawings, m.rangesByTensor(i))
	}
	return s
}
