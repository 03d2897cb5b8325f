package judge

import (
	"math"
	"testing"

	"github.com/sightline/sightline/detect/onnx"
	"github.com/sightline/sightline/tools/onnxgraph"
)

// outputs of one level, 2x2 cells and two classes, in which the first cell sees an object.
func outputs(family string, box [4]float32) (onnxgraph.Level, map[string]onnx.Array) {
	const low = -12
	field := func(first float32, n int) []float32 {
		v := make([]float32, 4*n)
		for i := range v {
			v[i] = low
		}
		v[0] = first
		return v
	}
	boxes := make([]float32, 16)
	for i, b := range box {
		boxes[4*i] = b
	}
	if family == onnxgraph.YOLOX {
		return onnxgraph.Level{Stride: 8, Outputs: []string{"b", "o", "c"}}, map[string]onnx.Array{
			"b": {Shape: []int64{1, 4, 2, 2}, Data: boxes}, "o": {Shape: []int64{1, 1, 2, 2}, Data: field(9, 1)}, "c": {Shape: []int64{1, 2, 2, 2}, Data: field(9, 2)},
		}
	}
	data := append(append(boxes, field(9, 1)...), field(9, 2)...)
	return onnxgraph.Level{Stride: 8, Anchors: [][2]float32{{16, 16}}, Outputs: []string{"b"}}, map[string]onnx.Array{"b": {Shape: []int64{1, 7, 2, 2}, Data: data}}
}

func errorOf(l onnxgraph.Level, want, got map[string]onnx.Array) float64 {
	var s sums
	s.level(cellsOf(l, want), cellsOf(l, got))
	return s.off / s.weight
}

func TestErrorIsThatOfBoxesAndScores(t *testing.T) {
	for _, family := range []string{onnxgraph.YOLOX, onnxgraph.YOLOv5} {
		l, want := outputs(family, [4]float32{})
		if e := errorOf(l, want, want); e != 0 {
			t.Errorf("%s: the same outputs are off by %g", family, e)
		}
		_, moved := outputs(family, [4]float32{100})
		if e := errorOf(l, want, moved); family == onnxgraph.YOLOX && math.Abs(e-boxShare) > 1e-2 || e < 0.3*boxShare {
			t.Errorf("%s: a box elsewhere counts %g", family, e)
		}
		_, gone := outputs(family, [4]float32{})
		for _, a := range gone {
			for i := range a.Data {
				if a.Data[i] == 9 {
					a.Data[i] = -12
				}
			}
		}
		if e := errorOf(l, want, gone); math.Abs(e-scoreShare) > 1e-2 {
			t.Errorf("%s: an object that is not seen counts %g", family, e)
		}
		if _, nothing := outputs(family, [4]float32{}); family == onnxgraph.YOLOX {
			nothing["o"].Data[0] = float32(math.NaN())
			if e := errorOf(l, want, nothing); !math.IsNaN(e) {
				t.Errorf("%s: no number counts %g", family, e)
			}
		}
	}
}

func TestBoxesAreDecodedAsTheirFamilyDoes(t *testing.T) {
	for family, want := range map[string][4]float64{onnxgraph.YOLOX: {-4, -4, 4, 4}, onnxgraph.YOLOv5: {-4, -4, 12, 12}} {
		l, out := outputs(family, [4]float32{})
		if got := cellsOf(l, out)[0].box(0); got != want {
			t.Errorf("%s: box %v, want %v", family, got, want)
		}
	}
	if v := iou([4]float64{0, 0, 2, 2}, [4]float64{1, 0, 3, 2}); math.Abs(v-1.0/3) > 1e-12 {
		t.Errorf("IoU %g, want a third", v)
	}
}
