// Package judge measures, without labels, how far what a changed network detects is from what the original does.
package judge

import (
	"context"
	"maps"
	"math"
	"slices"

	"github.com/sightline/sightline/detect/onnx"
	"github.com/sightline/sightline/models/graph"
	"github.com/sightline/sightline/tools/calibrate"
	"github.com/sightline/sightline/tools/onnxgraph"
)

// Measure says what a judge takes for an error.
type Measure int

const (
	// Detections is the mean over objects of what is wrong with their scores and of 1-IoU of their boxes, weighed against each other, each
	// cell that sees an object counting by its score: for changes after which an object may be lost.
	Detections Measure = iota
	// Rounding is the mean square of what is wrong with objectness everywhere, and with classes and boxes where the original sees an
	// object: for changes that are small everywhere.
	Rounding
)

// Judge holds some pictures and what the original network says to them. It belongs to one goroutine.
type Judge struct {
	measure Measure
	head    *onnxgraph.Head // nil: outputs count as they are
	inputs  *calibrate.Album
	want    *memory
	run     onnxgraph.RunOptions
}

// New looks at the pictures with the original network. head is its head, nil where the tail was not cut off.
func New(ctx context.Context, m *graph.Model, head *onnxgraph.Head, set *calibrate.Set, run onnxgraph.RunOptions, measure Measure) (*Judge, error) {
	shape, err := m.InputShape()
	if err != nil {
		return nil, err
	}
	session, err := onnxgraph.Open(m, nil, run)
	if err != nil {
		return nil, err
	}
	defer session.Close() //nolint:errcheck // frees memory
	if measure == Detections && head != nil && head.Family != onnxgraph.YOLOX && head.Family != onnxgraph.YOLOv5 {
		head = nil // whose boxes cannot be computed here
	}
	j := &Judge{measure: measure, head: head, want: newMemory(head), run: run}
	if j.inputs, err = set.Album(ctx, shape); err != nil {
		return nil, err
	}
	for i := range j.inputs.Len() {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		out, err := session.Run(j.inputs.At(i))
		if err != nil {
			return nil, err
		}
		j.want.add(out)
	}
	return j, nil
}

// Inputs are the pictures. They stay the judge's.
func (j *Judge) Inputs() *calibrate.Album { return j.inputs }

// At is the same judge with networks run at a level of optimisation.
func (j *Judge) At(level onnx.Optimisation) *Judge {
	other := *j
	other.run.Level = level
	return &other
}

// Error is 0 for the original and infinite for a network that gives no numbers. Where the head is known it is what Measure says; else it
// is the mean square of the outputs' differences, as a share of their mean square.
func (j *Judge) Error(m *graph.Model) (float64, error) {
	session, err := onnxgraph.Open(m, nil, j.run)
	if err != nil {
		return 0, err
	}
	defer session.Close() //nolint:errcheck // frees memory
	var sum sums
	for i := range j.inputs.Len() {
		got, err := session.Run(j.inputs.At(i))
		if err != nil {
			return 0, err
		}
		j.add(&sum, j.want.of(i), got)
	}
	if e := sum.off / max(sum.weight, 1e-12); !math.IsNaN(e) {
		return e, nil
	}
	return math.Inf(1), nil
}

func (j *Judge) add(sum *sums, want, got map[string]onnx.Array) {
	if j.head == nil {
		sum.plain(want, got)
		return
	}
	for _, l := range j.head.Levels {
		if j.measure == Rounding {
			sum.rounding(l, want, got)
		} else {
			sum.level(cellsOf(l, want), cellsOf(l, got))
		}
	}
}

// sums are of errors, and of what they are shares of.
type sums struct{ off, weight float64 }

// plain goes through the outputs in one order, since sums of floating point numbers depend on it.
func (s *sums) plain(want, got map[string]onnx.Array) {
	for _, name := range slices.Sorted(maps.Keys(want)) {
		for i, v := range want[name].Data {
			e := float64(v - got[name].Data[i])
			s.off, s.weight = s.off+e*e, s.weight+float64(v)*float64(v)
		}
	}
}

func sigmoid(v float32) float64 { return 1 / (1 + math.Exp(-float64(v))) }
