// Package leastsquares fits the weights of convolutions to what they should give, from samples of what they read.
package leastsquares

import (
	"fmt"

	"gonum.org/v1/gonum/mat"

	"github.com/sightline/sightline/detect/onnx"
	"github.com/sightline/sightline/models/graph"
	"github.com/sightline/sightline/tools/onnxgraph"
)

// batch is how many samples are multiplied at once.
const batch = 2048

// Multiplier computes a'b of two matrices by onnxruntime, which is ten times as fast at it as plain Go. It belongs to one goroutine.
type Multiplier struct{ session *onnx.GraphSession }

// NewMultiplier opens a session that multiplies. Close it.
func NewMultiplier(o onnxgraph.RunOptions) (*Multiplier, error) {
	m := &graph.Model{IRVersion: 7, Opsets: map[string]int64{"": 13}, Graph: &graph.Graph{
		Inputs:  []graph.Value{{Name: "a", Type: graph.Float}, {Name: "b", Type: graph.Float}},
		Outputs: []graph.Value{{Name: "y", Type: graph.Float}},
		Nodes: []*graph.Node{
			{Op: "Transpose", Inputs: []string{"a"}, Outputs: []string{"t"}, Attrs: map[string]graph.Attr{"perm": graph.IntsAttr(1, 0)}},
			{Op: "MatMul", Inputs: []string{"t", "b"}, Outputs: []string{"y"}},
		},
	}}
	data, err := m.Marshal()
	if err != nil {
		return nil, err
	}
	s, err := onnx.OpenGraph(onnx.GraphOptions{Library: o.Library, Model: data, Inputs: []string{"a", "b"}, Outputs: []string{"y"}, Threads: o.Threads})
	return &Multiplier{s}, err
}

// add adds a'b to sum; a and b are rows of n and m numbers.
func (p *Multiplier) add(sum []float64, a, b []float32, n, m int) error {
	rows := int64(len(a) / n)
	if rows == 0 {
		return nil
	}
	out, err := p.session.Run(onnx.Array{Shape: []int64{rows, int64(n)}, Data: a}, onnx.Array{Shape: []int64{rows, int64(m)}, Data: b})
	if err != nil {
		return err
	}
	for i, v := range out[0].Data {
		sum[i] += float64(v)
	}
	return nil
}

// Close frees the session.
func (p *Multiplier) Close() error { return p.session.Close() }

// Samples collects rows x of N numbers, and y of M that should come of them, and adds up x'x and x'y.
type Samples struct {
	N, M   int
	Square []float64 // x'x, N by N
	Cross  []float64 // x'y, N by M
	x, y   []float32
}

// NewSamples collects rows of n numbers with m that should come of them, which may be none.
func NewSamples(n, m int) *Samples {
	return &Samples{N: n, M: m, Square: make([]float64, n*n), Cross: make([]float64, n*m)}
}

// Row gives a new row to fill, which holds zeros.
func (s *Samples) Row() (x, y []float32) {
	s.x = append(s.x, make([]float32, s.N)...)
	s.y = append(s.y, make([]float32, s.M)...)
	return s.x[len(s.x)-s.N:], s.y[len(s.y)-s.M:]
}

// Flush adds up the rows, when there are enough of them or now.
func (s *Samples) Flush(p *Multiplier, now bool) error {
	if len(s.x) < batch*s.N && !now {
		return nil
	}
	err := p.add(s.Square, s.x, s.x, s.N, s.N)
	if err == nil && s.M > 0 {
		err = p.add(s.Cross, s.x, s.y, s.N, s.M)
	}
	s.x, s.y = s.x[:0], s.y[:0]
	return err
}

// MeanDiagonal is the mean of the first n numbers on the diagonal of x'x.
func (s *Samples) MeanDiagonal(n int) float64 {
	mean := 0.0
	for i := range n {
		mean += s.Square[i*s.N+i] / float64(n)
	}
	return mean
}

// Rows puts each bias behind the weights of its output, [outputs, width].
func Rows(w, bias []float32) *mat.Dense {
	width := len(w) / len(bias)
	rows := mat.NewDense(len(bias), width+1, nil)
	for r, b := range bias {
		for i, f := range w[r*width : (r+1)*width] {
			rows.Set(r, i, float64(f))
		}
		rows.Set(r, width, float64(b))
	}
	return rows
}

// Split is the opposite of Rows.
func Split(rows *mat.Dense, w, bias []float32) {
	width := len(w) / len(bias)
	for r := range bias {
		for i := range width {
			w[r*width+i] = float32(rows.At(r, i))
		}
		bias[r] = float32(rows.At(r, width))
	}
}

// Solve moves w, M rows of N, by the d of (x'x + ridge)d = x'y - x'x w: to what gives y of x, as far as the ridge lets it.
func (s *Samples) Solve(w *mat.Dense, ridge float64) error {
	square := mat.NewSymDense(s.N, append([]float64{}, s.Square...))
	var rest, d mat.Dense
	rest.Mul(square, w.T())
	rest.Sub(mat.NewDense(s.N, s.M, s.Cross), &rest)
	for i := range s.N {
		square.SetSym(i, i, square.At(i, i)+ridge+1e-12)
	}
	var chol mat.Cholesky
	if !chol.Factorize(square) {
		return fmt.Errorf("least squares: no solution of %d unknowns; give more pictures", s.N)
	}
	if err := chol.SolveTo(&d, &rest); err != nil && d.IsEmpty() {
		return fmt.Errorf("least squares: %w", err)
	}
	w.Add(w, d.T())
	return nil
}
