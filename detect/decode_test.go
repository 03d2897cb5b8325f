package detect

import (
	"encoding/binary"
	"math"
	"testing"

	"github.com/sightline/sightline/models"
)

// decodeAnything reads bytes as the output of a network, and holds what comes of it to the rules.
func decodeAnything(t *testing.T, data []byte, family uint8) {
	t.Helper()
	spec := models.Spec{Family: []models.Family{models.YOLOX, models.YOLOv5, models.YOLOv8}[family%3], Width: 64, Height: 64, Labels: []string{"a", "b", "c"}}
	shape := spec.OutputShape(1)
	output := make([]float32, shape[1]*shape[2])
	for i := range output {
		if at := 4 * i; len(data) > 0 {
			var word [4]byte
			for k := range word {
				word[k] = data[(at+k)%len(data)]
			}
			output[i] = math.Float32frombits(binary.LittleEndian.Uint32(word[:]))
		}
	}
	found := newDecoder(spec, []float32{0.1, 0.2, 0.3}, 0.65).decode([][]float32{output})
	if len(found) > maxFound {
		t.Errorf("%d objects", len(found))
	}
	for _, c := range found {
		if !c.box.finite() || c.box.empty() || !(c.score >= 0.1) || c.class < 0 || c.class > 2 {
			t.Errorf("%+v", c)
		}
	}
}

func TestOutputsThatAreNoNumbersGiveNoObjects(t *testing.T) {
	for _, v := range []float32{float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1)), 1e38, -1e38} {
		data := binary.LittleEndian.AppendUint32(nil, math.Float32bits(v))
		for family := range uint8(3) {
			decodeAnything(t, data, family)
		}
	}
}

// TestOneCellOfEachFamily: the box that a cell means, by each family's rule.
func TestOneCellOfEachFamily(t *testing.T) {
	spec := models.Spec{Width: 64, Height: 64, Labels: []string{"a", "b"}}
	for family, fill := range map[models.Family]func(output []float32) box{
		models.YOLOX: func(o []float32) box { // cell 3, 2 of stride 8: (x+cell)*stride, exp(w)*stride
			copy(o[(2*8+3)*7:], []float32{0.5, 0.25, 1, 0, 0.9, 0.1, 0.8})
			w := float32(math.E) * 8
			return box{28 - w/2, 18 - 4, 28 + w/2, 18 + 4}
		},
		models.YOLOv5: func(o []float32) box { // decoded already
			copy(o[100*7:], []float32{30, 20, 10, 8, 0.9, 0.1, 0.8})
			return box{25, 16, 35, 24}
		},
		models.YOLOv8: func(o []float32) box { // field after field
			for i, v := range []float32{30, 20, 10, 8, 0.1, 0.72} {
				o[i*84+5] = v
			}
			return box{25, 16, 35, 24}
		},
	} {
		s := spec
		s.Family = family
		shape := s.OutputShape(1)
		output := make([]float32, shape[1]*shape[2])
		want := fill(output)
		found := newDecoder(s, []float32{0.3, 0.3}, 0.65).decode([][]float32{output})
		if len(found) != 1 || found[0].class != 1 || math.Abs(float64(found[0].score)-0.72) > 1e-5 || found[0].box.iou(want) < 0.9999 {
			t.Errorf("%s: %+v, want %v of class 1 with 0.72", family, found, want)
		}
	}
}

func TestSuppressionKeepsTheBestOfEachClass(t *testing.T) {
	found := suppress([]candidate{
		{box: box{0, 0, 10, 10}, score: 0.5}, {box: box{1, 0, 11, 10}, score: 0.9}, {box: box{0, 0, 10, 10}, score: 0.8, class: 1},
		{box: box{30, 0, 40, 10}, score: 0.4},
		// By a third of their union: one where two regions saw it, two where one did.
		{box: box{50, 0, 60, 10}, score: 0.4, class: 2}, {box: box{55, 0, 65, 10}, score: 0.3, class: 2},
		{box: box{50, 0, 60, 10}, score: 0.4, class: 3}, {box: box{55, 0, 65, 10}, score: 0.3, class: 3, region: 1},
	}, 0.65, 0.3)
	if len(found) != 6 {
		t.Fatalf("%+v", found)
	}
	for _, c := range found {
		if c.score == 0.5 {
			t.Error("the worse of two is kept")
		}
	}
}
