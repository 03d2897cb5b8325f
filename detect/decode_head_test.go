package detect

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/sightline/sightline/models"
)

// headSpec is a network of 64x64 with three classes, whole and with its tail cut off.
func headSpec(family models.Family) (whole, cut models.Spec) {
	whole = models.Spec{Family: family, Width: 64, Height: 64, Labels: []string{"a", "b", "c"}}
	cut = whole
	for _, stride := range []int{8, 16, 32} {
		l := models.Level{Stride: stride, Outputs: []string{"box", "objectness", "classes"}}
		if family == models.YOLOv5 {
			l.Outputs = l.Outputs[:1]
			l.Anchors = [][2]float32{{10, 13}, {16, 30}, {33, 23}}
		}
		cut.Head = append(cut.Head, l)
	}
	return whole, cut
}

// logits invents the outputs of a head, and what its family's tail makes of them.
func logits(cut models.Spec, random *rand.Rand) (outputs [][]float32, rows []float32) {
	fields := 5 + len(cut.Labels)
	for _, l := range cut.Head {
		w := cut.Width / l.Stride
		cells := w * cut.Height / l.Stride
		anchors := max(1, len(l.Anchors))
		all := make([]float32, anchors*fields*cells)
		for i := range all {
			all[i] = float32(random.NormFloat64())*2 - 1
		}
		for a := range anchors {
			for cell := range cells {
				at := func(field int) float32 { return all[(a*fields+field)*cells+cell] }
				rows = append(rows, tail(l, a, cell%w, cell/w, at)...)
				for field := 4; field < fields; field++ {
					rows = append(rows, sigmoid(at(field)))
				}
			}
		}
		if len(l.Anchors) > 0 {
			outputs = append(outputs, all)
		} else {
			outputs = append(outputs, all[:4*cells], all[4*cells:5*cells], all[5*cells:])
		}
	}
	return outputs, rows
}

func tail(l models.Level, anchor, x, y int, at func(int) float32) []float32 {
	if len(l.Anchors) == 0 {
		return []float32{at(0), at(1), at(2), at(3)} // YOLOX decodes outside anyway
	}
	twice := func(i int) float32 { return 2 * sigmoid(at(i)) }
	s := float32(l.Stride)
	return []float32{(twice(0) - 0.5 + float32(x)) * s, (twice(1) - 0.5 + float32(y)) * s,
		twice(2) * twice(2) * l.Anchors[anchor][0], twice(3) * twice(3) * l.Anchors[anchor][1]}
}

func TestCutHeadGivesWhatTheWholeNetworkGives(t *testing.T) {
	for _, family := range []models.Family{models.YOLOX, models.YOLOv5} {
		whole, cut := headSpec(family)
		random := rand.New(rand.NewPCG(3, 4))
		for _, lowest := range []float32{0.01, 0.3, 0.6} {
			thresholds := []float32{lowest, lowest / 2, math.MaxFloat32} // the last is not wanted
			a, b := newDecoder(whole, thresholds, 0.65), newDecoder(cut, thresholds, 0.65)
			outputs, rows := logits(cut, random)
			want, got := a.decode([][]float32{rows}), b.decode(outputs)
			if len(want) != len(got) || len(want) == 0 {
				t.Fatalf("%s at %g: %d objects of the whole, %d of the head", family, lowest, len(want), len(got))
			}
			for i := range want {
				if d := want[i].score - got[i].score; want[i].class != got[i].class || d > 1e-5 || d < -1e-5 || want[i].box.iou(got[i].box) < 0.999 {
					t.Errorf("%s at %g: object %d is %+v, want %+v", family, lowest, i, got[i], want[i])
				}
			}
		}
	}
}

func TestHeadWithoutNumbersGivesNothing(t *testing.T) {
	for _, bad := range []float32{float32(math.NaN()), float32(math.Inf(-1))} {
		_, cut := headSpec(models.YOLOX)
		outputs, _ := logits(cut, rand.New(rand.NewPCG(1, 1)))
		for _, o := range outputs {
			for i := range o {
				o[i] = bad
			}
		}
		if found := newDecoder(cut, []float32{0.1, 0.1, 0.1}, 0.65).decode(outputs); len(found) != 0 {
			t.Errorf("%d objects out of %g", len(found), bad)
		}
	}
}

func BenchmarkDecodeHead(b *testing.B) {
	cut := models.Spec{Family: models.YOLOX, Width: 416, Height: 416, Labels: models.COCOLabels()}
	for _, stride := range []int{8, 16, 32} {
		cut.Head = append(cut.Head, models.Level{Stride: stride, Outputs: []string{"b", "o", "c"}})
	}
	outputs, _ := logits(cut, rand.New(rand.NewPCG(1, 1)))
	for i := 1; i < len(outputs); i += 3 {
		for at := range outputs[i] {
			outputs[i][at] -= 6 // most cells are empty
		}
	}
	thresholds := make([]float32, 80)
	for i := range thresholds {
		thresholds[i] = 0.4
	}
	d := newDecoder(cut, thresholds, 0.65)
	b.ReportAllocs()
	for b.Loop() {
		d.decode(outputs)
	}
}
