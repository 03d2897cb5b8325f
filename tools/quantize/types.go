package quantize

import (
	"slices"

	"github.com/sightline/sightline/models/graph"
)

// wholeTensors are the tensors that hold whole numbers or truth: sizes and places, which are computed by the same operators as what a
// network sees, and must not be rounded.
func wholeTensors(g *graph.Graph) map[string]bool {
	whole := map[string]bool{}
	for _, v := range g.Inputs {
		whole[v.Name] = isWhole(v.Type)
	}
	for name, t := range g.Initializers {
		whole[name] = isWhole(t.Type)
	}
	for _, n := range g.Nodes {
		w := givesWhole(n, whole)
		for _, name := range n.Outputs {
			whole[name] = w
		}
	}
	return whole
}

func isWhole(t graph.DataType) bool {
	return t != 0 && t != graph.Float && t != graph.Float16 && t != graph.Double
}

// alwaysWhole are the operators that give whole numbers or truth whatever they read.
var alwaysWhole = []string{"Shape", "Size", "ArgMax", "ArgMin", "NonZero", "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "And", "Or",
	"Not", "Xor", "IsNaN", "IsInf", "NonMaxSuppression", "QuantizeLinear"}

func givesWhole(n *graph.Node, whole map[string]bool) bool {
	switch n.Op {
	case "Cast":
		return isWhole(graph.DataType(n.Int("to", int64(graph.Float))))
	case "Constant", "ConstantOfShape":
		t := n.Attrs["value"].Tensor
		return t != nil && isWhole(t.Type) || n.Attrs["value_ints"].Ints != nil || n.Attrs["value_int"].Kind == graph.AttrInt
	case "DequantizeLinear":
		return false
	case "Where":
		return whole[n.Input(1)]
	}
	return slices.Contains(alwaysWhole, n.Op) || whole[n.Input(0)]
}
