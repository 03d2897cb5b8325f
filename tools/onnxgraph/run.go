package onnxgraph

import (
	"fmt"

	"github.com/sightline/sightline/detect/onnx"
)

// RunOptions say how a model is run.
type RunOptions struct {
	Library   string // of onnxruntime; "": found by itself
	Threads   int
	Level     onnx.Optimisation
	Optimised string // where the optimised model is written to; "": nowhere
}

// Session runs a model with chosen tensors as outputs. It belongs to one goroutine.
type Session struct {
	session *onnx.GraphSession
	names   []string
}

// Open loads a model for running. No outputs means the model's own; any float tensor inside may be named.
func Open(m *Model, outputs []string, o RunOptions) (*Session, error) {
	if len(outputs) == 0 {
		for _, v := range m.Graph.Outputs {
			outputs = append(outputs, v.Name)
		}
	} else {
		m = withOutputs(m, outputs)
	}
	data, err := m.Marshal()
	if err != nil {
		return nil, fmt.Errorf("open model: %w", err)
	}
	var inputs []string
	for _, v := range m.Graph.Inputs {
		inputs = append(inputs, v.Name)
	}
	session, err := onnx.OpenGraph(onnx.GraphOptions{
		Library: o.Library, Model: data, Inputs: inputs, Outputs: outputs, Threads: o.Threads, Level: o.Level, Optimised: o.Optimised,
	})
	if err != nil {
		return nil, err
	}
	return &Session{session, outputs}, nil
}

// withOutputs gives a model that has these tensors as its outputs and nothing that they do not need.
func withOutputs(m *Model, names []string) *Model {
	c := m.Clone()
	c.Graph.Outputs = nil
	for _, name := range names {
		c.Graph.Outputs = append(c.Graph.Outputs, Value{Name: name, Type: Float})
	}
	c.Graph.RemoveDead()
	return c
}

// Run computes the outputs for one input, by name.
func (s *Session) Run(input onnx.Array) (map[string]onnx.Array, error) {
	arrays, err := s.session.Run(input)
	if err != nil {
		return nil, err
	}
	out := make(map[string]onnx.Array, len(arrays))
	for i, a := range arrays {
		out[s.names[i]] = a
	}
	return out, nil
}

// Close frees the session.
func (s *Session) Close() error { return s.session.Close() }

// InputShape is the fixed shape of the model's one input.
func (m *Model) InputShape() ([]int64, error) {
	g := m.Graph
	if len(g.Inputs) != 1 {
		return nil, fmt.Errorf("the model has %d inputs: must be one picture", len(g.Inputs))
	}
	shape := append([]int64{}, g.Inputs[0].Shape...)
	if len(shape) != 4 {
		return nil, fmt.Errorf("input %s has shape %v: must be [N, 3, height, width]", g.Inputs[0].Name, shape)
	}
	if shape[0] < 0 {
		shape[0] = 1
	}
	for _, size := range shape {
		if size <= 0 {
			return nil, fmt.Errorf("input %s has shape %v: must be fixed; export the model with a fixed size", g.Inputs[0].Name, shape)
		}
	}
	return shape, nil
}
