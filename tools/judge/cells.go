package judge

import (
	"math"

	"github.com/sightline/sightline/detect/onnx"
	"github.com/sightline/sightline/tools/onnxgraph"
)

// cells are the logits of one grid, field after field.
type cells struct {
	object, boxes, classes []float32
	width                  int
	stride                 float64
	anchor                 [2]float32 // zero: a box is as YOLOX has it
}

// cellsOf splits the outputs of a level into one grid for each anchor.
func cellsOf(l onnxgraph.Level, out map[string]onnx.Array) []cells {
	first := out[l.Outputs[0]]
	width, stride := int(first.Shape[3]), float64(l.Stride)
	if len(l.Anchors) == 0 {
		return []cells{{out[l.Outputs[1]].Data, first.Data, out[l.Outputs[2]].Data, width, stride, [2]float32{}}}
	}
	size := int(first.Shape[2] * first.Shape[3])
	fields := int(first.Shape[1]) / len(l.Anchors)
	var grids []cells
	for a, anchor := range l.Anchors {
		at := func(from, to int) []float32 { return first.Data[(a*fields+from)*size : (a*fields+to)*size] }
		grids = append(grids, cells{at(4, 5), at(0, 4), at(5, fields), width, stride, anchor})
	}
	return grids
}

// box gives a cell's x1, y1, x2, y2 in pixels of the input.
func (c cells) box(i int) [4]float64 {
	n := len(c.object)
	f := [4]float32{c.boxes[i], c.boxes[n+i], c.boxes[2*n+i], c.boxes[3*n+i]}
	column, row := float64(i%c.width), float64(i/c.width)
	var x, y, w, h float64
	if c.anchor == [2]float32{} {
		x, y = (float64(f[0])+column)*c.stride, (float64(f[1])+row)*c.stride
		w, h = math.Exp(float64(f[2]))*c.stride, math.Exp(float64(f[3]))*c.stride
	} else {
		x, y = (2*sigmoid(f[0])-0.5+column)*c.stride, (2*sigmoid(f[1])-0.5+row)*c.stride
		s, t := sigmoid(f[2]), sigmoid(f[3])
		w, h = 4*s*s*float64(c.anchor[0]), 4*t*t*float64(c.anchor[1])
	}
	return [4]float64{x - w/2, y - h/2, x + w/2, y + h/2}
}

func iou(a, b [4]float64) float64 {
	w, h := min(a[2], b[2])-max(a[0], b[0]), min(a[3], b[3])-max(a[1], b[1])
	if w <= 0 || h <= 0 {
		return 0
	}
	area := func(r [4]float64) float64 { return (r[2] - r[0]) * (r[3] - r[1]) }
	return w * h / max(area(a)+area(b)-w*h, 1e-12)
}
