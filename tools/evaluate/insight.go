package evaluate

import (
	"cmp"
	"math"
	"os"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/sightline/sightline/models/graph"
)

// Range is what a tensor can hold once it is a whole number of 8 bits.
type Range struct {
	Tensor string  `json:"tensor"`
	Low    float64 `json:"low"`
	High   float64 `json:"high"`
}

// Part is a part of a network and what its rounding alone does to the outputs, as quantising found out.
type Part struct {
	Tensor string  `json:"tensor"`
	Error  float64 `json:"error"`
	Float  bool    `json:"float,omitempty"` // it stayed float
}

// ranges reads the ranges of all activations out of the network, from the input to the output.
func ranges(g *graph.Graph) []Range {
	var list []Range
	for _, n := range g.Nodes {
		if n.Op != "QuantizeLinear" || n.Domain != "" {
			continue
		}
		scale, zero := g.Const(n.Input(1)), g.Const(n.Input(2))
		if scale == nil || zero == nil || scale.Len() != 1 || zero.Len() != 1 {
			continue
		}
		s, err := scale.Floats()
		z, err2 := zero.Int64s()
		if err != nil || err2 != nil || !(s[0] > 0) || math.IsInf(float64(s[0]), 0) {
			continue
		}
		low, high := int64(0), int64(255)
		if zero.Type == graph.Int8 {
			low, high = -128, 127
		}
		list = append(list, Range{n.Input(0), float64(s[0]) * float64(low-z[0]), float64(s[0]) * float64(high-z[0])})
	}
	return list
}

// sensitivity reads what quantising wrote into the card beside the file; the card was checked when the model was loaded. Without a
// card there is none. The parts come in the order of the network.
func sensitivity(path string, g *graph.Graph) []Part {
	data, err := os.ReadFile(strings.TrimSuffix(path, ".onnx") + ".yaml")
	if err != nil {
		return nil
	}
	var card struct {
		Report struct {
			Sensitivity struct{ Parts []Part } `yaml:"sensitivity"`
		} `yaml:"report"`
	}
	if yaml.Unmarshal(data, &card) != nil {
		return nil
	}
	parts := slices.DeleteFunc(card.Report.Sensitivity.Parts, func(p Part) bool {
		return !(p.Error >= 0) || math.IsInf(p.Error, 0)
	})
	at := map[string]int{}
	for i, n := range g.Nodes {
		for _, name := range n.Outputs {
			at[name] = i + 1 // 0: the input
		}
	}
	slices.SortStableFunc(parts, func(a, b Part) int { return cmp.Compare(at[a.Tensor], at[b.Tensor]) })
	return parts
}
