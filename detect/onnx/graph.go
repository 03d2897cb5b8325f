package onnx

import (
	"errors"
	"fmt"

	ort "github.com/yalue/onnxruntime_go"
)

// Optimisation says how much onnxruntime may rewrite a network before it runs it.
type Optimisation int

// The levels of optimisation.
const (
	OptimiseAll Optimisation = iota
	OptimiseExtended
	OptimiseNothing
)

func (o Optimisation) level() ort.GraphOptimizationLevel {
	switch o {
	case OptimiseExtended:
		return ort.GraphOptimizationLevelEnableExtended
	case OptimiseNothing:
		return ort.GraphOptimizationLevelDisableAll
	}
	return ort.GraphOptimizationLevelEnableAll
}

// Array is a float32 tensor, row after row.
type Array struct {
	Shape []int64
	Data  []float32
}

// GraphOptions say what to open for the tools: any network from memory, with any of its tensors as outputs.
type GraphOptions struct {
	Library         string // path of libonnxruntime.so; "": see FindLibrary
	Model           []byte
	Inputs, Outputs []string // names; outputs must be float32 outputs of the graph
	Threads         int      // 0: one
	Level           Optimisation
	Optimised       string // where the optimised network is written to, as onnxruntime makes it; "": nowhere
	Plain           bool   // see Options
}

// GraphSession runs a network whose shapes need not be known. It belongs to one goroutine.
type GraphSession struct {
	session *ort.DynamicAdvancedSession
	outputs int
}

// OpenGraph loads a network.
func OpenGraph(o GraphOptions) (*GraphSession, error) {
	if err := load(o.Library); err != nil {
		return nil, err
	}
	session, _, err := newSession(recipe{
		model: o.Model, inputs: o.Inputs, outputs: o.Outputs, threads: o.Threads, level: o.Level, written: o.Optimised, plain: o.Plain,
	})
	if err != nil {
		return nil, fmt.Errorf("open network: %w", err)
	}
	return &GraphSession{session, len(o.Outputs)}, nil
}

// Run computes the outputs, in the order of GraphOptions. The arrays are the caller's.
func (s *GraphSession) Run(inputs ...Array) ([]Array, error) {
	if s.session == nil {
		return nil, errors.New("run network: it is closed")
	}
	given := make([]ort.Value, 0, len(inputs))
	defer func() { destroyAll(given) }()
	for _, in := range inputs {
		t, err := ort.NewTensor(ort.Shape(in.Shape), in.Data)
		if err != nil {
			return nil, fmt.Errorf("run network: %w", err)
		}
		given = append(given, t)
	}
	made := make([]ort.Value, s.outputs)
	defer func() { destroyAll(made) }()
	if err := s.session.Run(given, made); err != nil {
		return nil, fmt.Errorf("run network: %w", err)
	}
	out := make([]Array, len(made))
	for i, v := range made {
		t, ok := v.(*ort.Tensor[float32])
		if !ok {
			return nil, fmt.Errorf("run network: output %d holds no float32", i)
		}
		out[i] = Array{append([]int64{}, t.GetShape()...), append([]float32{}, t.GetData()...)}
	}
	return out, nil
}

func destroyAll(values []ort.Value) {
	for _, v := range values {
		if v != nil {
			v.Destroy() //nolint:errcheck // frees memory
		}
	}
}

// Close frees the network.
func (s *GraphSession) Close() error {
	if s.session == nil {
		return errors.New("close network: it is closed already")
	}
	err := s.session.Destroy()
	s.session = nil
	return err
}
