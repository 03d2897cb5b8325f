package prune

import (
	"fmt"
	"slices"

	"gonum.org/v1/gonum/mat"

	"github.com/sightline/sightline/models/graph"
)

// mixed gives the whole network with every dense convolution reading less: what a lost channel gave is predicted from the channels
// that stay, by their covariance in the whole network, and the prediction is put into the weights. It is one step, needs no further
// look at pictures, and is exact but for what no linear mixing of the others can tell, and for the bias at borders.
func (c *channel) mixed(gone map[int]bool) (*graph.Model, error) {
	m := c.whole.Clone()
	for _, n := range m.Graph.Nodes {
		l := c.layers[n.Output()]
		if l == nil || n.Int("group", 1) != 1 {
			continue
		}
		lost := c.lost(l, gone)
		if len(lost) == 0 {
			continue
		}
		bias, err := l.bias(m)
		if err != nil {
			return nil, fmt.Errorf("layer %.80s: %w", n.Output(), err)
		}
		w, err := c.mix(l, lost, bias)
		if err != nil {
			return nil, fmt.Errorf("layer %.80s: %w", n.Output(), err)
		}
		give(m, n, l.shape, w, bias)
	}
	return m, nil
}

// lost are the columns of a layer whose channels go.
func (c *channel) lost(l *layer, gone map[int]bool) []int {
	var list []int
	for i, class := range c.x.Of(l.node.Inputs[0]) {
		if gone[class] {
			list = append(list, i)
		}
	}
	return list
}

// mix gives new weights whose lost columns are zero, and moves the bias along.
func (c *channel) mix(l *layer, lost []int, bias []float32) ([]float32, error) {
	stats := c.stats[l.node.Inputs[0]]
	in, size := int(l.shape[1]), int(l.shape[2]*l.shape[3])
	var kept []int
	for i := range in {
		if !slices.Contains(lost, i) {
			kept = append(kept, i)
		}
	}
	// The regression of the lost on the kept, from the inverse of the whole covariance.
	var inv, share mat.Dense
	if err := inv.Inverse(block(stats.inverse, lost, lost)); err != nil {
		return nil, fmt.Errorf("mix channels: %w", err)
	}
	share.Mul(&inv, block(stats.inverse, lost, kept))
	share.Scale(-1, &share)
	rest := make([]float64, len(lost)) // what the regression leaves of the mean
	for i, at := range lost {
		rest[i] = stats.mean[at]
		for j, k := range kept {
			rest[i] -= share.At(i, j) * stats.mean[k]
		}
	}
	w := l.rows()
	var more mat.Dense
	gone := block(w, span(len(bias)*size), lost)
	more.Mul(gone, &share)
	v := slices.Clone(l.weights)
	for o := range bias {
		for k := range size {
			row := o*size + k
			for i, at := range lost {
				bias[o] += float32(gone.At(row, i) * rest[i])
				v[(o*in+at)*size+k] = 0
			}
			for j, at := range kept {
				v[(o*in+at)*size+k] += float32(more.At(row, j))
			}
		}
	}
	return v, nil
}

func span(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	return all
}

// give writes a convolution's weights and bias into a network, as constants of its own.
func give(m *graph.Model, n *graph.Node, shape []int64, w, bias []float32) {
	own := func(input int, suffix string, t *graph.Tensor) {
		name := n.Input(input)
		if m.Graph.Initializers[name] == nil || len(m.Graph.Consumers(name)) > 1 {
			name = m.Graph.Fresh(n.Output() + suffix)
		}
		m.Graph.Initializers[name] = t
		n.Inputs = append(n.Inputs[:input], append([]string{name}, n.Inputs[min(len(n.Inputs), input+1):]...)...)
	}
	own(1, "_weight", graph.NewFloat(shape, w))
	own(2, "_bias", graph.NewFloat([]int64{int64(len(bias))}, bias))
}
