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
