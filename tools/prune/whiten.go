package prune

import (
	"math"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/mat"
)

// damp keeps directions in which channels hardly vary from being moved without measure: a share of the mean variance.
const damp = 0.03

// whitener gives the weights of a convolution coordinates in which its input has no mean and unit covariance. Gradients go straight down
// there, where otherwise the mean of the input and a few strong channels let no step be longer than they bear.
type whitener struct {
	channels, places int // of the input that a filter reads, of the kernel
	mean             []float32
	root             blas32.General // channels by channels; for depthwise ones of 1 by 1 there is scale
	scale            []float32      // of each filter, where channels is 1
}

// newWhitener is for filters of [outputs, channels, places] over an input with these moments.
func newWhitener(s *moments, outputs, channels, places int) *whitener {
	w := &whitener{channels: channels, places: places}
	for _, m := range s.mean {
		w.mean = append(w.mean, float32(m))
	}
	n := len(s.mean)
	trace := mat.Trace(s.covariance) / float64(n)
	if channels == 1 {
		for o := range outputs {
			w.scale = append(w.scale, float32(1/math.Sqrt(s.covariance.At(o*n/outputs, o*n/outputs)+damp*trace)))
		}
		return w
	}
	var eigen mat.EigenSym
	if !eigen.Factorize(s.covariance, true) {
		return nil
	}
	var vectors, scaled, root mat.Dense
	eigen.VectorsTo(&vectors)
	scaled.CloneFrom(&vectors)
	for j, v := range eigen.Values(nil) {
		f := 1 / math.Sqrt(max(v, 0)+damp*trace)
		for i := range n {
			scaled.Set(i, j, scaled.At(i, j)*f)
		}
	}
	root.Mul(&scaled, vectors.T())
	w.root = blas32.General{Rows: n, Cols: n, Stride: n, Data: make([]float32, n*n)}
	for i := range n {
		for j := range n {
			w.root.Data[i*n+j] = float32(root.At(i, j))
		}
	}
	return w
}

// sizeOver is the root of the mean square of a layer's weights in white coordinates: of what one of them adds to an output.
func (l *layer) sizeOver(s *moments) float64 {
	in, size := int(l.shape[1]), int(l.shape[2]*l.shape[3])
	total := 0.0
	if in == 1 {
		for i, w := range l.weights {
			at := i / size * len(s.mean) / int(l.shape[0])
			total += float64(w) * float64(w) * s.covariance.At(at, at)
		}
		return math.Sqrt(total / float64(len(l.weights)))
	}
	w := l.rows()
	var product mat.Dense
	product.Mul(w, s.covariance)
	product.MulElem(&product, w)
	return math.Sqrt(max(0, mat.Sum(&product)) / float64(len(l.weights)))
}

// times multiplies every place of every filter by the root.
func (w *whitener) times(v []float32) []float32 {
	out := make([]float32, len(v))
	if w.scale != nil {
		for i := range v {
			out[i] = v[i] * w.scale[i/w.places]
		}
		return out
	}
	rows := len(v) / w.channels
	from := blas32.General{Rows: rows, Cols: w.channels, Stride: w.channels, Data: w.swap(v, w.channels, w.places)}
	to := blas32.General{Rows: rows, Cols: w.channels, Stride: w.channels, Data: make([]float32, len(v))}
	blas32.Gemm(blas.NoTrans, blas.NoTrans, 1, from, w.root, 0, to)
	return w.swap(to.Data, w.places, w.channels)
}

// swap transposes each filter of a by b numbers.
func (w *whitener) swap(v []float32, a, b int) []float32 {
	if a == 1 || b == 1 {
		return v
	}
	out := make([]float32, len(v))
	for o := 0; o < len(v); o += a * b {
		for i := range a {
			for j := range b {
				out[o+j*a+i] = v[o+i*b+j]
			}
		}
	}
	return out
}

// meanOf is the mean of what a weight reads.
func (w *whitener) meanOf(i, outputs int) float32 {
	if w.scale != nil {
		return w.mean[i/w.places*len(w.mean)/outputs]
	}
	return w.mean[i/w.places%w.channels]
}

// gradient brings the gradient of the weights into white coordinates; the bias's stays.
func (w *whitener) gradient(weights, bias []float32) []float32 {
	centred := make([]float32, len(weights))
	each := len(weights) / len(bias)
	for i, g := range weights {
		centred[i] = g - bias[i/each]*w.meanOf(i, len(bias))
	}
	return w.times(centred)
}

// apply moves weights and bias by a step in white coordinates.
func (w *whitener) apply(weights, bias, step, biasStep []float32) {
	each := len(weights) / len(bias)
	for i, d := range w.times(step) {
		weights[i] += d
		bias[i/each] -= d * w.meanOf(i, len(bias))
	}
	for o, d := range biasStep {
		bias[o] += d
	}
}
