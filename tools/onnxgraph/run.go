package onnxgraph

import (
	"fmt"

	"github.com/sightline/sightline/detect/onnx"
	"github.com/sightline/sightline/models/graph"
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
func Open(m *graph.Model, outputs []string, o RunOptions) (*Session, error) {
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
func withOutputs(m *graph.Model, names []string) *graph.Model {
	c := m.Clone()
	c.Graph.Outputs = nil
	for _, name := range names {
		c.Graph.Outputs = append(c.Graph.Outputs, graph.Value{Name: name, Type: graph.Float})
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
