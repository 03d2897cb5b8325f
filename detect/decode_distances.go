package detect

import "math"

// distances is one level of a YOLOv8 head: logits, field after field, each of all cells. A side of a box stands at a distance from the
// middle of its cell that is the mean of a distribution over bins, in steps of the stride.
type distances struct {
	width, cells, bins int
	stride             float32
	sides              []float32 // [4*bins, cells]: left, top, right, bottom
	classes            []float32 // [classes, cells]
	first              int       // number of its first cell among all
}

// readDistances adds the objects of a level, class by class as readColumns does. Only boxes of cells with an object are computed.
func (d *decoder) readDistances(l distances) {
	for class, threshold := range d.thresholds {
		least := logit(threshold)
		for cell, v := range l.classes[class*l.cells : (class+1)*l.cells] {
			if !(v >= least) { // NaN too
				continue
			}
			if score := sigmoid(v); score >= threshold {
				d.add(l.box(cell), score, class, l.first+cell)
			}
		}
	}
}

func (l distances) box(cell int) box {
	x, y := float32(cell%l.width)+0.5, float32(cell/l.width)+0.5
	return box{(x - l.side(0, cell)) * l.stride, (y - l.side(1, cell)) * l.stride, (x + l.side(2, cell)) * l.stride, (y + l.side(3, cell)) * l.stride}
}

// side is the mean of the softmax over a side's bins.
func (l distances) side(side, cell int) float32 {
	at := side*l.bins*l.cells + cell
	most := l.sides[at]
	for bin := 1; bin < l.bins; bin++ {
		most = max(most, l.sides[at+bin*l.cells])
	}
	sum, mean := 0.0, 0.0
	for bin := range l.bins {
		e := math.Exp(float64(l.sides[at+bin*l.cells] - most))
		sum += e
		mean += e * float64(bin)
	}
	return float32(mean / sum)
}
