package prune

import (
	"math/rand/v2"

	"gonum.org/v1/gonum/mat"

	"github.com/sightline/sightline/detect/onnx"
	"github.com/sightline/sightline/tools/calibrate"
	"github.com/sightline/sightline/tools/leastsquares"
	"github.com/sightline/sightline/tools/onnxgraph"
)

const (
	glances = 256  // places of a picture at which the channels of a tensor are looked at
	faint   = 1e-3 // of the mean variance, that is added to every variance
)

// moments are of the channels of a tensor, over places and pictures.
type moments struct {
	mean       []float64
	covariance *mat.SymDense // with a little on its diagonal, so that it can be inverted
	inverse    *mat.SymDense
	square     []float64 // mean of squares
}

// observe looks at tensors of a network on pictures.
func observe(s *onnxgraph.Session, pictures *calibrate.Album, p *leastsquares.Multiplier, progress progress) (map[string]*moments, error) {
	sums := map[string]*leastsquares.Samples{}
	for i := range pictures.Len() {
		out, err := s.Run(pictures.At(i))
		if err != nil {
			return nil, err
		}
		for name, a := range out {
			if sums[name] == nil {
				sums[name] = leastsquares.NewSamples(int(a.Shape[1])+1, 0)
			}
			glance(sums[name], a, uint64(i))
			if err := sums[name].Flush(p, i == pictures.Len()-1); err != nil {
				return nil, err
			}
		}
		progress.show("statistics", i+1, pictures.Len())
	}
	all := map[string]*moments{}
	for name, s := range sums {
		all[name] = momentsOf(s)
	}
	return all, nil
}

// glance takes all channels at random places, and a 1 behind them.
func glance(s *leastsquares.Samples, a onnx.Array, seed uint64) {
	random := rand.New(rand.NewPCG(seed, 7))
	size := int(a.Shape[2] * a.Shape[3])
	for i := range min(glances, size) {
		if size > glances {
			i = random.IntN(size)
		}
		x, _ := s.Row()
		for c := range s.N - 1 {
			x[c] = a.Data[c*size+i]
		}
		x[s.N-1] = 1
	}
}

func momentsOf(s *leastsquares.Samples) *moments {
	c := s.N - 1
	count := s.Square[s.N*s.N-1]
	m := &moments{mean: make([]float64, c), square: make([]float64, c), covariance: mat.NewSymDense(c, nil), inverse: mat.NewSymDense(c, nil)}
	for i := range c {
		m.mean[i] = s.Square[i*s.N+c] / count
		m.square[i] = s.Square[i*s.N+i] / count
	}
	trace := 0.0
	for i := range c {
		for j := i; j < c; j++ {
			m.covariance.SetSym(i, j, s.Square[i*s.N+j]/count-m.mean[i]*m.mean[j])
		}
		trace += m.covariance.At(i, i)
	}
	m.invert(faint * trace / float64(c))
	return m
}

// invert adds a little to the diagonal of the covariance, and more where that is not enough: few pictures, or channels that are all alike.
func (m *moments) invert(little float64) {
	c := len(m.mean)
	for i := range c {
		m.covariance.SetSym(i, i, max(0, m.covariance.At(i, i)))
	}
	little = max(little, 1e-12)
	for range 40 { // a covariance that is no number never has an inverse
		for i := range c {
			m.covariance.SetSym(i, i, m.covariance.At(i, i)+little)
		}
		var chol mat.Cholesky
		if chol.Factorize(m.covariance) && chol.Cond() < 1e12 {
			chol.InverseTo(m.inverse) //nolint:errcheck // complains of bad condition only
			return
		}
		little *= 4
	}
}
