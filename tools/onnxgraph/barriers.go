package onnxgraph

import (
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strings"

	"github.com/sightline/sightline/models/graph"
)

// known are the operators whose meaning the tools rely on.
var known = strings.Fields(`Abs Add And ArgMax AveragePool BatchNormalization Cast Ceil Clip Concat Constant ConstantOfShape Conv ConvInteger
	ConvTranspose DepthToSpace DequantizeLinear Div Dropout DynamicQuantizeLinear Elu Equal Exp Expand Flatten Floor Gather Gemm
	GlobalAveragePool GlobalMaxPool Greater HardSigmoid HardSwish Identity LeakyRelu Less Log MatMul MatMulInteger Max MaxPool Min Mish Mul
	Neg Not Or PRelu Pad Pow QLinearConv QLinearMatMul QuantizeLinear Range Reciprocal ReduceMax ReduceMean ReduceMin ReduceSum Relu Reshape
	Resize Round Shape Sigmoid Slice Softmax Softplus SpaceToDepth Split Sqrt Squeeze Sub Tanh Tile Transpose Unsqueeze Upsample Where`)

// Barriers names the operators that the tools do not know, each with how often it stands in the model. Nothing is changed across them.
func Barriers(m *graph.Model) []string {
	count := map[string]int{}
	for _, n := range m.Graph.Nodes {
		name := n.Op
		if n.Domain != "" {
			name = n.Domain + "." + n.Op
		}
		if n.Domain != "" || n.HasSubgraph() || !slices.Contains(known, n.Op) {
			count[name]++
		}
	}
	var list []string
	for _, name := range slices.Sorted(maps.Keys(count)) {
		if list = append(list, name); count[name] > 1 {
			list[len(list)-1] = fmt.Sprintf("%s (%d)", name, count[name])
		}
	}
	return list
}

func checksum(data []byte) uint64 {
	h := fnv.New64a()
	h.Write(data) //nolint:errcheck // never fails
	return h.Sum64()
}
