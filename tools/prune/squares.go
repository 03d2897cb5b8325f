package prune

import (
	"context"
	"fmt"
	"math/rand/v2"

	"gonum.org/v1/gonum/mat"

	"github.com/sightline/sightline/detect/onnx"
	"github.com/sightline/sightline/models/graph"
	"github.com/sightline/sightline/tools/onnxgraph"
)

// enough is how many samples a layer is solved with, of all pictures together.
const enough = 16384

// task is a layer of the cut network that least squares moves.
type task struct {
	layer  *layer // as it is in the cut network
	source *layer // as it was in the whole one
	keep   []int  // outputs that stay
	size   [2]int // of the output, rows and columns
	wanted []float32
	sums   []*samples
}

// leastSquares goes through the layers that lost inputs, in order. Each sees what those before it became, and its weights and
// bias are moved so that it gives what it gives in the whole network. Layers that do not depend on each other go together.
func (c *channel) leastSquares(ctx context.Context, m *graph.Model, gone map[int]bool) error {
	waves, err := c.waves(m, gone)
	if err != nil {
		return err
	}
	if err := c.targets(ctx, waves); err != nil {
		return err
	}
	p, err := newMultiplier(c.run)
	if err != nil {
		return err
	}
	defer p.close()
	for i, wave := range waves {
		if err := c.solveWave(ctx, m, wave, p); err != nil {
			return err
		}
		c.progress.show("least squares", i+1, len(waves))
	}
	return nil
}

// waves sorts the layers to be solved by how many others of them they depend on.
func (c *channel) waves(m *graph.Model, gone map[int]bool) ([][]*task, error) {
	layers, err := layersOf(m)
	if err != nil {
		return nil, err
	}
	by := map[string]*layer{}
	for _, l := range layers {
		by[l.node.Output()] = l
	}
	depth := map[string]int{} // of tensors that are not what they were
	var waves [][]*task
	for _, n := range m.Graph.Nodes {
		deep, changed := 0, false
		for _, in := range n.Inputs {
			if d, ok := depth[in]; ok {
				deep, changed = max(deep, d), true
			}
		}
		l, whole := by[n.Output()], c.layers[n.Output()]
		if l != nil && len(c.lost(whole, gone)) > 0 {
			if deep == len(waves) {
				waves = append(waves, nil)
			}
			waves[deep] = append(waves[deep], &task{layer: l, source: whole, keep: c.x.Kept(n.Output(), gone)})
			deep, changed = deep+1, true
		}
		for _, out := range n.Outputs {
			if changed {
				depth[out] = deep
			}
		}
	}
	return waves, nil
}

func (c *channel) places() int { return max(16, min(256, enough/len(c.pictures.pictures))) }

// where gives the places of a picture that a layer is looked at.
func where(seed uint64, n, h, w int) [][2]int {
	random := rand.New(rand.NewPCG(seed, 11))
	list := make([][2]int, n)
	for i := range list {
		list[i] = [2]int{random.IntN(h), random.IntN(w)}
	}
	return list
}

// targets keeps what the layers give in the whole network.
func (c *channel) targets(ctx context.Context, waves [][]*task) error {
	var names []string
	tasks := map[string]*task{}
	for _, wave := range waves {
		for _, t := range wave {
			names = append(names, t.source.node.Output())
			tasks[t.source.node.Output()] = t
		}
	}
	if len(names) == 0 {
		return nil
	}
	return c.eachPicture(ctx, c.whole, names, func(i int, out map[string]onnx.Array) error {
		for name, a := range out {
			tasks[name].want(a, where(uint64(i), c.places(), int(a.Shape[2]), int(a.Shape[3])))
		}
		c.progress.show("targets", i+1, len(c.pictures.pictures))
		return nil
	})
}

// eachPicture hands out what some tensors of a network hold for every picture, in order.
func (c *channel) eachPicture(ctx context.Context, m *graph.Model, names []string, fn func(i int, out map[string]onnx.Array) error) error {
	s, err := onnxgraph.Open(m, names, c.run)
	if err != nil {
		return err
	}
	defer s.Close() //nolint:errcheck // frees memory
	for i := range c.pictures.pictures {
		if err := ctx.Err(); err != nil {
			return err
		}
		out, err := s.Run(c.pictures.at(i))
		if err != nil {
			return err
		}
		if err := fn(i, out); err != nil {
			return err
		}
	}
	return nil
}

// want keeps the outputs that stay, at some places.
func (t *task) want(a onnx.Array, places [][2]int) {
	h, w := int(a.Shape[2]), int(a.Shape[3])
	t.size = [2]int{h, w}
	for _, at := range places {
		for _, k := range t.keep {
			t.wanted = append(t.wanted, a.Data[(k*h+at[0])*w+at[1]])
		}
	}
}

func (c *channel) solveWave(ctx context.Context, m *graph.Model, wave []*task, p *multiplier) error {
	var names []string
	for _, t := range wave {
		t.begin()
		names = append(names, t.layer.node.Inputs[0])
	}
	err := c.eachPicture(ctx, m, unique(names), func(i int, out map[string]onnx.Array) error {
		for _, t := range wave {
			t.add(out[t.layer.node.Inputs[0]], i, c.places())
			if err := flushAll(p, t.sums, i == len(c.pictures.pictures)-1); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, t := range wave {
		if err := t.solve(m); err != nil {
			return fmt.Errorf("layer %.80s: %w", t.layer.node.Output(), err)
		}
	}
	return nil
}

func unique(names []string) []string {
	var list []string
	seen := map[string]bool{}
	for _, name := range names {
		if !seen[name] {
			list = append(list, name)
		}
		seen[name] = true
	}
	return list
}

func (t *task) begin() {
	groups := int(t.layer.node.Int("group", 1))
	width := len(t.layer.weights) / int(t.layer.shape[0])
	for range groups {
		t.sums = append(t.sums, newSamples(width+1, int(t.layer.shape[0])/groups))
	}
}

// solve moves weights and bias by (x'x + ridge)d = x'y - x'x w.
func (t *task) solve(m *graph.Model) error {
	bias, err := t.layer.bias(m)
	if err != nil {
		return err
	}
	for g, s := range t.sums {
		rows := s.m
		if err := s.solve(t.layer.weights[g*rows*(s.n-1):(g+1)*rows*(s.n-1)], bias[g*rows:(g+1)*rows]); err != nil {
			return err
		}
	}
	t.sums, t.wanted = nil, nil
	give(m, t.layer.node, t.layer.shape, t.layer.weights, bias)
	return nil
}

// solve moves the weights w, [m, n-1], and the bias to what gives y of x, as far as the ridge lets them.
func (s *samples) solve(w, bias []float32) error {
	n, m := s.n, s.m
	mean := 0.0
	for i := range n {
		mean += s.square[i*n+i] / float64(n)
	}
	now := mat.NewDense(n, m, nil)
	for r := range m {
		for i := range n - 1 {
			now.Set(i, r, float64(w[r*(n-1)+i]))
		}
		now.Set(n-1, r, float64(bias[r]))
	}
	square := mat.NewSymDense(n, s.square)
	var rest, d mat.Dense
	rest.Mul(square, now)
	rest.Sub(mat.NewDense(n, m, s.cross), &rest)
	for i := range n {
		square.SetSym(i, i, square.At(i, i)+ridge*mean+1e-12)
	}
	var chol mat.Cholesky
	if !chol.Factorize(square) {
		return fmt.Errorf("least squares: no solution of %d unknowns; give more pictures", n)
	}
	if err := chol.SolveTo(&d, &rest); err != nil && d.IsEmpty() {
		return fmt.Errorf("least squares: %w", err)
	}
	for r := range m {
		for i := range n - 1 {
			w[r*(n-1)+i] += float32(d.At(i, r))
		}
		bias[r] += float32(d.At(n-1, r))
	}
	return nil
}

// add takes what the layer reads at some places of picture i, and what should come of it.
func (t *task) add(x onnx.Array, i, places int) {
	each := len(t.keep)
	for p, at := range where(uint64(i), places, t.size[0], t.size[1]) {
		wanted := t.wanted[(i*places+p)*each : (i*places+p+1)*each]
		for g, s := range t.sums {
			from, to := s.row()
			t.layer.cover(from, x, g, at[0], at[1])
			copy(to, wanted[g*s.m:])
		}
	}
}
