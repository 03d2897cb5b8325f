package prune

import (
	"context"
	"fmt"

	"github.com/sightline/sightline/detect/onnx"
	"github.com/sightline/sightline/models/graph"
	"github.com/sightline/sightline/tools/leastsquares"
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
	sums   []*leastsquares.Samples
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
	p, err := leastsquares.NewMultiplier(c.run)
	if err != nil {
		return err
	}
	defer p.Close() //nolint:errcheck // frees memory
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

func (c *channel) places() int { return max(16, min(256, enough/c.pictures.Len())) }

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
	return c.pictures.Tensors(ctx, c.whole, names, c.run, func(i int, out map[string]onnx.Array) error {
		for name, a := range out {
			tasks[name].want(a, leastsquares.Places(uint64(i), c.places(), int(a.Shape[2]), int(a.Shape[3])))
		}
		c.progress.show("targets", i+1, c.pictures.Len())
		return nil
	})
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

func (c *channel) solveWave(ctx context.Context, m *graph.Model, wave []*task, p *leastsquares.Multiplier) error {
	var names []string
	for _, t := range wave {
		t.begin()
		names = append(names, t.layer.node.Inputs[0])
	}
	err := c.pictures.Tensors(ctx, m, unique(names), c.run, func(i int, out map[string]onnx.Array) error {
		for _, t := range wave {
			t.add(out[t.layer.node.Inputs[0]], i, c.places())
			if err := flushAll(p, t.sums, i == c.pictures.Len()-1); err != nil {
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
		t.sums = append(t.sums, leastsquares.NewSamples(width+1, int(t.layer.shape[0])/groups))
	}
}

// solve moves weights and bias by (x'x + ridge)d = x'y - x'x w.
func (t *task) solve(m *graph.Model) error {
	bias, err := t.layer.bias(m)
	if err != nil {
		return err
	}
	for g, s := range t.sums {
		rows, width := s.M, s.N-1
		w, b := t.layer.weights[g*rows*width:(g+1)*rows*width], bias[g*rows:(g+1)*rows]
		now := leastsquares.Rows(w, b)
		if err := s.Solve(now, ridge*s.MeanDiagonal(s.N)); err != nil {
			return err
		}
		leastsquares.Split(now, w, b)
	}
	t.sums, t.wanted = nil, nil
	give(m, t.layer.node, t.layer.shape, t.layer.weights, bias)
	return nil
}

// add takes what the layer reads at some places of picture i, and what should come of it.
func (t *task) add(x onnx.Array, i, places int) {
	each, kernel := len(t.keep), leastsquares.KernelOf(t.layer.node, t.layer.shape)
	for p, at := range leastsquares.Places(uint64(i), places, t.size[0], t.size[1]) {
		wanted := t.wanted[(i*places+p)*each : (i*places+p+1)*each]
		for g, s := range t.sums {
			from, to := s.Row()
			kernel.Cover(from, x, g, at[0], at[1])
			copy(to, wanted[g*s.M:])
		}
	}
}
