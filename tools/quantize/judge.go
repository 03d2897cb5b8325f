package quantize

import (
	"context"
	"math"
	"slices"

	"github.com/sightline/sightline/detect/onnx"
	"github.com/sightline/sightline/models/graph"
	"github.com/sightline/sightline/tools/calibrate"
	"github.com/sightline/sightline/tools/onnxgraph"
)

// judge measures, without labels, how far the outputs of a network are from those of the float one, on some pictures whose outputs
// it keeps. It looks at what becomes detections: objectness everywhere, and classes and boxes where the float network sees an
// object. A mean over all cells would be about the background.
type judge struct {
	head   *onnxgraph.Head // nil: all outputs count as they are
	inputs []onnx.Array
	want   []map[string]onnx.Array
	run    onnxgraph.RunOptions
}

func newJudge(ctx context.Context, m *graph.Model, head *onnxgraph.Head, set *calibrate.Set, run onnxgraph.RunOptions) (*judge, error) {
	shape, err := m.InputShape()
	if err != nil {
		return nil, err
	}
	session, err := onnxgraph.Open(m, nil, run)
	if err != nil {
		return nil, err
	}
	defer session.Close() //nolint:errcheck // frees memory
	j := &judge{head: head, run: run}
	err = set.Each(ctx, func(_ int, input []float32) error {
		in := onnx.Array{Shape: shape, Data: slices.Clone(input)}
		out, err := session.Run(in)
		j.inputs, j.want = append(j.inputs, in), append(j.want, out)
		return err
	})
	return j, err
}

// error is a mean square: 0 for the float network itself, infinite for one that gives no numbers.
func (j *judge) error(m *graph.Model) (float64, error) {
	session, err := onnxgraph.Open(m, nil, j.run)
	if err != nil {
		return 0, err
	}
	defer session.Close() //nolint:errcheck // frees memory
	var sum difference
	for i, in := range j.inputs {
		got, err := session.Run(in)
		if err != nil {
			return 0, err
		}
		sum.add(j.head, j.want[i], got)
	}
	if e := sum.off / max(sum.weight, 1e-12); !math.IsNaN(e) {
		return e, nil
	}
	return math.Inf(1), nil
}

// difference sums up squares and what they are shares of.
type difference struct{ off, weight float64 }

func (d *difference) add(head *onnxgraph.Head, want, got map[string]onnx.Array) {
	if head == nil {
		for name, w := range want {
			for i, v := range w.Data {
				e := float64(v - got[name].Data[i])
				d.off, d.weight = d.off+e*e, d.weight+float64(v)*float64(v)
			}
		}
		return
	}
	for _, l := range head.Levels {
		if l.Bins > 0 {
			d.distances(l, want, got)
			continue
		}
		if len(l.Anchors) == 0 {
			d.grid(want[l.Outputs[1]].Data, got[l.Outputs[1]].Data, []pair{
				{want[l.Outputs[0]].Data, got[l.Outputs[0]].Data, boxShare, false}, {want[l.Outputs[2]].Data, got[l.Outputs[2]].Data, 1, true},
			})
			continue
		}
		w, g := want[l.Outputs[0]], got[l.Outputs[0]]
		cells, fields := int(w.Shape[2]*w.Shape[3]), int(w.Shape[1])/len(l.Anchors)
		for a := range l.Anchors {
			at := func(from, to int) (x, y []float32) {
				from, to = (a*fields+from)*cells, (a*fields+to)*cells
				return w.Data[from:to], g.Data[from:to]
			}
			wo, ob := at(4, 5)
			wb, bx := at(0, 4)
			wc, cl := at(5, fields)
			d.grid(wo, ob, []pair{{wb, bx, boxShare * 16, true}, {wc, cl, 1, true}})
		}
	}
}

// boxShare weighs a box that is off by a step of its grid against a score that is off by 1.
const boxShare = 0.25

// pair is one kind of field of all cells, field after field.
type pair struct {
	want, got []float32
	share     float64
	logits    bool
}

func (d *difference) grid(want, got []float32, fields []pair) {
	cells := len(want)
	for cell := range cells {
		p := probability(want[cell])
		e := p - probability(got[cell])
		d.off += e * e
		if d.weight += p; p < 0.01 {
			continue
		}
		for _, f := range fields {
			for i := cell; i < len(f.want); i += cells {
				a, b := float64(f.want[i]), float64(f.got[i])
				if f.logits {
					a, b = probability(f.want[i]), probability(f.got[i])
				}
				d.off += p * f.share * (a - b) * (a - b)
			}
		}
	}
}

func probability(v float32) float64 { return 1 / (1 + math.Exp(-float64(v))) }
