package onnxgraph

import (
	"github.com/sightline/sightline/models/graph"
)

// Simplified says what Simplify did.
type Simplified struct {
	Widened    int      // tensors that were float16
	Folded     int      // nodes that only computed constants
	Idle       int      // nodes that passed on what they read
	BatchNorms int      // that went into convolutions
	Focus      int      // stems that became one convolution
	Merged     int      // constants that another one equals
	Barriers   []string // operators that are not known here, and are left alone
	Head       *Head    // of the model whose tail was cut off; nil where it stayed
}

// Simplify brings a model into the form that the other tools work on, by steps that do not change what it computes: float32, opset 13,
// constants computed, BatchNormalization in the weights, decode tail cut off where its family is known, Focus as a convolution. What
// the file says of inner shapes is dropped: whoever changes the model would leave it wrong.
func Simplify(m *graph.Model, o RunOptions) (Simplified, error) {
	var s Simplified
	err := graph.CheckOpset(m) // before anything runs it
	if err != nil {
		return s, err
	}
	if s.Widened, err = graph.ToFloat32(m); err != nil {
		return s, err
	}
	if err := s.clean(m, o); err != nil {
		return s, err
	}
	head, err := CutTail(m, o)
	switch {
	case err == nil:
		s.Head = &head
	case !isTail(err):
		return s, err
	}
	if err := graph.UpgradeOpset(m); err != nil {
		return s, err
	}
	if s.Focus, err = FocusToConv(m); err != nil {
		return s, err
	}
	if err := s.settle(m, o); err != nil {
		return s, err
	}
	s.Merged = MergeConstants(m)
	s.Barriers = Barriers(m)
	clear(m.Graph.Values)
	return s, m.Check()
}

// clean takes away what computes nothing.
func (s *Simplified) clean(m *graph.Model, o RunOptions) error {
	m.Graph.RemoveDead()
	s.Idle += RemoveIdle(m)
	folded, err := Fold(m, o)
	if err != nil {
		return err
	}
	s.Folded += folded
	norms, err := FoldBatchNorm(m)
	s.BatchNorms += norms
	return err
}

// settle computes what follows from the size of the input, where the file fixes that and something asks for it. The batch may be any.
func (s *Simplified) settle(m *graph.Model, o RunOptions) error {
	asks := false
	for _, n := range m.Graph.Nodes {
		asks = asks || n.Op == "Shape" || n.Op == "Resize" && len(n.Inputs) == 4
	}
	if _, err := m.InputShape(); err != nil || !asks {
		return nil //nolint:nilerr // an input of any size settles nothing
	}
	if err := InferShapes(m, o); err != nil {
		return err
	}
	settleShapes(m)
	return s.clean(m, o)
}
