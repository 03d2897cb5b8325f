package evaluate

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/sightline/sightline/models"
	"github.com/sightline/sightline/models/graph"
)

// Size is what a model's file tells without a picture.
type Size struct {
	Bytes      int64   `json:"bytes"`
	Gzip       int64   `json:"gzip_bytes"` // of the file as gzip -9 makes it
	Parameters int64   `json:"parameters"` // numbers in kernels and biases, each once
	MACs       int64   `json:"macs"`       // multiply-adds of all layers for one picture
	Int8       float64 `json:"int8"`       // share of the MACs that onnxruntime runs on whole numbers, 0 to 1
	Sparsity   float64 `json:"sparsity"`   // share of the kernels' weights that are zero, 0 to 1
	Layers     []Layer `json:"layers"`
	Ranges     []Range `json:"ranges,omitempty"`      // of tensors that are int8
	Parts      []Part  `json:"sensitivity,omitempty"` // as quantising found it, where the card tells
}

// Weigh reads a model file.
func Weigh(spec models.Spec) (s Size, err error) {
	if s.Bytes, s.Gzip, err = fileSize(spec.Path); err != nil {
		return s, fmt.Errorf("weigh model: %w", err)
	}
	m, err := graph.Read(spec.Path)
	if err != nil {
		return s, err
	}
	if s.Layers, err = Layers(m, spec.InputShape(1)); err != nil {
		return s, fmt.Errorf("weigh model %s: %w", spec.Path, err)
	}
	s.Parameters = parameters(m.Graph)
	s.Ranges, s.Parts = ranges(m.Graph), sensitivity(spec.Path, m.Graph)
	var whole, weights, zeros int64
	for _, l := range s.Layers {
		s.MACs += l.MACs
		weights += l.Weights
		zeros += l.Zeros
		if l.Int8 {
			whole += l.MACs
		}
	}
	s.Int8 = float64(whole) / float64(max(1, s.MACs))
	s.Sparsity = float64(zeros) / float64(max(1, weights))
	return s, nil
}

// fileSize gives the length of a file and of its gzip.
func fileSize(path string) (plain, packed int64, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, 0, err
	}
	defer f.Close()
	var n counter
	w, err := gzip.NewWriterLevel(&n, gzip.BestCompression)
	if err != nil {
		return 0, 0, err
	}
	plain, err = io.Copy(w, f)
	return plain, int64(n), errors.Join(err, w.Close())
}

// counter takes bytes and keeps their number.
type counter int64

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}

// learned says which inputs of an operator training found.
var learned = map[string][]int{
	"Conv": {1, 2}, "ConvTranspose": {1, 2}, "Gemm": {1, 2}, "MatMul": {1}, "BatchNormalization": {1, 2}, "PRelu": {1},
	"ConvInteger": {1}, "MatMulInteger": {1}, "QLinearConv": {3, 8}, "QLinearMatMul": {3},
}

// parameters counts the numbers that training found. Scales and zero points of int8 are not among them, so that a network has as
// many in int8 as in float.
func parameters(g *graph.Graph) (n int64) {
	seen := map[*graph.Tensor]bool{}
	for _, node := range g.Nodes {
		for _, i := range learned[node.Op] {
			if t, _ := constant(g, node.Input(i)); t != nil && !seen[t] {
				seen[t] = true
				n += int64(t.Len())
			}
		}
	}
	return n
}
