package prune

import (
	"math"
	"slices"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"

	"github.com/sightline/sightline/tools/prune/channels"
)

// The ways of telling which channels of a group matter least.
const (
	OBS  = "obs"  // what is lost when the others make up for it as well as they can; after each one anew, so that of twins one stays
	Data = "data" // what it adds to those that read it
	L1   = "l1"   // the magnitude of the weights that make it
)

// order puts the classes of a group that go first to the front, as many as are asked for.
func (c *channel) order(g channels.Group, most int) []int {
	switch c.o.Importance {
	case L1:
		return smallest(g, most, func(class int) float64 { return c.magnitude(g, class) })
	case Data:
		readers := c.readers(g)
		return smallest(g, most, func(class int) float64 { return contribution(readers, class) })
	}
	return c.greedy(g, most)
}

func smallest(g channels.Group, most int, score func(class int) float64) []int {
	scores := map[int]float64{}
	for _, class := range g.Classes {
		scores[class] = score(class)
	}
	order := slices.Clone(g.Classes)
	slices.SortStableFunc(order, func(a, b int) int {
		switch {
		case scores[a] < scores[b]:
			return -1
		case scores[a] > scores[b]:
			return 1
		}
		return 0
	})
	return order[:most]
}

// magnitude is the mean of the absolute weights of the filters that make a class.
func (c *channel) magnitude(g channels.Group, class int) float64 {
	total := 0.0
	for _, name := range g.Producers {
		l := c.layers[name]
		size := len(l.weights) / int(l.shape[0])
		for row, other := range c.x.Of(name) {
			if other != class {
				continue
			}
			for _, w := range l.weights[row*size : (row+1)*size] {
				total += math.Abs(float64(w)) / float64(size)
			}
		}
	}
	return total
}

// contribution is the square that a class adds to what its readers give, as a share of their variance.
func contribution(readers []*reader, class int) float64 {
	total := 0.0
	for _, r := range readers {
		for _, column := range r.columns(class) {
			total += r.gram.At(column, column) * r.stats.square[column] / r.variance
		}
	}
	return total
}

// reader is a dense convolution as importance sees it: rows of weights, one for each output and place of the kernel, over the channels
// that it reads.
type reader struct {
	classes  []int
	stats    *moments
	gram     *mat.Dense // w'w
	inverse  *mat.Dense // of the covariance
	variance float64    // of all outputs together; 1 where it is known what is at stake with each, for which its rows are then scaled
}

func (c *channel) readers(g channels.Group) []*reader {
	var list []*reader
	for _, name := range g.Consumers {
		list = append(list, c.reader(name))
	}
	return list
}

func (c *channel) reader(name string) *reader {
	l := c.layers[name]
	r := &reader{classes: c.x.Of(l.node.Inputs[0]), stats: c.stats[l.node.Inputs[0]]}
	w := l.rows()
	n := len(r.classes)
	stakes := c.stakes[name]
	for o, s := range stakes {
		size := int(l.shape[2] * l.shape[3])
		for i := o * size; i < (o+1)*size; i++ {
			floats.Scale(math.Sqrt(s), w.RawRowView(i))
		}
	}
	r.gram, r.inverse = mat.NewDense(n, n, nil), mat.DenseCopyOf(r.stats.inverse)
	r.gram.Mul(w.T(), w)
	if stakes != nil {
		r.variance = 1
		return r
	}
	for i := range n {
		for j := range n {
			r.variance += r.gram.At(i, j) * r.stats.covariance.At(i, j)
		}
	}
	r.variance = max(r.variance, 1e-12)
	return r
}

// rows are the weights as [outputs * places of the kernel, inputs].
func (l *layer) rows() *mat.Dense {
	out, in, size := int(l.shape[0]), int(l.shape[1]), int(l.shape[2]*l.shape[3])
	w := mat.NewDense(out*size, in, nil)
	for o := range out {
		for i := range in {
			for k := range size {
				w.Set(o*size+k, i, float64(l.weights[(o*in+i)*size+k]))
			}
		}
	}
	return w
}

func (r *reader) columns(class int) []int {
	var list []int
	for i, other := range r.classes {
		if other == class {
			list = append(list, i)
		}
	}
	return list
}

// loss is what the outputs are off when these columns go and all others make up for them, as a share of the outputs' variance.
func (r *reader) loss(columns []int) float64 {
	if len(columns) == 1 {
		return r.gram.At(columns[0], columns[0]) / r.inverse.At(columns[0], columns[0]) / r.variance
	}
	var inv mat.Dense
	if inv.Inverse(block(r.inverse, columns, columns)) != nil {
		return math.Inf(1)
	}
	var both mat.Dense
	both.Mul(block(r.gram, columns, columns), &inv)
	return mat.Trace(&both) / r.variance
}

func block(m mat.Matrix, rows, columns []int) *mat.Dense {
	b := mat.NewDense(len(rows), len(columns), nil)
	for i, row := range rows {
		for j, column := range columns {
			b.Set(i, j, m.At(row, column))
		}
	}
	return b
}

// remove lets the columns go: the others' weights make up for them, and what is known of them goes from the inverse.
func (r *reader) remove(columns []int) {
	n := len(r.classes)
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	var inv, share, change, inner, twice mat.Dense
	if inv.Inverse(block(r.inverse, columns, columns)) != nil {
		return
	}
	rows := block(r.inverse, columns, all)
	share.Mul(&inv, rows) // what each of the others makes up
	change.Mul(block(r.gram, all, columns), &share)
	inner.Mul(block(r.gram, columns, columns), &share)
	twice.Mul(share.T(), &inner)
	r.gram.Sub(r.gram, &change)
	r.gram.Sub(r.gram, change.T())
	r.gram.Add(r.gram, &twice)
	change.Mul(rows.T(), &share)
	r.inverse.Sub(r.inverse, &change)
}

// greedy takes one class after the other, each time the one whose loss is least now.
func (c *channel) greedy(g channels.Group, most int) []int {
	readers := c.readers(g)
	columns := make([]map[int][]int, len(readers))
	for i := range readers {
		columns[i] = map[int][]int{}
		for _, class := range g.Classes {
			columns[i][class] = readers[i].columns(class)
		}
	}
	left := slices.Clone(g.Classes)
	var order []int
	for len(order) < most {
		best, at := math.Inf(1), 0
		for i, class := range left {
			loss := 0.0
			for j, r := range readers {
				if list := columns[j][class]; len(list) > 0 {
					loss += max(0, r.loss(list))
				}
			}
			if loss < best {
				best, at = loss, i
			}
		}
		order = append(order, left[at])
		for j, r := range readers {
			r.remove(columns[j][left[at]])
		}
		left = slices.Delete(left, at, at+1)
	}
	return order
}
