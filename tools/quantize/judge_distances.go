package quantize

import (
	"github.com/sightline/sightline/detect/onnx"
	"github.com/sightline/sightline/tools/onnxgraph"
)

// distances adds a level of YOLOv8, which has no objectness: the highest class takes its place. Boxes are held against each other by
// the means of their distributions, not by the logits.
func (d *difference) distances(l onnxgraph.Level, want, got map[string]onnx.Array) {
	wc, gc := want[l.Outputs[1]], got[l.Outputs[1]]
	cells := int(wc.Shape[2] * wc.Shape[3])
	d.grid(highest(wc.Data, cells), highest(gc.Data, cells), []pair{
		{sides(want[l.Outputs[0]].Data, l.Bins, cells), sides(got[l.Outputs[0]].Data, l.Bins, cells), boxShare, false},
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
