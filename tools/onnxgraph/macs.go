package onnxgraph

import (
	"github.com/sightline/sightline/detect/onnx"
	"github.com/sightline/sightline/models/graph"
)

// MACs counts the multiply-adds of every convolution for one picture, by the convolution's output.
func MACs(m *graph.Model, o RunOptions) (map[string]int64, error) {
	var outputs []string
	kernels := map[string]*graph.Tensor{}
	for _, n := range m.Graph.Nodes {
		if t := kernel(m.Graph, n); n.Op == "Conv" && t != nil {
			outputs = append(outputs, n.Output())
			kernels[n.Output()] = t
		}
	}
	macs := map[string]int64{}
	if len(outputs) == 0 {
		return macs, nil
	}
	shape, err := m.InputShape()
	if err != nil {
		return nil, err
	}
	s, err := Open(m, outputs, o)
	if err != nil {
		return nil, err
	}
	defer s.Close() //nolint:errcheck // frees memory
	out, err := s.Run(onnx.Array{Shape: shape, Data: make([]float32, shape[0]*shape[1]*shape[2]*shape[3])})
	if err != nil {
		return nil, err
	}
	for name, t := range kernels {
		macs[name] = int64(len(out[name].Data)) / shape[0] * int64(t.Len()) / t.Shape[0]
	}
	return macs, nil
}

// TotalMACs counts the multiply-adds of all convolutions for one picture, also of a quantised model.
func TotalMACs(m *graph.Model, o RunOptions) (int64, error) {
	by, err := MACs(m, o)
	total := int64(0)
	for _, n := range by {
		total += n
	}
	return total, err
}

// kernel is the constant that a convolution works with, also where it is int8 and made float again.
func kernel(g *graph.Graph, n *graph.Node) *graph.Tensor {
	if t := g.Const(n.Input(1)); t != nil {
		return t
	}
	if d := g.Producer(n.Input(1)); d != nil && d.Op == "DequantizeLinear" {
		return g.Const(d.Inputs[0])
	}
	return nil
}

// Weights counts the numbers in the kernels and biases of a model, and how many of the kernels' are zero.
func Weights(m *graph.Model) (all, kernels, zeros int64) {
	for _, t := range m.Graph.Initializers {
		switch t.Type {
		case graph.Float, graph.Float16, graph.Int8, graph.Int32:
			all += int64(t.Len())
		}
		if len(t.Shape) != 4 {
			continue
		}
		kernels += int64(t.Len())
		size := t.Type.Size()
		for i := 0; i < len(t.Data); i += size {
			zero := true
			for _, b := range t.Data[i : i+size] {
				zero = zero && b == 0
			}
			if zero {
				zeros++
			}
		}
	}
	return all, kernels, zeros
}
