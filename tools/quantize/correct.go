package quantize

import (
	"context"

	"github.com/sightline/sightline/detect/onnx"
	"github.com/sightline/sightline/models/graph"
	"github.com/sightline/sightline/tools/calibrate"
	"github.com/sightline/sightline/tools/onnxgraph"
)

// corrector moves biases so that every channel keeps its mean: rounding shifts means, and shifts add up from layer to layer.
type corrector struct {
	m      *graph.Model
	levels map[string]affine
	cache  weightCache
	inputs *calibrate.Album
	run    onnxgraph.RunOptions
}

// correct goes through the convolutions in order; each sees what those before it became.
func (c *corrector) correct(ctx context.Context, progress Progress) (map[string]change, error) {
	var convs []*graph.Node
	for _, n := range c.m.Graph.Nodes {
		_, in := c.levels[n.Input(0)]
		if _, out := c.levels[n.Output()]; n.Op == "Conv" && in && out && n.Input(2) != "" {
			convs = append(convs, n)
		}
	}
	want, err := c.floatMeans(ctx, convs)
	if err != nil {
		return nil, err
	}
	done := map[string]change{}
	for i, n := range convs {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if err := c.one(ctx, n, want[n.Output()], done); err != nil {
			return nil, err
		}
		progress.show("bias correction", i+1, len(convs))
	}
	return done, nil
}

func (c *corrector) one(ctx context.Context, n *graph.Node, want []float64, done map[string]change) error {
	q, err := apply(c.m, c.levels, c.cache, done)
	if err != nil {
		return err
	}
	after := n.Output() + "_dq"
	if c.m.Graph.IsOutput(n.Output()) {
		after = n.Output()
	}
	got, err := c.means(ctx, q, []string{after}, nil)
	if err != nil {
		return err
	}
	t := c.m.Graph.Const(n.Input(2))
	if t == nil {
		return nil
	}
	b, err := t.Floats()
	if err != nil {
		return err
	}
	for ch := range b {
		b[ch] += float32(want[ch] - got[after][ch])
	}
	done[n.Output()] = change{bias: b}
	return nil
}

// floatMeans are the means of the float network's values as far as the levels reach: what is clipped on purpose is no shift.
func (c *corrector) floatMeans(ctx context.Context, convs []*graph.Node) (map[string][]float64, error) {
	var names []string
	for _, n := range convs {
		names = append(names, n.Output())
	}
	return c.means(ctx, c.m, names, c.levels)
}

// means gives the mean of every channel of some tensors.
func (c *corrector) means(ctx context.Context, m *graph.Model, names []string, clip map[string]affine) (map[string][]float64, error) {
	if len(names) == 0 {
		return nil, nil
	}
	sums := map[string][]float64{}
	err := c.inputs.Tensors(ctx, m, names, c.run, func(_ int, out map[string]onnx.Array) error {
		for name, a := range out {
			if sums[name] == nil {
				sums[name] = make([]float64, a.Shape[1])
			}
			addMeans(sums[name], a, clip, name)
		}
		return nil
	})
	for _, sum := range sums {
		for ch := range sum {
			sum[ch] /= float64(c.inputs.Len())
		}
	}
	return sums, err
}

func addMeans(sum []float64, a onnx.Array, clip map[string]affine, name string) {
	levels, clipped := clip[name]
	each := len(a.Data) / len(sum)
	for ch := range sum {
		lo, hi := -1e30, 1e30
		if clipped {
			lo, hi = levels.of(ch).low(), levels.of(ch).high()
		}
		total := 0.0
		for _, v := range a.Data[ch*each : (ch+1)*each] {
			total += min(hi, max(lo, float64(v)))
		}
		sum[ch] += total / float64(each)
	}
}
