package detect

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/sightline/sightline/models"
)

// distanceSpec is a YOLOv8 of 64x64 with three classes and four bins, whole and with its tail cut off.
func distanceSpec() (whole, cut models.Spec) {
	whole = models.Spec{Family: models.YOLOv8, Width: 64, Height: 64, Labels: []string{"a", "b", "c"}}
	cut = whole
	for _, stride := range []int{8, 16, 32} {
		cut.Head = append(cut.Head, models.Level{Stride: stride, Bins: 4, Outputs: []string{"sides", "classes"}})
	}
	return whole, cut
}

// distanceLogits invents the outputs of a head, and what the tail makes of them: [4+classes, cells].
func distanceLogits(cut models.Spec, random *rand.Rand) (outputs [][]float32, columns []float32) {
	total, first := cut.Anchors(), 0
	columns = make([]float32, (4+len(cut.Labels))*total)
	for _, l := range cut.Head {
		w := cut.Width / l.Stride
		cells := w * cut.Height / l.Stride
		sides, classes := make([]float32, 4*l.Bins*cells), make([]float32, len(cut.Labels)*cells)
		for _, list := range [][]float32{sides, classes} {
			for i := range list {
				list[i] = float32(random.NormFloat64()) * 2
			}
		}
		for cell := range cells {
			var d [4]float32
			for side := range d {
				sum := 0.0
				for bin := range l.Bins {
					e := math.Exp(float64(sides[(side*l.Bins+bin)*cells+cell]))
					sum += e
					d[side] += float32(e) * float32(bin)
				}
				d[side] /= float32(sum)
			}
			s := float32(l.Stride)
			x, y := float32(cell%w)+0.5, float32(cell/w)+0.5
			for i, v := range []float32{(x + (d[2]-d[0])/2) * s, (y + (d[3]-d[1])/2) * s, (d[0] + d[2]) * s, (d[1] + d[3]) * s} {
				columns[i*total+first+cell] = v
			}
			for class := range cut.Labels {
				columns[(4+class)*total+first+cell] = sigmoid(classes[class*cells+cell])
			}
		}
		outputs, first = append(outputs, sides, classes), first+cells
	}
	return outputs, columns
}

func TestCutHeadOfDistancesGivesWhatTheWholeNetworkGives(t *testing.T) {
	whole, cut := distanceSpec()
	random := rand.New(rand.NewPCG(3, 4))
	for _, lowest := range []float32{0.01, 0.3, 0.6} {
		thresholds := []float32{lowest, lowest / 2, math.MaxFloat32}
		outputs, columns := distanceLogits(cut, random)
		want, got := newDecoder(whole, thresholds, 0.65).decode([][]float32{columns}), newDecoder(cut, thresholds, 0.65).decode(outputs)
		if len(want) != len(got) || len(want) == 0 {
			t.Fatalf("at %g: %d objects of the whole, %d of the head", lowest, len(want), len(got))
		}
		for i := range want {
			if d := want[i].score - got[i].score; want[i].class != got[i].class || d > 1e-5 || d < -1e-5 || want[i].box.iou(got[i].box) < 0.999 {
				t.Errorf("at %g: object %d is %+v, want %+v", lowest, i, got[i], want[i])
			}
		}
	}
}

func TestDistancesWithoutNumbersGiveNothing(t *testing.T) {
	for _, bad := range []float32{float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1))} {
		_, cut := distanceSpec()
		outputs, _ := distanceLogits(cut, rand.New(rand.NewPCG(1, 1)))
		for i := 0; i < len(outputs); i += 2 {
			for at := range outputs[i] {
				outputs[i][at] = bad
			}
		}
		for _, c := range newDecoder(cut, []float32{0.1, 0.1, 0.1}, 0.65).decode(outputs) {
			if !c.box.finite() {
				t.Errorf("%+v out of %g", c, bad)
			}
		}
	}
}
