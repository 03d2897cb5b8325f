// Package judge measures, without labels, how far what a changed network detects is from what the original does.
package judge

import (
	"context"
	"math"
	"slices"

	"github.com/sightline/sightline/detect/onnx"
	"github.com/sightline/sightline/models/graph"
	"github.com/sightline/sightline/tools/calibrate"
	"github.com/sightline/sightline/tools/onnxgraph"
)

// seen is the objectness from which a cell counts. Nearly all cells are background, and a mean over them would be about nothing else.
const seen = 0.02

// Judge holds some pictures and what the original network says to them. It belongs to one goroutine.
type Judge struct {
	head   *onnxgraph.Head // nil: outputs count as they are
	inputs []onnx.Array
	want   []map[string]onnx.Array
	run    onnxgraph.RunOptions
}

// New looks at the pictures with the original network. head is its head, nil where the tail was not cut off.
func New(ctx context.Context, m *graph.Model, head *onnxgraph.Head, set *calibrate.Set, run onnxgraph.RunOptions) (*Judge, error) {
	shape, err := m.InputShape()
	if err != nil {
		return nil, err
	}
	session, err := onnxgraph.Open(m, nil, run)
	if err != nil {
		return nil, err
	}
	defer session.Close() //nolint:errcheck // frees memory
	if head != nil && head.Family != onnxgraph.YOLOX && head.Family != onnxgraph.YOLOv5 {
		head = nil
	}
	j := &Judge{head: head, run: run}
	err = set.Each(ctx, func(_ int, input []float32) error {
		in := onnx.Array{Shape: shape, Data: slices.Clone(input)}
		out, err := session.Run(in)
		j.inputs, j.want = append(j.inputs, in), append(j.want, out)
		return err
	})
	return j, err
}

// Error is 0 for the original and infinite for a network that gives no numbers. Where the head is known it is the mean over objects of
// what is wrong with their scores and of 1-IoU of their boxes, weighed against each other, each cell that sees an object counting by its
// score; else it is the mean square of the outputs' differences, as a share of their mean square.
func (j *Judge) Error(m *graph.Model) (float64, error) {
	session, err := onnxgraph.Open(m, nil, j.run)
	if err != nil {
		return 0, err
	}
	defer session.Close() //nolint:errcheck // frees memory
	var sum sums
	for i, in := range j.inputs {
		got, err := session.Run(in)
		if err != nil {
			return 0, err
		}
		if j.head == nil {
			sum.plain(j.want[i], got)
			continue
		}
		for _, l := range j.head.Levels {
			sum.level(cellsOf(l, j.want[i]), cellsOf(l, got))
		}
	}
	if e := sum.off / max(sum.weight, 1e-12); !math.IsNaN(e) {
		return e, nil
	}
	return math.Inf(1), nil
}

// What a score that is off by 1 and a box that is lost count. Precision is a mean over thresholds of 0.5 to 0.95 of IoU, so half of a box
// is worth as much as all of it; and scores that are all too low by the same share cost nothing.
const (
	scoreShare = 0.5
	boxShare   = 2
)

// sums are of errors, and of what they are shares of.
type sums struct{ off, weight float64 }

func (s *sums) plain(want, got map[string]onnx.Array) {
	for name, w := range want {
		for i, v := range w.Data {
			e := float64(v - got[name].Data[i])
			s.off, s.weight = s.off+e*e, s.weight+float64(v)*float64(v)
		}
	}
}

func (s *sums) level(want, got []cells) {
	low := float32(math.Log(seen / (1 - seen)))
	for a := range want {
		w, g := want[a], got[a]
		for i, o := range w.object {
			if o < low && g.object[i] < low {
				continue
			}
			if g.object[i] != g.object[i] { // not a number
				s.off = math.NaN()
				return
			}
			off, best := scoresOff(w, g, i)
			s.off += scoreShare*off + boxShare*best*(1-iou(w.box(i), g.box(i)))
			s.weight += best
		}
	}
}

// scoresOff is the sum over classes of how far the scores are from each other, and the best score of the original.
func scoresOff(w, g cells, i int) (off, best float64) {
	p, q := sigmoid(w.object[i]), sigmoid(g.object[i])
	for c := i; c < len(w.classes); c += len(w.object) {
		if w.classes[c] < -6 && g.classes[c] < -6 {
			continue
		}
		s := p * sigmoid(w.classes[c])
		off += math.Abs(s - q*sigmoid(g.classes[c]))
		best = max(best, s)
	}
	return off, best
}

func sigmoid(v float32) float64 { return 1 / (1 + math.Exp(-float64(v))) }
