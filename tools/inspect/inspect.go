// Package inspect tells what is in a model file, for whoever has to decide about it.
package inspect

import (
	"cmp"
	"fmt"
	"slices"

	"go.yaml.in/yaml/v3"

	"github.com/sightline/sightline/models"
	"github.com/sightline/sightline/models/graph"
	"github.com/sightline/sightline/tools/evaluate"
)

// Facts are all that a model file and its card tell without a picture.
type Facts struct {
	File     string         `json:"file"`
	ID       string         `json:"id"` // as messages name it
	SHA256   string         `json:"sha256"`
	Family   models.Family  `json:"family"`
	Source   models.Source  `json:"source"` // of the facts about it
	Width    int            `json:"width"`  // of the input, pixels
	Height   int            `json:"height"`
	Batch    int            `json:"batch"` // 0: any
	Layout   Layout         `json:"layout"`
	Labels   []string       `json:"labels"`
	Head     []Grid         `json:"head,omitempty"` // of a network whose decode tail was cut off
	Licence  string         `json:"licence,omitempty"`
	Card     map[string]any `json:"card,omitempty"` // as it is written, without labels and head, which stand above
	Size     Size           `json:"size"`
	Network  Network        `json:"network"`
	Measured *Measured      `json:"measured,omitempty"` // as its card says
}

// Layout says how a picture becomes the input, in the words of cards.
type Layout struct {
	Channels string `json:"channels"` // rgb or bgr
	Range    int    `json:"range"`    // samples are 0 to 255 or 0 to 1
	Place    string `json:"place"`    // centre or top_left
	Fill     uint8  `json:"fill"`
}

// Grid is one level of a head.
type Grid struct {
	Stride  int          `json:"stride"`
	Width   int          `json:"width"` // cells
	Height  int          `json:"height"`
	Anchors [][2]float32 `json:"anchors,omitempty"`
	Outputs []string     `json:"outputs"`
}

// Size is what the file weighs; see evaluate.Size.
type Size struct {
	Bytes      int64   `json:"bytes"`
	Gzip       int64   `json:"gzip_bytes"`
	Parameters int64   `json:"parameters"`
	MACs       int64   `json:"macs"`
	Int8       float64 `json:"int8"`
	Sparsity   float64 `json:"sparsity"`
}

// Network is what is in the ONNX file.
type Network struct {
	IRVersion int64             `json:"ir_version"`
	Opsets    map[string]int64  `json:"opsets"` // by domain, "" for ONNX's own
	Producer  string            `json:"producer,omitempty"`
	Inputs    []Tensor          `json:"inputs"`
	Outputs   []Tensor          `json:"outputs"`
	Metadata  map[string]string `json:"metadata,omitempty"`
	Operators []Count           `json:"operators"` // the most frequent first
}

// Tensor is an input or output; -1 is a size that is not fixed.
type Tensor struct {
	Name  string  `json:"name"`
	Shape []int64 `json:"shape"`
}

// Count says how often an operator is there.
type Count struct {
	Operator string `json:"operator"`
	Number   int    `json:"number"`
}

// Measured are the figures of a card.
type Measured struct {
	Data     string  `json:"data"`
	AP       float64 `json:"ap"`
	AP50     float64 `json:"ap50"`
	Original float64 `json:"original_ap"`
	FasterBy float64 `json:"faster_by"` // than the original, the network alone; 0: not measured
}

// File inspects a model file. What no detector takes is an error.
func File(path string) (Facts, error) {
	spec, err := models.Load(path)
	if err != nil {
		return Facts{}, err
	}
	m, err := graph.Read(path)
	if err != nil {
		return Facts{}, err
	}
	card, err := models.ReadCard(path)
	if err != nil {
		return Facts{}, err
	}
	s, err := evaluate.Weigh(spec)
	if err != nil {
		return Facts{}, err
	}
	f := Facts{
		File: path, ID: spec.ID(), SHA256: spec.SHA256, Family: spec.Family, Source: spec.Source, Width: spec.Width, Height: spec.Height, Batch: spec.Batch,
		Layout: layoutOf(spec.Layout), Labels: spec.Labels, Licence: spec.Licence, Measured: MeasuredOf(card),
		Size: Size{s.Bytes, s.Gzip, s.Parameters, s.MACs, s.Int8, s.Sparsity}, Network: network(m),
	}
	if f.Card, err = plain(card); err != nil {
		return Facts{}, err
	}
	for _, l := range spec.Head {
		f.Head = append(f.Head, Grid{l.Stride, spec.Width / l.Stride, spec.Height / l.Stride, l.Anchors, l.Outputs})
	}
	return f, nil
}

func layoutOf(l models.Layout) Layout {
	words := Layout{"bgr", 255, "top_left", l.Fill}
	if l.RGB {
		words.Channels = "rgb"
	}
	if l.Scale != 1 {
		words.Range = 1
	}
	if l.Centre {
		words.Place = "centre"
	}
	return words
}

// plain is a card by the keys that it is written with.
func plain(card *models.Card) (map[string]any, error) {
	if card == nil {
		return nil, nil //nolint:nilnil // no card is a plain answer
	}
	text, err := yaml.Marshal(card)
	if err != nil {
		return nil, err
	}
	var m map[string]any
	err = yaml.Unmarshal(text, &m)
	delete(m, "labels")
	delete(m, "head")
	return m, err
}

func network(m *graph.Model) Network {
	n := Network{IRVersion: m.IRVersion, Opsets: m.Opsets, Producer: m.Producer, Metadata: m.Metadata}
	if m.ProducerVersion != "" {
		n.Producer += " " + m.ProducerVersion
	}
	for _, v := range m.Graph.Inputs {
		n.Inputs = append(n.Inputs, Tensor{v.Name, v.Shape})
	}
	for _, v := range m.Graph.Outputs {
		n.Outputs = append(n.Outputs, Tensor{v.Name, v.Shape})
	}
	count := map[string]int{}
	for _, node := range m.Graph.Nodes {
		name := node.Op
		if node.Domain != "" {
			name = node.Domain + "." + name
		}
		count[name]++
	}
	for name, number := range count {
		n.Operators = append(n.Operators, Count{name, number})
	}
	slices.SortFunc(n.Operators, func(a, b Count) int {
		return cmp.Or(cmp.Compare(b.Number, a.Number), cmp.Compare(a.Operator, b.Operator))
	})
	return n
}

// MeasuredOf finds the figures in a card's report; nil where it has none.
func MeasuredOf(card *models.Card) *Measured {
	if card == nil {
		return nil
	}
	measured, ok := card.Report["measured"].(map[string]any)
	if !ok {
		return nil
	}
	number := func(in any, key string) float64 {
		m, _ := in.(map[string]any)
		switch v := m[key].(type) {
		case float64:
			return v
		case int:
			return float64(v)
		}
		return 0
	}
	return &Measured{
		Data: fmt.Sprint(measured["data"]), AP: number(measured["this"], "ap"), AP50: number(measured["this"], "ap50"),
		Original: number(measured["original"], "ap"), FasterBy: number(measured, "faster_by"),
	}
}
