package prune

import (
	"math"
	"testing"

	"gonum.org/v1/gonum/mat"

	"github.com/sightline/sightline/detect/onnx"
)

// TestTuningFindsTheWayBack: a network that lost channels comes nearer to what it gave.
func TestTuningFindsTheWayBack(t *testing.T) {
	c, err := newChannel(network(), ChannelOptions{Amount: 0.1, Calibration: pictures(t, 8), Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.look(t.Context()); err != nil {
		t.Fatal(err)
	}
	gone := set(c.x.Groups()[0].Classes[:3])
	cut, err := c.x.Cut(c.whole, gone)
	if err != nil {
		t.Fatal(err)
	}
	before, err := c.judge.Error(cut)
	if err != nil {
		t.Fatal(err)
	}
	told, err := c.tune(t.Context(), cut, gone, 60, before)
	if err != nil {
		t.Fatal(err)
	}
	if after, err := c.judge.Error(cut); err != nil || after > before/2 || after != told {
		t.Errorf("the outputs are off by %.6f, %.6f is told, and it was %.6f before, %v", after, told, before, err)
	}
}

// TestWhiteCoordinatesChangeNoOutput: a step there moves what the mean of the input gives by the step of the bias alone.
func TestWhiteCoordinatesChangeNoOutput(t *testing.T) {
	covariance := mat.NewSymDense(2, []float64{4, 1, 1, 2})
	w := newWhitener(&moments{mean: []float64{3, -1}, covariance: covariance}, 1, 2, 1)
	weights, bias := []float32{1, 2}, []float32{0.5}
	at := func() float64 { return float64(weights[0]*3 - weights[1] + bias[0]) }
	before := at()
	w.apply(weights, bias, []float32{0.3, -0.2}, []float32{0.25})
	if got := at(); math.Abs(got-before-0.25) > 1e-5 {
		t.Errorf("the mean gives %g more, want 0.25", got-before)
	}
	var root, product mat.Dense
	root.CloneFrom(mat.NewDense(2, 2, []float64{float64(w.root.Data[0]), float64(w.root.Data[1]), float64(w.root.Data[2]), float64(w.root.Data[3])}))
	damped := mat.NewDense(2, 2, []float64{4 + 3*damp, 1, 1, 2 + 3*damp})
	product.Mul(&root, damped)
	product.Mul(mat.DenseCopyOf(&product), &root)
	if !mat.EqualApprox(&product, mat.NewDense(2, 2, []float64{1, 0, 0, 1}), 1e-4) {
		t.Errorf("the covariance becomes %v", mat.Formatted(&product))
	}
}

func TestRateRisesAndFalls(t *testing.T) {
	if a, b, c := rateAt(0, 100), rateAt(10, 100), rateAt(99, 100); !(a < b && b > c && b <= rate && c < rate/100) {
		t.Errorf("rates %g, %g, %g", a, b, c)
	}
}

// TestBoxesCountWhereObjectsAre: in cells without one only the objectness is learnt.
func TestBoxesCountWhereObjectsAre(t *testing.T) {
	a := onnx.Array{Shape: []int64{1, 7, 1, 2}, Data: make([]float32, 14)}
	a.Data[8], a.Data[9] = 9, -9 // objectness of two cells
	target, seen := anchorTarget(a, 1)
	for i, w := range target.Weight {
		want := map[bool]float64{true: 1, false: 0}[i%2 == 0]
		switch {
		case i < 8:
			want *= boxWeight
		case i < 10:
			want = 1
		}
		if math.Abs(float64(w)-want) > 1e-2 {
			t.Errorf("weight %d is %g, want %g", i, w, want)
		}
	}
	if math.Abs(float64(seen)-1) > 1e-2 {
		t.Errorf("%g objects are seen", seen)
	}
}

func TestPicturesThatJudgeAreApart(t *testing.T) {
	for n, want := range map[int][2]int{1: {1, 1}, 2: {1, 1}, 8: {6, 2}, 100: {84, 16}} {
		learnt, apart := split(pictures(t, n))
		if learnt.Len() != want[0] || apart.Len() != want[1] || n > 1 && apart.Without(learnt).Len() != apart.Len() {
			t.Errorf("of %d pictures %d are learnt from, %d judge", n, learnt.Len(), apart.Len())
		}
	}
}

// TestInsideChannelsCountByTheirVariance: those that are gone have no target.
func TestInsideChannelsCountByTheirVariance(t *testing.T) {
	c, err := newChannel(network(), ChannelOptions{Amount: 0.1, Calibration: pictures(t, 4), Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.look(t.Context()); err != nil {
		t.Fatal(err)
	}
	classes := c.x.Groups()[0].Classes
	gone := set(classes[:3])
	cut, err := c.x.Cut(c.whole, gone)
	if err != nil {
		t.Fatal(err)
	}
	tuner, err := newTuner(t.Context(), c, cut, gone)
	if err != nil {
		t.Fatal(err)
	}
	defer tuner.close()
	for _, in := range tuner.inside {
		s, cells := c.stats[in.name], len(in.weight)/len(in.keep)
		a, b := in.keep[0], in.keep[len(in.keep)-1]
		if va, vb := s.covariance.At(a, a), s.covariance.At(b, b); va > vb != (in.weight[0] < in.weight[len(in.weight)-1]) {
			t.Errorf("%s: variances %g and %g count %g and %g", in.name, va, vb, in.weight[0], in.weight[len(in.weight)-1])
		}
		whole := onnx.Array{Shape: []int64{1, int64(len(s.mean)), 1, int64(cells)}, Data: make([]float32, len(s.mean)*cells)}
		for i := range whole.Data {
			whole.Data[i] = float32(i / cells)
		}
		for i, v := range in.target(whole).Want {
			if v != float32(in.keep[i/cells]) {
				t.Fatalf("%s: element %d is of channel %g, want %d", in.name, i, v, in.keep[i/cells])
			}
		}
	}
	if len(tuner.inside) == 0 {
		t.Error("nothing inside is looked at")
	}
}
