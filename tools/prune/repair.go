package prune

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas64"

	"github.com/sightline/sightline/detect/onnx"
	"github.com/sightline/sightline/models/graph"
	"github.com/sightline/sightline/tools/leastsquares"
	"github.com/sightline/sightline/tools/onnxgraph"
)

const (
	places     = 192  // of a picture, that a layer is looked at
	ridge      = 1e-2 // of the mean diagonal, towards the weights as they were
	iterations = 40   // of conjugate gradients
)

// repair goes through the layers in order. Each sees what those before it became, and its remaining weights and its bias are moved
// so that it gives what it gives in the whole network.
func (o UnstructuredOptions) repair(ctx context.Context, m *graph.Model, layers []*layer) error {
	whole := m.Clone()
	for i, l := range layers {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := o.repairOne(ctx, whole, m, l); err != nil {
			return fmt.Errorf("layer %.80s: %w", l.node.Output(), err)
		}
		if o.Progress != nil {
			o.Progress("repair", i+1, len(layers))
		}
	}
	return nil
}

func (o UnstructuredOptions) repairOne(ctx context.Context, whole, m *graph.Model, l *layer) error {
	groups := int(l.node.Int("group", 1))
	width, rows := int(l.shape[1]*l.shape[2]*l.shape[3]), int(l.shape[0])/groups
	sums := make([]*leastsquares.Samples, groups)
	for g := range sums {
		sums[g] = leastsquares.NewSamples(width+1, rows)
	}
	if err := o.look(ctx, whole, m, l, sums); err != nil {
		return err
	}
	bias, err := l.bias(m)
	if err != nil {
		return err
	}
	v := l.masked()
	for g := range sums {
		productsOf(sums[g]).solve(v[g*rows*width:(g+1)*rows*width], l.kept[g*rows*width:(g+1)*rows*width], bias[g*rows:(g+1)*rows])
	}
	if isHalf(l.weights) {
		toHalf(v)
	}
	l.write(m, v)
	name := m.Graph.Fresh(l.node.Output() + "_bias")
	m.Graph.Initializers[name] = graph.NewFloat([]int64{int64(len(bias))}, bias)
	l.node.Inputs = append(l.node.Inputs[:2], name)
	m.Graph.RemoveDead()
	return nil
}

func (l *layer) bias(m *graph.Model) ([]float32, error) {
	if l.node.Input(2) == "" {
		return make([]float32, l.shape[0]), nil
	}
	t := m.Graph.Const(l.node.Inputs[2])
	if t == nil {
		return nil, errors.New("its bias is no constant")
	}
	return t.Floats()
}

// look adds up the products of what the layer reads and of what it gives in the whole network, at some places of every picture.
func (o UnstructuredOptions) look(ctx context.Context, whole, m *graph.Model, l *layer, sums []*leastsquares.Samples) error {
	shape, err := m.InputShape()
	if err != nil {
		return err
	}
	in, out := l.node.Inputs[0], l.node.Output()
	wanted, err := onnxgraph.Open(whole, []string{out}, o.run())
	if err != nil {
		return err
	}
	defer wanted.Close() //nolint:errcheck // frees memory
	var read *onnxgraph.Session
	if in != m.Graph.Inputs[0].Name {
		if read, err = onnxgraph.Open(m, []string{in}, o.run()); err != nil {
			return err
		}
		defer read.Close() //nolint:errcheck // frees memory
	}
	p, err := leastsquares.NewMultiplier(o.run())
	if err != nil {
		return err
	}
	defer p.Close() //nolint:errcheck // frees memory
	random := rand.New(rand.NewPCG(1, 1))
	last := o.Calibration.Len() - 1
	return o.Calibration.Each(ctx, func(i int, input []float32) error {
		picture := onnx.Array{Shape: shape, Data: input}
		y, err := wanted.Run(picture)
		if err != nil {
			return err
		}
		x := map[string]onnx.Array{in: picture}
		if read != nil {
			if x, err = read.Run(picture); err != nil {
				return err
			}
		}
		l.sample(x[in], y[out], sums, random)
		return flushAll(p, sums, i == last)
	})
}

func flushAll(p *leastsquares.Multiplier, sums []*leastsquares.Samples, now bool) error {
	for _, s := range sums {
		if err := s.Flush(p, now); err != nil {
			return err
		}
	}
	return nil
}

// sample takes what the kernel covers at random places, and what should come of it, group by group.
func (l *layer) sample(x, y onnx.Array, sums []*leastsquares.Samples, random *rand.Rand) {
	h, w := int(y.Shape[2]), int(y.Shape[3])
	kernel := leastsquares.KernelOf(l.node, l.shape)
	for g, s := range sums {
		for range places {
			oy, ox := random.IntN(h), random.IntN(w)
			from, to := s.Row()
			kernel.Cover(from, x, g, oy, ox)
			for r := range to {
				to[r] = y.Data[((g*s.M+r)*h+oy)*w+ox]
			}
		}
	}
}

// products are sums over samples x, with what should come of them, y: of x'x, of which only one triangle is kept, and of y'x.
type products struct {
	sum    blas64.Symmetric
	target blas64.General
}

func productsOf(s *leastsquares.Samples) products {
	target := general(s.M, s.N)
	for i := range s.N {
		for r := range s.M {
			target.Data[r*s.N+i] = s.Cross[i*s.M+r]
		}
	}
	return products{blas64.Symmetric{N: s.N, Stride: s.N, Data: s.Square, Uplo: blas.Upper}, target}
}

// solve moves the kept weights and the bias so that they give on the samples what they should: (x'x+ridge)d = y'x - vx'x over what
// is kept, by conjugate gradients of all outputs at once.
func (p products) solve(v []float32, kept []bool, bias []float32) {
	n := p.sum.N
	rows, mean := p.target.Rows, 0.0
	for i := range n {
		mean += p.sum.Data[i*n+i] / float64(n)
	}
	free := make([]bool, rows*n)
	now, residual, d, product := general(rows, n), general(rows, n), general(rows, n), general(rows, n)
	for r := range rows {
		copy(free[r*n:], kept[r*(n-1):(r+1)*(n-1)])
		free[(r+1)*n-1] = true
		for i := range n - 1 {
			now.Data[r*n+i] = float64(v[r*(n-1)+i])
		}
		now.Data[(r+1)*n-1] = float64(bias[r])
	}
	p.times(now, residual, free, 0)
	for i := range residual.Data {
		if residual.Data[i] = p.target.Data[i] - residual.Data[i]; !free[i] {
			residual.Data[i] = 0
		}
	}
	direction := general(rows, n)
	copy(direction.Data, residual.Data)
	for range iterations {
		p.times(direction, product, free, ridge*mean)
		for r := range rows {
			step(row(d, r), row(residual, r), row(direction, r), row(product, r))
		}
	}
	for r := range rows {
		for i := range n - 1 {
			v[r*(n-1)+i] += float32(d.Data[r*n+i])
		}
		bias[r] += float32(d.Data[(r+1)*n-1])
	}
}

func general(rows, cols int) blas64.General {
	return blas64.General{Rows: rows, Cols: cols, Stride: cols, Data: make([]float64, rows*cols)}
}

func row(m blas64.General, r int) []float64 { return m.Data[r*m.Stride : r*m.Stride+m.Cols] }

// times is to = from*(H + extra), where kept.
func (p products) times(from, to blas64.General, kept []bool, extra float64) {
	blas64.Symm(blas.Right, 1, p.sum, from, 0, to)
	for i := range to.Data {
		if to.Data[i] += extra * from.Data[i]; !kept[i] {
			to.Data[i] = 0
		}
	}
}

// step is one step of conjugate gradients for one output.
func step(d, residual, direction, product []float64) {
	before := dot(residual, residual)
	curve := dot(direction, product)
	if before < 1e-18 || curve <= 0 {
		return
	}
	a := before / curve
	for i := range d {
		d[i] += a * direction[i]
		residual[i] -= a * product[i]
	}
	b := dot(residual, residual) / before
	for i := range direction {
		direction[i] = residual[i] + b*direction[i]
	}
}

func dot(a, b []float64) (sum float64) {
	for i, v := range a {
		sum += v * b[i]
	}
	return sum
}
