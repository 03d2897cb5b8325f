package onnxgraph

import (
	"fmt"
	"math"
	"slices"

	"github.com/sightline/sightline/models/graph"
)

// FoldBatchNorm puts a BatchNormalization into the weights of the convolution before it, where nothing else reads what that gives,
// and returns how many. The sums round in another place; otherwise the network gives the same.
func FoldBatchNorm(m *graph.Model) (int, error) {
	g, n := m.Graph, 0
	for _, norm := range slices.Clone(g.Nodes) {
		conv := normalised(g, norm)
		if conv == nil {
			continue
		}
		done, err := foldNorm(g, conv, norm)
		if err != nil {
			return n, fmt.Errorf("fold BatchNormalization %.60q: %w", norm.Output(), err)
		}
		n += done
	}
	if n > 0 {
		g.RemoveDead()
	}
	return n, nil
}

// normalised gives the convolution whose weights can take a BatchNormalization, nil where there is none.
func normalised(g *graph.Graph, norm *graph.Node) *graph.Node {
	if norm.Op != "BatchNormalization" || norm.Domain != "" || len(norm.Inputs) != 5 || norm.Int("training_mode", 0) != 0 {
		return nil
	}
	for _, name := range norm.Outputs[1:] {
		if name != "" {
			return nil // of training
		}
	}
	conv := g.Producer(norm.Inputs[0])
	if conv == nil || len(conv.Inputs) < 2 || conv.Op != "Conv" || conv.Domain != "" || g.IsOutput(conv.Output()) || len(g.Consumers(conv.Output())) != 1 ||
		g.Const(conv.Input(1)) == nil || conv.Input(2) != "" && g.Const(conv.Input(2)) == nil {
		return nil
	}
	return conv
}

// foldNorm scales each output channel: (w*x + b - mean) * scale/sqrt(variance + epsilon) + shift.
func foldNorm(g *graph.Graph, conv, norm *graph.Node) (int, error) {
	kernel := g.Const(conv.Inputs[1])
	if kernel.Type != graph.Float || len(kernel.Shape) < 3 || kernel.Shape[0] == 0 {
		return 0, nil
	}
	w, err := kernel.Floats()
	if err != nil {
		return 0, err
	}
	channels := int(kernel.Shape[0])
	var p [4][]float32 // scale, shift, mean, variance
	for i := range p {
		t := g.Const(norm.Inputs[i+1])
		if t == nil || t.Len() != channels {
			return 0, nil
		}
		if p[i], err = t.Floats(); err != nil {
			return 0, err
		}
	}
	bias := make([]float32, channels)
	if conv.Input(2) != "" {
		if bias, err = g.Const(conv.Input(2)).Floats(); err != nil {
			return 0, err
		}
	}
	if len(bias) != channels {
		return 0, nil
	}
	epsilon := 1e-5
	if a, ok := norm.Attrs["epsilon"]; ok {
		epsilon = float64(a.Float)
	}
	each := len(w) / channels
	for c := range channels {
		by := float64(p[0][c]) / math.Sqrt(float64(p[3][c])+epsilon)
		for i := c * each; i < (c+1)*each; i++ {
			w[i] = float32(float64(w[i]) * by)
		}
		bias[c] = float32((float64(bias[c])-float64(p[2][c]))*by + float64(p[1][c]))
	}
	rewire(g, conv, norm, graph.NewFloat(kernel.Shape, w), graph.NewFloat([]int64{int64(channels)}, bias))
	return 1, nil
}

// rewire gives the convolution its new constants, and the name of what the BatchNormalization gave.
func rewire(g *graph.Graph, conv, norm *graph.Node, kernel, bias *graph.Tensor) {
	weights := g.Fresh(conv.Inputs[1] + "_normed")
	g.Initializers[weights] = kernel
	shift := g.Fresh(norm.Output() + "_bias")
	g.Initializers[shift] = bias
	conv.Inputs = []string{conv.Inputs[0], weights, shift}
	made := norm.Output()
	g.Nodes = slices.DeleteFunc(g.Nodes, func(n *graph.Node) bool { return n == norm })
	conv.Outputs[0] = made
}
