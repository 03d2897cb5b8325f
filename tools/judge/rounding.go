package judge

import (
	"github.com/sightline/sightline/detect/onnx"
	"github.com/sightline/sightline/tools/onnxgraph"
)

// stepShare weighs a box that is off by a step of its grid against a score that is off by 1.
const stepShare = 0.25

// rounding adds a level of the head. A mean over all fields of all cells would be about the background.
func (s *sums) rounding(l onnxgraph.Level, want, got map[string]onnx.Array) {
	switch {
	case l.Bins > 0:
		s.distances(l, want, got)
	case len(l.Anchors) == 0:
		w, g := cellsOf(l, want)[0], cellsOf(l, got)[0]
		s.grid(w.object, g.object, []pair{{w.boxes, g.boxes, stepShare, false}, {w.classes, g.classes, 1, true}})
	default:
		want, got := cellsOf(l, want), cellsOf(l, got)
		for a, w := range want {
			g := got[a]
			s.grid(w.object, g.object, []pair{{w.boxes, g.boxes, stepShare * 16, true}, {w.classes, g.classes, 1, true}})
		}
	}
}

// pair is one kind of field of all cells, field after field.
type pair struct {
	want, got []float32
	share     float64
	logits    bool
}

func (s *sums) grid(want, got []float32, fields []pair) {
	cells := len(want)
	for cell := range cells {
		p := sigmoid(want[cell])
		e := p - sigmoid(got[cell])
		s.off += e * e
		if s.weight += p; p < 0.01 {
			continue
		}
		for _, f := range fields {
			for i := cell; i < len(f.want); i += cells {
				a, b := float64(f.want[i]), float64(f.got[i])
				if f.logits {
					a, b = sigmoid(f.want[i]), sigmoid(f.got[i])
				}
				s.off += p * f.share * (a - b) * (a - b)
			}
		}
	}
}

// distances adds a level of YOLOv8, which has no objectness: the highest class takes its place. Boxes are held against each other by
// the means of their distributions, not by the logits.
func (s *sums) distances(l onnxgraph.Level, want, got map[string]onnx.Array) {
	wc, gc := want[l.Outputs[1]], got[l.Outputs[1]]
	cells := int(wc.Shape[2] * wc.Shape[3])
	s.grid(highest(wc.Data, cells), highest(gc.Data, cells), []pair{
		{sides(want[l.Outputs[0]].Data, l.Bins, cells), sides(got[l.Outputs[0]].Data, l.Bins, cells), stepShare, false},
		{wc.Data, gc.Data, 1, true},
	})
}

// highest is the highest logit of each cell.
func highest(classes []float32, cells int) []float32 {
	most := append([]float32{}, classes[:cells]...)
	for i, v := range classes[cells:] {
		most[i%cells] = max(most[i%cells], v)
	}
	return most
}

func sides(logits []float32, bins, cells int) []float32 {
	v := make([]float32, 4*cells)
	for side := range 4 {
		for cell := range cells {
			v[side*cells+cell] = onnxgraph.Distance(logits, bins, cells, side, cell)
		}
	}
	return v
}
