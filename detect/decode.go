package detect

import (
	"cmp"
	"math"
	"slices"

	"github.com/sightline/sightline/models"
)

// Limits of what one region may give, so that a network gone wild costs a bounded time.
const (
	maxCandidates = 4096 // the best that go into suppression
	maxFound      = 300  // the best that come out of it
)

// candidate is a box that may become an object.
type candidate struct {
	box    box
	score  float32
	class  int32
	anchor int32 // where in the output it comes from; only makes orders strict
	region int32 // that it was found in
	cut    sides // inner sides of the region that it touches
	coarse bool  // the region is the whole of a frame that was looked at in tiles too
}

// decoder reads the output of a network. It belongs to one goroutine.
type decoder struct {
	spec    models.Spec
	classes int
	anchors int
	// thresholds by class; a class that is not wanted has one above every score.
	thresholds []float32
	lowest     float32 // of the thresholds
	iou        float32
	cells      []cell // YOLOX: of every anchor
	found      []candidate
}

// cell is a place of a grid in steps of its stride.
type cell struct{ x, y, stride float32 }

func newDecoder(spec models.Spec, thresholds []float32, iou float32) *decoder {
	d := &decoder{
		spec: spec, classes: len(spec.Labels), anchors: spec.Anchors(),
		thresholds: thresholds, lowest: slices.Min(thresholds), iou: iou,
		found: make([]candidate, 0, maxCandidates),
	}
	if spec.Family == models.YOLOX {
		d.cells = gridCells(spec.Width, spec.Height)
	}
	return d
}

// gridCells lists the cells of the three grids, row after row, finest first.
func gridCells(width, height int) []cell {
	var cells []cell
	for _, stride := range []int{8, 16, 32} {
		for y := range height / stride {
			for x := range width / stride {
				cells = append(cells, cell{float32(x), float32(y), float32(stride)})
			}
		}
	}
	return cells
}

// decode gives the objects in the outputs of one item, in pixels of the network's input and at most maxFound, the best. What it
// returns is valid until the next call. Values that are no finite numbers give no object.
func (d *decoder) decode(outputs [][]float32) []candidate {
	d.found = d.found[:0]
	switch {
	case len(d.spec.Head) > 0:
		d.readHead(outputs)
	case d.spec.Family == models.YOLOv8:
		d.readColumns(outputs[0])
	default:
		d.readRows(outputs[0])
	}
	if len(d.found) > maxCandidates {
		slices.SortFunc(d.found, byScore)
		d.found = d.found[:maxCandidates]
	}
	d.found = suppress(d.found, d.iou, d.iou)
	if len(d.found) > maxFound {
		slices.SortFunc(d.found, byScore)
		d.found = d.found[:maxFound]
	}
	return d.found
}

// readRows reads [A, 5+nc]: box, objectness, classes. Classes are at most 1, so a low objectness ends the matter at once.
// A cell may be several objects for YOLOv5 and only the best for YOLOX, as their authors measure them.
func (d *decoder) readRows(output []float32) {
	width := 5 + d.classes
	for a := range d.anchors {
		row := output[a*width : (a+1)*width : (a+1)*width]
		objectness := row[4]
		if !(objectness >= d.lowest) { // NaN too
			continue
		}
		best, most := -1, float32(0)
		for class, p := range row[5:] {
			score := objectness * p
			if !(score >= d.thresholds[class]) {
				continue
			}
			if d.spec.Family == models.YOLOv5 {
				d.add(d.rowBox(row, a), score, class, a)
			} else if score > most {
				best, most = class, score
			}
		}
		if best >= 0 {
			d.add(d.rowBox(row, a), most, best, a)
		}
	}
}

func (d *decoder) rowBox(row []float32, anchor int) box {
	if d.spec.Family == models.YOLOv5 {
		return centred(row[0], row[1], row[2], row[3])
	}
	c := d.cells[anchor]
	return centred((row[0]+c.x)*c.stride, (row[1]+c.y)*c.stride, exp(row[2])*c.stride, exp(row[3])*c.stride)
}

func exp(v float32) float32 { return float32(math.Exp(float64(v))) }

// readColumns reads [4+nc, A]: box, classes. Each class lies in one piece, so it is gone through class by class.
func (d *decoder) readColumns(output []float32) {
	n := d.anchors
	for class := range d.classes {
		threshold := d.thresholds[class]
		scores := output[(4+class)*n : (5+class)*n]
		for a, score := range scores {
			if score >= threshold {
				d.add(centred(output[a], output[n+a], output[2*n+a], output[3*n+a]), score, class, a)
			}
		}
	}
}

func (d *decoder) add(b box, score float32, class, anchor int) {
	if !b.finite() || b.empty() || math.IsInf(float64(score), 0) {
		return
	}
	// Full: keep the better half, so that the scratch never grows.
	if len(d.found) == 4*maxCandidates {
		slices.SortFunc(d.found, byScore)
		d.found = d.found[:maxCandidates]
	}
	d.found = append(d.found, candidate{box: b, score: score, class: int32(class), anchor: int32(anchor)})
}

// byScore puts the best first, in one order whatever the order before.
func byScore(a, b candidate) int {
	if c := cmp.Compare(b.score, a.score); c != 0 {
		return c
	}
	if c := cmp.Compare(a.class, b.class); c != 0 {
		return c
	}
	if c := cmp.Compare(a.region, b.region); c != 0 {
		return c
	}
	return cmp.Compare(a.anchor, b.anchor)
}

// byClass puts candidates of one class together, the best first.
func byClass(a, b candidate) int {
	if c := cmp.Compare(a.class, b.class); c != 0 {
		return c
	}
	return byScore(a, b)
}

// suppress keeps, class by class, the best of boxes that overlap by more than within where one region saw them, and by more than
// across where two did, or coarseSeen where one of these is coarse. It works in place.
func suppress(found []candidate, within, across float32) []candidate {
	slices.SortFunc(found, byClass)
	kept := found[:0]
	first := 0 // of the class among kept
	for _, c := range found {
		if len(kept) > first && kept[first].class != c.class {
			first = len(kept)
		}
		if !overlapsAny(kept[first:], &c, within, across) {
			kept = append(kept, c)
		}
	}
	return kept
}

func overlapsAny(kept []candidate, c *candidate, within, across float32) bool {
	for i := range kept {
		most := across
		switch {
		case kept[i].region == c.region:
			most = within
		case kept[i].coarse != c.coarse:
			most = min(across, coarseSeen)
		}
		if kept[i].box.iou(c.box) > most {
			return true
		}
	}
	return false
}
