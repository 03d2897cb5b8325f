package quantize

import (
	"math"
	"math/rand/v2"
	"testing"

	"gonum.org/v1/gonum/mat"

	"github.com/sightline/sightline/tools/leastsquares"
	"github.com/sightline/sightline/tools/onnxgraph"
)

// TestRoundingMakesUpForItself: where inputs go together, what one weight loses another one gives back, and the mean stays.
func TestRoundingMakesUpForItself(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 7))
	const width, rows = 12, 6
	s := leastsquares.NewSamples(width+1, rows)
	exact := mat.NewDense(rows, width+1, nil)
	for r := range rows {
		for i := range width + 1 {
			exact.Set(r, i, random.NormFloat64())
		}
	}
	for range 500 {
		x, y := s.Row()
		common := random.NormFloat64()
		for i := range width {
			x[i] = float32(common + 0.3*random.NormFloat64() + 1)
		}
		x[width] = 1
		for r := range y {
			for i := range x {
				y[r] += float32(exact.At(r, i)) * x[i]
			}
		}
	}
	p, err := leastsquares.NewMultiplier(onnxgraph.RunOptions{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close() //nolint:errcheck // frees memory
	if err := s.Flush(p, true); err != nil {
		t.Fatal(err)
	}
	const top = 7 // coarse, so that it matters
	q := weights{levels: make([]int8, rows*width), scales: make([]float32, rows)}
	bias := make([]float32, rows)
	if err := round(s, exact, q, bias, top); err != nil {
		t.Fatal(err)
	}
	plain := weights{levels: make([]int8, rows*width), scales: q.scales}
	plainBias := make([]float32, rows)
	for r := range rows {
		for i := range width {
			plain.levels[r*width+i] = int8(clampRound(exact.At(r, i)/float64(q.scales[r]), top))
		}
		plainBias[r] = fittingBias(s, r, plain.levels[r*width:(r+1)*width], float64(q.scales[r]))
	}
	if got, want := off(s, exact, q, bias), off(s, exact, plain, plainBias); got > 0.5*want {
		t.Errorf("the outputs are off by %g, and by %g when every weight is rounded alone", got, want)
	}
}

// off is the sum of squares of what rounded weights change in the outputs.
func off(s *leastsquares.Samples, rows *mat.Dense, q weights, bias []float32) (sum float64) {
	n := s.N
	for r := range bias {
		d := make([]float64, n)
		for i := range n - 1 {
			d[i] = float64(q.levels[r*(n-1)+i])*float64(q.scales[r]) - rows.At(r, i)
		}
		d[n-1] = float64(bias[r]) - rows.At(r, n-1)
		for i := range d {
			for j := range d {
				sum += d[i] * s.Square[i*n+j] * d[j]
			}
		}
	}
	return sum
}

// TestWeightsAreSolved: every convolution that computes in int8 gets weights and a bias, with which the outputs are nearer to those in float,
// in pictures that nothing was learnt from too; and always the same.
func TestWeightsAreSolved(t *testing.T) {
	s := newSmall(t, network(6))
	levels := s.plan.useful(s.plan.levels)
	plain, err := apply(s.m, levels, s.cache, nil)
	if err != nil {
		t.Fatal(err)
	}
	solved, err := s.solve(t.Context(), levels)
	if err != nil {
		t.Fatal(err)
	}
	if len(solved) != 3 || solved["y"].kernel == nil || len(solved["y"].bias) != 8 {
		t.Fatalf("%d convolutions were solved: %v", len(solved), solved)
	}
	again, err := s.solve(t.Context(), levels)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range solved {
		for i, level := range c.kernel.levels {
			if again[name].kernel.levels[i] != level {
				t.Fatalf("%s: weight %d is another one the second time", name, i)
			}
		}
	}
	if s.report.Error, err = s.judge.Error(plain); err != nil {
		t.Fatal(err)
	}
	before := s.report.Error
	if _, better, err := s.better(plain, levels, solved); err != nil || !better || s.report.Error >= before {
		t.Errorf("better: %v, error %g, before %g, %v", better, s.report.Error, before, err)
	}
}

// TestWhatDoesNotHelpIsLeft: changes after which the outputs are further off are not taken.
func TestWhatDoesNotHelpIsLeft(t *testing.T) {
	s := newSmall(t, network(6))
	levels := s.plan.useful(s.plan.levels)
	plain, err := apply(s.m, levels, s.cache, nil)
	if err != nil {
		t.Fatal(err)
	}
	s.report.Error = math.Inf(1)
	worse := map[string]change{"y": {bias: []float32{9, 9, 9, 9, 9, 9, 9, 9}}}
	if q, better, err := s.better(plain, levels, worse); err != nil || better || q != plain {
		t.Errorf("better: %v, %v", better, err)
	}
}
