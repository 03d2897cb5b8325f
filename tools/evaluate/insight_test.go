package evaluate

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sightline/sightline/models/graph"
)

// rounded is x rounded to uint8 and to int8, and once to levels that are no constants.
func rounded() *graph.Graph {
	return &graph.Graph{
		Inputs: []graph.Value{{Name: "x", Type: graph.Float}},
		Initializers: map[string]*graph.Tensor{
			"half": graph.NewFloat(nil, []float32{0.5}), "middle": graph.NewUint8(nil, []uint8{128}), "none": graph.NewInt8(nil, []int8{0}),
			"bad": graph.NewFloat(nil, []float32{-1}),
		},
		Nodes: []*graph.Node{
			{Op: "QuantizeLinear", Inputs: []string{"x", "half", "middle"}, Outputs: []string{"a"}},
			{Op: "DequantizeLinear", Inputs: []string{"a", "half", "middle"}, Outputs: []string{"b"}},
			{Op: "QuantizeLinear", Inputs: []string{"b", "half", "none"}, Outputs: []string{"c"}},
			{Op: "QuantizeLinear", Inputs: []string{"b", "bad", "none"}, Outputs: []string{"d"}},
			{Op: "QuantizeLinear", Inputs: []string{"b", "x"}, Outputs: []string{"e"}},
		},
	}
}

func TestRangesStandInTheNetwork(t *testing.T) {
	got := ranges(rounded())
	if len(got) != 2 || got[0] != (Range{"x", -64, 63.5}) || got[1] != (Range{"b", -64, 63.5}) {
		t.Errorf("%+v", got)
	}
}

func TestSensitivityStandsInTheCard(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.onnx")
	write := func(card string) []Part {
		if err := os.WriteFile(strings.TrimSuffix(path, ".onnx")+".yaml", []byte(card), 0o600); err != nil {
			t.Fatal(err)
		}
		return sensitivity(path, rounded())
	}
	if got := sensitivity(path, rounded()); got != nil {
		t.Errorf("without a card: %v", got)
	}
	got := write("family: yolox\nreport:\n  sensitivity:\n    parts: [{tensor: b, error: 0.5, float: true}, {tensor: x, error: 0.25}, {tensor: c, error: .nan}]\n")
	if len(got) != 2 || got[0] != (Part{"x", 0.25, false}) || got[1] != (Part{"b", 0.5, true}) {
		t.Errorf("%+v", got)
	}
	if got := write("report: [1, 2]\n"); len(got) != 0 {
		t.Errorf("another report: %v", got)
	}
}

// TestPageShowsWhatQuantisingFound: the error of each part, the worst by name, and ranges; zeros only where there are many.
func TestPageShowsWhatQuantisingFound(t *testing.T) {
	m := ModelReport{Name: "small", Size: Size{
		Parts: []Part{{"fine", 1e-9, false}, {"awful <b>", 0.5, true}}, Ranges: []Range{{"wide", -100, 400}},
		Layers: []Layer{{Name: "l", Op: "Conv", Weights: 100, Zeros: 3}},
	}, Network: Latency{1, 1, 1, 1}, Whole: Latency{1, 1, 1, 1}}
	var page bytes.Buffer
	if err := (Report{Models: []ModelReport{m}}).WriteHTML(&page); err != nil {
		t.Fatal(err)
	}
	text := page.String()
	for _, want := range []string{"Rounding hurts most at awful &lt;b&gt; (0.5), fine", "stays float", "-100 to 400 in steps of 2", "Ranges of the tensors of small"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q on the page", want)
		}
	}
	if strings.Contains(text, "zeros, % by layer") || strings.Contains(text, "NaN") {
		t.Error("a plot that shows nothing, or no number, is drawn")
	}
	m.Layers[0].Zeros = 90
	page.Reset()
	if err := (Report{Models: []ModelReport{m}}).WriteHTML(&page); err != nil || !strings.Contains(page.String(), "zeros, % by layer") {
		t.Errorf("zeros are not drawn, %v", err)
	}
}
