package quantize

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/sightline/sightline/detect/onnx"
	"github.com/sightline/sightline/models/graph"
	"github.com/sightline/sightline/tools/calibrate"
	"github.com/sightline/sightline/tools/leastsquares"
	"github.com/sightline/sightline/tools/onnxgraph"
)

const (
	solved    = 96       // pictures that weights are solved with
	places    = 160      // of each of them, that a convolution is looked at
	ridge     = 0.1      // of the mean diagonal, towards the weights as they were: more of it, and nothing is made up for; less, and pictures are learnt by heart
	damping   = 0.01     // of the mean diagonal, for what the weights still to be rounded make up
	remembers = 64 << 20 // bytes of what convolutions should give, at one time
)

// change takes the place of what a convolution had.
type change struct {
	bias   []float32
	kernel *weights // nil: its own
}

// solver goes through the convolutions in order. Each sees what rounding made of those before it; its weights are moved by least squares so
// that it gives what it gave in float, and then rounded one input after the other, each time the rest making up for what the rounding did
// (Frantar et al., GPTQ, arXiv 2210.17323).
type solver struct {
	m        *graph.Model
	levels   map[string]affine
	cache    weightCache
	pictures *calibrate.Album
	run      onnxgraph.RunOptions
	multiply *leastsquares.Multiplier
	done     map[string]change
}

// solve gives a change for every convolution that computes in int8.
func (s *static) solve(ctx context.Context, levels map[string]affine) (map[string]change, error) {
	shape, err := s.m.InputShape()
	if err != nil {
		return nil, err
	}
	v := &solver{m: s.m, levels: levels, cache: s.cache, run: s.run, done: map[string]change{}}
	if v.pictures, err = s.others.learn.First(solved).Album(ctx, shape); err != nil {
		return nil, err
	}
	if v.multiply, err = leastsquares.NewMultiplier(s.run); err != nil {
		return nil, err
	}
	defer v.multiply.Close() //nolint:errcheck // frees memory
	waves := v.waves()
	for i := 0; i < len(waves); {
		next := i + v.fitting(waves[i:])
		if err := v.targets(ctx, slices.Concat(waves[i:next]...)); err != nil {
			return nil, err
		}
		for ; i < next; i++ {
			if err := v.wave(ctx, waves[i]); err != nil {
				return nil, err
			}
			s.o.Progress.show("least squares", i+1, len(waves))
		}
	}
	return v.done, nil
}

// solving is a convolution while its weights are solved.
type solving struct {
	node   *graph.Node
	kernel leastsquares.Kernel
	size   [2]int    // of its output, rows and columns
	wanted []float32 // what it gives in float, [pictures, places, channels]
	sums   []*leastsquares.Samples
}

func (k *solving) channels() int { return k.kernel.Groups * k.kernel.Rows }

// waves are the convolutions that compute in int8, by how many convolutions lie before them.
func (v *solver) waves() [][]*solving {
	depth := map[string]int{}
	at := map[int][]*solving{}
	for _, n := range v.m.Graph.Nodes {
		deep := 0
		for _, in := range n.Inputs {
			deep = max(deep, depth[in])
		}
		if n.Op == "Conv" {
			_, in := v.levels[n.Inputs[0]]
			_, out := v.levels[n.Output()]
			if kernel := v.m.Graph.Const(n.Inputs[1]); in && out && kernel != nil && len(kernel.Shape) == 4 {
				at[deep] = append(at[deep], &solving{node: n, kernel: leastsquares.KernelOf(n, kernel.Shape)})
			}
			deep++
		}
		for _, out := range n.Outputs {
			depth[out] = deep
		}
	}
	var waves [][]*solving
	for _, deep := range slices.Sorted(maps.Keys(at)) {
		waves = append(waves, at[deep])
	}
	return waves
}

// fitting is how many waves at least one can be remembered at once.
func (v *solver) fitting(waves [][]*solving) int {
	bytes := 0
	for i, wave := range waves {
		for _, k := range wave {
			bytes += 4 * v.pictures.Len() * places * k.channels()
		}
		if i > 0 && bytes > remembers {
			return i
		}
	}
	return len(waves)
}

// targets remembers what convolutions give in float.
func (v *solver) targets(ctx context.Context, list []*solving) error {
	by := map[string]*solving{}
	for _, k := range list {
		by[k.node.Output()] = k
	}
	return v.pictures.Tensors(ctx, v.m, slices.Sorted(maps.Keys(by)), v.run, func(i int, out map[string]onnx.Array) error {
		for name, a := range out {
			k := by[name]
			k.size = [2]int{int(a.Shape[2]), int(a.Shape[3])}
			for _, at := range leastsquares.Places(uint64(i), places, k.size[0], k.size[1]) {
				for c := range k.channels() {
					k.wanted = append(k.wanted, a.Data[(c*k.size[0]+at[0])*k.size[1]+at[1]])
				}
			}
		}
		return nil
	})
}

// wave solves convolutions that do not depend on each other.
func (v *solver) wave(ctx context.Context, wave []*solving) error {
	q, err := apply(v.m, v.levels, v.cache, v.done)
	if err != nil {
		return err
	}
	read := map[string]bool{}
	for _, k := range wave {
		read[v.reads(k)] = true
		for range k.kernel.Groups {
			k.sums = append(k.sums, leastsquares.NewSamples(k.kernel.Width()+1, k.kernel.Rows))
		}
	}
	err = v.pictures.Tensors(ctx, q, slices.Sorted(maps.Keys(read)), v.run, func(i int, out map[string]onnx.Array) error {
		for _, k := range wave {
			if err := v.sample(k, i, out[v.reads(k)]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, k := range wave {
		if err := v.finish(k); err != nil {
			return fmt.Errorf("convolution %.80s: %w", k.node.Output(), err)
		}
	}
	return nil
}

// reads is the tensor that a convolution of the quantised network reads.
func (v *solver) reads(k *solving) string { return k.node.Inputs[0] + "_dq" }

// sample takes what a convolution reads of picture i, and what should come of it.
func (v *solver) sample(k *solving, i int, x onnx.Array) error {
	all := k.channels()
	for p, at := range leastsquares.Places(uint64(i), places, k.size[0], k.size[1]) {
		wanted := k.wanted[(i*places+p)*all : (i*places+p+1)*all]
		for g, s := range k.sums {
			from, to := s.Row()
			k.kernel.Cover(from, x, g, at[0], at[1])
			copy(to, wanted[g*k.kernel.Rows:])
		}
	}
	for _, s := range k.sums {
		if err := s.Flush(v.multiply, i == v.pictures.Len()-1); err != nil {
			return err
		}
	}
	return nil
}

// finish moves and rounds the weights, and lets go of what was collected for them.
func (v *solver) finish(k *solving) error {
	w, bias, shape, err := v.float(k)
	if err != nil {
		return err
	}
	q := &weights{shape: shape, levels: make([]int8, len(w)), scales: make([]float32, len(bias))}
	width := k.kernel.Width()
	for g, s := range k.sums {
		from, to := g*k.kernel.Rows, (g+1)*k.kernel.Rows
		now := leastsquares.Rows(w[from*width:to*width], bias[from:to])
		if err := s.Solve(now, ridge*s.MeanDiagonal(width)); err != nil {
			return err
		}
		part := weights{levels: q.levels[from*width : to*width], scales: q.scales[from:to]}
		if err := round(s, now, part, bias[from:to], v.cache.top); err != nil {
			return err
		}
	}
	k.sums, k.wanted = nil, nil
	v.done[k.node.Output()] = change{bias, q}
	return nil
}

// float gives the weights and the bias of a convolution as they would be if nothing were rounded.
func (v *solver) float(k *solving) (w, bias []float32, shape []int64, err error) {
	kernel := v.m.Graph.Const(k.node.Inputs[1])
	if f := v.levels[k.node.Inputs[0]].factors; f != nil {
		if kernel, err = undo(kernel, k.kernel.Groups, f); err != nil {
			return nil, nil, nil, err
		}
	}
	if w, err = kernel.Floats(); err != nil {
		return nil, nil, nil, err
	}
	bias = make([]float32, k.channels())
	if name := k.node.Input(2); name != "" {
		b, err := v.m.Graph.Const(name).Floats()
		if err != nil {
			return nil, nil, nil, err
		}
		copy(bias, b)
	}
	return slices.Clone(w), bias, kernel.Shape, nil
}
