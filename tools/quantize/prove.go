package quantize

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/sightline/sightline/detect/onnx"
	"github.com/sightline/sightline/models/graph"
	"github.com/sightline/sightline/tools/onnxgraph"
)

// farOff is how much further from the float network the optimised network may be than the network as written.
const farOff = 0.01

// prove looks at what onnxruntime makes of the network: a file that holds int8 need not run in int8, and a wrong fusion gives
// other numbers without a word.
func (s *static) prove(q *graph.Model, levels map[string]affine) error {
	dir, err := os.MkdirTemp("", "sightline-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	run := s.run
	run.Level, run.Optimised = onnx.OptimiseExtended, filepath.Join(dir, "optimised.onnx")
	session, err := onnxgraph.Open(q, nil, run)
	if err != nil {
		return err
	}
	if err := session.Close(); err != nil {
		return err
	}
	fused, err := graph.Read(run.Optimised)
	if err != nil {
		return err
	}
	running := 0
	for _, n := range fused.Graph.Nodes {
		if n.Op == "QLinearConv" {
			running++
		}
	}
	if err := s.countMACs(levels); err != nil {
		return err
	}
	if running != s.report.Int8Convs {
		return fmt.Errorf("onnxruntime runs %d convolutions in int8, but %d were prepared for it; please report this model", running, s.report.Int8Convs)
	}
	return s.sameUnoptimised(q)
}

// sameUnoptimised holds the errors of the network as written and as it runs against each other. They are never the same: float sums
// round in another place than whole ones.
func (s *static) sameUnoptimised(q *graph.Model) error {
	written, err := s.judge.At(onnx.OptimiseNothing).Error(q)
	if err != nil {
		return err
	}
	runs, err := s.judge.Error(q)
	if err == nil && runs > 2*written+farOff {
		err = fmt.Errorf("onnxruntime's optimiser changes what the network gives (error %.4f instead of %.4f); please report this model", runs, written)
	}
	return err
}

// countMACs shares the multiply-adds out between int8 and float.
func (s *static) countMACs(levels map[string]affine) (err error) {
	var fast []string
	for _, n := range s.m.Graph.Nodes {
		if n.Op != "Conv" {
			continue
		}
		s.report.Convs++
		_, in := levels[n.Inputs[0]]
		if _, out := levels[n.Output()]; in && out {
			fast = append(fast, n.Output())
		}
	}
	s.report.Int8Convs = len(fast)
	s.report.Int8MACs, err = s.share(fast)
	return err
}

// share is that of the multiply-adds which the convolutions of some outputs have.
func (s *static) share(names []string) (float64, error) {
	macs, err := onnxgraph.MACs(s.m, s.run)
	if err != nil {
		return 0, err
	}
	var all, some int64
	for name, n := range macs {
		all += n
		if slices.Contains(names, name) {
			some += n
		}
	}
	return float64(some) / float64(max(1, all)), nil
}
