package detect

import (
	"math"

	"github.com/sightline/sightline/models"
)

// readHead reads the grids of a network whose decode tail was cut off: only cells whose objectness is above every threshold that
// could pass are decoded at all, by comparing logits, which costs no exponential.
func (d *decoder) readHead(outputs [][]float32) {
	least, first := logit(d.lowest), 0
	for _, l := range d.spec.Head {
		w, h := d.spec.Width/l.Stride, d.spec.Height/l.Stride
		if d.spec.Family == models.YOLOv8 {
			d.readDistances(distances{width: w, cells: w * h, bins: l.Bins, stride: float32(l.Stride), sides: outputs[0], classes: outputs[1], first: first})
			outputs, first = outputs[2:], first+w*h
			continue
		}
		if d.spec.Family == models.YOLOX {
			d.readGrid(grid{
				width: w, cells: w * h, stride: float32(l.Stride), box: outputs[0], objectness: outputs[1], classes: outputs[2], first: first,
			}, least)
			outputs, first = outputs[3:], first+w*h
			continue
		}
		fields := (5 + d.classes) * w * h
		for i, anchor := range l.Anchors {
			all := outputs[0][i*fields : (i+1)*fields]
			d.readGrid(grid{
				width: w, cells: w * h, stride: float32(l.Stride), anchor: anchor, first: first,
				box: all[:4*w*h], objectness: all[4*w*h : 5*w*h], classes: all[5*w*h:],
			}, least)
			first += w * h
		}
		outputs = outputs[1:]
	}
}

// grid is one level of a head, or one anchor of a level: logits, field after field, each of all cells.
type grid struct {
	width, cells int
	stride       float32
	anchor       [2]float32 // YOLOv5
	box          []float32
	objectness   []float32
	classes      []float32
	first        int // number of its first cell among all
}

func (d *decoder) readGrid(g grid, least float32) {
	for cell, v := range g.objectness[:g.cells] {
		if v >= least { // NaN is not
			d.readCell(g, cell, sigmoid(v))
		}
	}
}

// readCell adds the objects of a cell. A cell may be several objects for YOLOv5 and only the best for YOLOX, as their authors
// measure them.
func (d *decoder) readCell(g grid, cell int, objectness float32) {
	best, most := -1, float32(0)
	last, least := float32(-1), float32(0) // most classes have one threshold: one logarithm for all
	for class, threshold := range d.thresholds {
		v := g.classes[class*g.cells+cell]
		if threshold > objectness {
			continue
		}
		if threshold != last {
			last, least = threshold, logit(threshold/objectness)
		}
		if v < least {
			continue
		}
		score := objectness * sigmoid(v)
		if !(score >= threshold) {
			continue
		}
		if d.spec.Family == models.YOLOv5 {
			d.add(d.gridBox(g, cell), score, class, g.first+cell)
		} else if score > most {
			best, most = class, score
		}
	}
	if best >= 0 {
		d.add(d.gridBox(g, cell), most, best, g.first+cell)
	}
}

func (d *decoder) gridBox(g grid, cell int) box {
	x, y := float32(cell%g.width), float32(cell/g.width)
	field := func(i int) float32 { return g.box[i*g.cells+cell] }
	if d.spec.Family == models.YOLOv5 {
		double := func(i int) float32 { return 2 * sigmoid(field(i)) }
		w, h := double(2), double(3)
		return centred((double(0)-0.5+x)*g.stride, (double(1)-0.5+y)*g.stride, w*w*g.anchor[0], h*h*g.anchor[1])
	}
	return centred((field(0)+x)*g.stride, (field(1)+y)*g.stride, exp(field(2))*g.stride, exp(field(3))*g.stride)
}

func sigmoid(v float32) float32 { return float32(1 / (1 + math.Exp(-float64(v)))) }

// logit is the inverse of sigmoid, a little lower so that rounding lets nothing fall that has the score.
func logit(p float32) float32 {
	if p >= 1 {
		return 10
	}
	return float32(math.Log(float64(p)/(1-float64(p)))) - 1e-3
}
