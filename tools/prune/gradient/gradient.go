// Package gradient makes of a network another one that computes in which direction its weights should move. Both run on onnxruntime, so
// that a network can be trained wherever it runs.
package gradient

import (
	"errors"
	"fmt"
	"slices"

	"github.com/sightline/sightline/detect/onnx"
	"github.com/sightline/sightline/models/graph"
	"github.com/sightline/sightline/tools/onnxgraph"
)

// ErrUnknown is returned when a network has an operator whose gradient is not known here.
var ErrUnknown = errors.New("its gradient is not known")

// Loss is what one output of the network costs: at each element half the square of its distance from a target, times a weight; or where
// Sigmoid is set the cross entropy of its sigmoid with the target.
type Loss struct {
	Output  string
	Sigmoid bool
}

// Parameter is a kernel or bias of a convolution.
type Parameter struct {
	Name  string // of the initializer
	Shape []int64
	Value []float32
	from  string // the tensor that holds its gradient
	order func([]float32) []float32
}

// Network computes gradients for one input at a time. It belongs to one goroutine.
type Network struct {
	Parameters []*Parameter
	moves      map[string]bool
	watched    []string // tensors whose gradient's squares are the last outputs
	session    *onnx.GraphSession
	losses     []Loss
	input      []int64
	shapes     map[string][]int64
}

// Open builds the gradients of convolutions of a network for inputs of one shape: of those that moves names by their outputs, nil: of
// all. What lies before the first of them costs nothing.
func Open(m *graph.Model, shape []int64, losses []Loss, moves map[string]bool, o onnxgraph.RunOptions) (*Network, error) {
	return openWatching(m, shape, losses, moves, nil, o)
}

func openWatching(m *graph.Model, shape []int64, losses []Loss, moves, watch map[string]bool, o onnxgraph.RunOptions) (*Network, error) {
	m = m.Clone()
	m.Graph.Inputs[0].Shape = shape
	clear(m.Graph.Values)
	shapes, err := shapesOf(m, shape, o)
	if err != nil {
		return nil, err
	}
	b := &builder{g: m.Graph, shapes: shapes, grads: map[string][]string{}, watch: watch}
	n := &Network{moves: moves, losses: losses, input: shape, shapes: shapes}
	if err := n.build(b); err != nil {
		return nil, fmt.Errorf("build gradients: %w", err)
	}
	n.watched = b.watched
	m.Opsets[""] = max(m.Opset(), 16) // ScatterElements adds up since then
	m.IRVersion = max(m.IRVersion, 8)
	n.session, err = open(m, o)
	return n, err
}

func open(m *graph.Model, o onnxgraph.RunOptions) (*onnx.GraphSession, error) {
	if err := m.Sort(); err != nil {
		return nil, err
	}
	data, err := m.Marshal()
	if err != nil {
		return nil, err
	}
	options := onnx.GraphOptions{Library: o.Library, Model: data, Threads: o.Threads, Level: onnx.OptimiseExtended}
	for _, v := range m.Graph.Inputs {
		options.Inputs = append(options.Inputs, v.Name)
	}
	for _, v := range m.Graph.Outputs {
		options.Outputs = append(options.Outputs, v.Name)
	}
	return onnx.OpenGraph(options)
}

// shapesOf runs the network once and gives the shape of every tensor that its nodes read or make.
func shapesOf(m *graph.Model, shape []int64, o onnxgraph.RunOptions) (map[string][]int64, error) {
	var names []string
	for _, n := range m.Graph.Nodes {
		if slices.Contains(differentiable, n.Op) {
			names = append(names, n.Output())
		}
	}
	s, err := onnxgraph.Open(m, names, o)
	if err != nil {
		return nil, err
	}
	defer s.Close() //nolint:errcheck // frees memory
	out, err := s.Run(onnx.Array{Shape: shape, Data: make([]float32, shape[0]*shape[1]*shape[2]*shape[3])})
	if err != nil {
		return nil, err
	}
	shapes := map[string][]int64{m.Graph.Inputs[0].Name: shape}
	for name, a := range out {
		shapes[name] = a.Shape
	}
	return shapes, nil
}

func (n *Network) build(b *builder) error {
	var outputs []string
	for _, l := range n.losses {
		outputs = append(outputs, b.loss(l))
	}
	nodes := slices.Clone(b.g.Nodes)
	for _, node := range slices.Backward(nodes) {
		if err := b.back(n, node); err != nil {
			return fmt.Errorf("node %.60q (%s): %w", node.Name, node.Op, err)
		}
	}
	for _, p := range n.Parameters {
		b.input(p.Name, p.Shape)
		delete(b.g.Initializers, p.Name)
		outputs = append(outputs, p.from)
	}
	outputs = append(outputs, b.squares...)
	b.g.Outputs = nil
	for _, name := range outputs {
		b.g.Outputs = append(b.g.Outputs, graph.Value{Name: name, Type: graph.Float})
	}
	b.g.RemoveDead()
	return nil
}

// Target is what an output should be and how much each element counts, both in the output's shape.
type Target struct{ Want, Weight []float32 }

// Shape is that of one of the network's outputs, for the shape of input that it was opened for.
func (n *Network) Shape(output string) []int64 { return n.shapes[output] }

// Run gives the loss of one input, and adds its gradient to sums, one for each parameter.
func (n *Network) Run(input []float32, targets []Target, sums [][]float32) (float64, error) {
	out, err := n.run(input, targets)
	if err != nil {
		return 0, err
	}
	loss := 0.0
	for _, a := range out[:len(n.losses)] {
		loss += float64(a.Data[0])
	}
	for i, p := range n.Parameters {
		for j, v := range p.order(out[len(n.losses)+i].Data) {
			sums[i][j] += v
		}
	}
	return loss, nil
}

func (n *Network) run(input []float32, targets []Target) ([]onnx.Array, error) {
	arrays := []onnx.Array{{Shape: n.input, Data: input}}
	for i, l := range n.losses {
		shape := n.shapes[l.Output]
		arrays = append(arrays, onnx.Array{Shape: shape, Data: targets[i].Want}, onnx.Array{Shape: shape, Data: targets[i].Weight})
	}
	for _, p := range n.Parameters {
		arrays = append(arrays, onnx.Array{Shape: p.Shape, Data: p.Value})
	}
	return n.session.Run(arrays...)
}

// Close frees the network.
func (n *Network) Close() error { return n.session.Close() }

// Zeros makes room for gradients, one for each parameter.
func (n *Network) Zeros() [][]float32 {
	var sums [][]float32
	for _, p := range n.Parameters {
		sums = append(sums, make([]float32, len(p.Value)))
	}
	return sums
}
