package quantize

import (
	"cmp"
	"errors"
	"slices"

	"gonum.org/v1/gonum/mat"

	"github.com/sightline/sightline/tools/leastsquares"
)

// round gives rows of weights, each with its bias at the end, levels and scales. The inputs that are read most come first; what rounding one
// does to the output, those after it make up for as well as they can, and the bias for what is left.
func round(s *leastsquares.Samples, rows *mat.Dense, to weights, bias []float32, top float64) error {
	width := s.N - 1
	order := byPower(s)
	upper, err := inverseRoot(s, order)
	if err != nil {
		return err
	}
	for r := range bias {
		row := rows.RawRowView(r)
		plain := make([]float32, width)
		for i := range plain {
			plain[i] = float32(row[i])
		}
		if to.scales[r], err = weightScale(plain, top); err != nil {
			return err
		}
		levels := to.levels[r*width : (r+1)*width]
		roundRow(row, order, upper, float64(to.scales[r]), top, levels)
		bias[r] = fittingBias(s, r, levels, float64(to.scales[r]))
	}
	return nil
}

// byPower is the order of the inputs, those with the greatest squares first and the bias last.
func byPower(s *leastsquares.Samples) []int {
	order := make([]int, s.N)
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order[:s.N-1], func(a, b int) int { return cmp.Compare(s.Square[b*s.N+b], s.Square[a*s.N+a]) })
	return order
}

// inverseRoot is the upper triangle U with U'U the inverse of x'x, whose row i says how the inputs after i, in order, make up for it.
func inverseRoot(s *leastsquares.Samples, order []int) (*mat.TriDense, error) {
	n := s.N
	little := damping*s.MeanDiagonal(n-1) + 1e-9
	h := mat.NewSymDense(n, nil)
	for i := range n {
		for j := i; j < n; j++ {
			h.SetSym(i, j, s.Square[order[i]*n+order[j]])
		}
		if i < n-1 {
			h.SetSym(i, i, h.At(i, i)+little)
		} else {
			h.SetSym(i, i, h.At(i, i)*(1+1e-6)+1e-9)
		}
	}
	var chol, root mat.Cholesky
	var inverse mat.SymDense
	if !chol.Factorize(h) {
		return nil, errors.New("rounding: no inverse; give more pictures")
	}
	if err := chol.InverseTo(&inverse); err != nil && inverse.IsEmpty() {
		return nil, err
	}
	if !root.Factorize(&inverse) {
		return nil, errors.New("rounding: no inverse; give more pictures")
	}
	var upper mat.TriDense
	root.UTo(&upper)
	return &upper, nil
}

// roundRow rounds one output's weights. Levels are in the order of the weights, all else goes in the order given.
func roundRow(row []float64, order []int, upper *mat.TriDense, scale, top float64, levels []int8) {
	u := upper.RawTriangular()
	left := make([]float64, len(row))
	for i, at := range order {
		left[i] = row[at]
	}
	for i := range len(row) - 1 {
		level := clampRound(left[i]/scale, top)
		levels[order[i]] = int8(level)
		makesUp := u.Data[i*u.Stride : (i+1)*u.Stride]
		off := (left[i] - level*scale) / makesUp[i]
		for j := i + 1; j < len(left); j++ {
			left[j] -= off * makesUp[j]
		}
	}
}

// fittingBias is the bias that brings the mean to where it should be.
func fittingBias(s *leastsquares.Samples, r int, levels []int8, scale float64) float32 {
	n := s.N
	sum := s.Cross[(n-1)*s.M+r]
	for i, level := range levels {
		sum -= float64(level) * scale * s.Square[i*n+n-1]
	}
	return float32(sum / s.Square[n*n-1])
}
