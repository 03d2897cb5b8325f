package onnxgraph

import (
	"math"

	"github.com/sightline/sightline/detect/onnx"
	"github.com/sightline/sightline/models/graph"
)

// meanBins gives the number of bins of a convolution that takes the mean of a distribution over them: one output channel that weighs
// bin i by i, 1x1. 0: it is another one.
func meanBins(g *graph.Graph, n *graph.Node) int {
	t := g.Const(n.Input(1))
	if t == nil || len(t.Shape) != 4 || t.Shape[0] != 1 || t.Shape[2] != 1 || t.Shape[3] != 1 || t.Shape[1] < 2 || n.Input(2) != "" {
		return 0
	}
	v, err := t.Floats()
	if err != nil {
		return 0
	}
	for i, w := range v {
		if w != float32(i) {
			return 0
		}
	}
	return len(v)
}

// readYOLOv8 expects, for each level, a convolution for the distances and one for the classes, and behind the former the mean over
// bins. Which two belong together shows only when the shapes are known: see pairUp.
func readYOLOv8(m *graph.Model) (Head, error) {
	head := Head{Family: YOLOv8}
	bins := 0
	for _, n := range m.Graph.Nodes {
		if n.Op == "Conv" && bins == 0 {
			bins = meanBins(m.Graph, n)
		}
	}
	convs := lastConvs(m.Graph)
	if bins == 0 || len(convs) == 0 || len(convs)%2 != 0 {
		return head, ErrTail
	}
	for _, conv := range convs {
		head.Levels = append(head.Levels, Level{Bins: bins, Outputs: []string{conv.Output()}})
	}
	return head, nil
}

// pairUp joins the two outputs of each grid, the distances first. Where the channels do not tell them apart they stay in the order in
// which the tail reads them.
func (h *Head) pairUp(shapes map[string][]int64) {
	var levels []Level
	for _, l := range h.Levels {
		if len(l.Outputs) != 1 {
			return // paired already
		}
		name := l.Outputs[0]
		at := -1
		for i, other := range levels {
			if sameGrid(shapes[name], shapes[other.Outputs[0]]) {
				at = i
			}
		}
		if at < 0 {
			levels = append(levels, l)
			continue
		}
		first := levels[at].Outputs[0]
		levels[at].Outputs = []string{first, name}
		if shapes[first][1] != int64(4*l.Bins) && shapes[name][1] == int64(4*l.Bins) {
			levels[at].Outputs = []string{name, first}
		}
	}
	h.Levels = levels
}

func sameGrid(a, b []int64) bool {
	return len(a) == 4 && len(b) == 4 && a[2] == b[2] && a[3] == b[3]
}

// yolov8Columns decodes into [4+classes, cells].
func (h *Head) yolov8Columns(outputs map[string]onnx.Array) []float32 {
	total, classes := 0, 0
	for _, l := range h.Levels {
		if len(l.Outputs) != 2 {
			return nil // a grid without its pair: nothing is equal to it
		}
		cells := int(outputs[l.Outputs[1]].Shape[2] * outputs[l.Outputs[1]].Shape[3])
		total, classes = total+cells, int(outputs[l.Outputs[1]].Shape[1])
		if int(outputs[l.Outputs[0]].Shape[1]) != 4*l.Bins {
			return nil
		}
	}
	columns, first := make([]float32, (4+classes)*total), 0
	for _, l := range h.Levels {
		sides, scores := outputs[l.Outputs[0]], outputs[l.Outputs[1]].Data
		w := int(sides.Shape[3])
		cells := w * int(sides.Shape[2])
		for cell := range cells {
			x, y := float32(cell%w)+0.5, float32(cell/w)+0.5
			side := func(i int) float32 { return Distance(sides.Data, l.Bins, cells, i, cell) }
			left, top, right, bottom := x-side(0), y-side(1), x+side(2), y+side(3)
			s := float32(l.Stride)
			for i, v := range []float32{(left + right) / 2 * s, (top + bottom) / 2 * s, (right - left) * s, (bottom - top) * s} {
				columns[i*total+first+cell] = v
			}
			for class := range classes {
				columns[(4+class)*total+first+cell] = sigmoid(scores[class*cells+cell])
			}
		}
		first += cells
	}
	return columns
}

// Distance is the mean of the softmax over the bins of one side (0 to 3: left, top, right, bottom) of a cell, in steps of the stride.
func Distance(sides []float32, bins, cells, side, cell int) float32 {
	at := side*bins*cells + cell
	most := math.Inf(-1)
	for bin := range bins {
		most = max(most, float64(sides[at+bin*cells]))
	}
	sum, mean := 0.0, 0.0
	for bin := range bins {
		e := math.Exp(float64(sides[at+bin*cells]) - most)
		sum += e
		mean += e * float64(bin)
	}
	return float32(mean / sum)
}
