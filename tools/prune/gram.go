package prune

import (
	"github.com/sightline/sightline/detect/onnx"
	"github.com/sightline/sightline/models/graph"
	"github.com/sightline/sightline/tools/onnxgraph"
)

// batch is how many samples are multiplied at once.
const batch = 2048

// multiplier computes a'b of two matrices by onnxruntime, which is ten times as fast at it as plain Go. It belongs to one goroutine.
type multiplier struct{ session *onnx.GraphSession }

func newMultiplier(o onnxgraph.RunOptions) (*multiplier, error) {
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
	return &multiplier{s}, err
}

// add adds a'b to sum; a and b are rows of n and m numbers.
func (p *multiplier) add(sum []float64, a, b []float32, n, m int) error {
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

func (p *multiplier) close() { p.session.Close() } //nolint:errcheck // frees memory

// samples collects rows x, and y that should come of them, and adds up x'x and x'y.
type samples struct {
	n, m   int // numbers of a row of x, of y
	x, y   []float32
	square []float64 // x'x, n by n
	cross  []float64 // x'y, n by m
	rows   int
}

func newSamples(n, m int) *samples {
	return &samples{n: n, m: m, square: make([]float64, n*n), cross: make([]float64, n*m)}
}

// row gives a new row to fill.
func (s *samples) row() (x, y []float32) {
	s.rows++
	s.x = append(s.x, make([]float32, s.n)...)
	s.y = append(s.y, make([]float32, s.m)...)
	return s.x[len(s.x)-s.n:], s.y[len(s.y)-s.m:]
}

// flush adds up the rows, when there are enough of them or now.
func (s *samples) flush(p *multiplier, now bool) error {
	if len(s.x) < batch*s.n && !now {
		return nil
	}
	err := p.add(s.square, s.x, s.x, s.n, s.n)
	if err == nil && s.m > 0 {
		err = p.add(s.cross, s.x, s.y, s.n, s.m)
	}
	s.x, s.y = s.x[:0], s.y[:0]
	return err
}
