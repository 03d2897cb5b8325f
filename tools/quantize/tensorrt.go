package quantize

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/sightline/sightline/detect/onnx"
	"github.com/sightline/sightline/models"
	"github.com/sightline/sightline/models/graph"
	"github.com/sightline/sightline/tools/judge"
	"github.com/sightline/sightline/tools/onnxgraph"
)

// TensorRT takes symmetric int8 only, with zero points of 0, and looks for the marks before convolutions; it places the rest itself.
// Weights are int8 by channel, biases stay float. On a CPU such a file computes in float: it is for GPUs.
const TensorRT = "trt"

// ForTensorRT quantises a float network that Simplify has been through in the form that TensorRT reads. Parts whose rounding the
// outputs would suffer from stay float. The error is that of the network as it is written, computed in float.
func ForTensorRT(ctx context.Context, m *graph.Model, head *onnxgraph.Head, spec models.Spec, o StaticOptions) (*graph.Model, Report, error) {
	t, err := newSymmetric(ctx, m, head, o)
	if err != nil {
		return nil, Report{}, fmt.Errorf("quantise: %w", err)
	}
	q, err := t.quantise(ctx)
	if err != nil {
		return nil, Report{}, fmt.Errorf("quantise: %w", err)
	}
	return q, t.report, nil
}

// symmetric is one network on its way.
type symmetric struct {
	m      *graph.Model
	o      StaticOptions
	run    onnxgraph.RunOptions
	convs  map[string][]*graph.Node // by the tensor that they read
	scales map[string]float32
	judge  *judge.Judge
	cache  weightCache
	report Report
}

func newSymmetric(ctx context.Context, m *graph.Model, head *onnxgraph.Head, o StaticOptions) (*symmetric, error) {
	o.Target = CPU // for what is the same
	top, err := o.check(m)
	if err != nil {
		return nil, err
	}
	run := o.run()
	s := &symmetric{m: m, o: o, run: run, convs: map[string][]*graph.Node{}, scales: map[string]float32{}, cache: newWeightCache(top)}
	s.report.Pictures = o.Calibration.Len()
	var names []string
	for _, n := range m.Graph.Nodes {
		if n.Op != "Conv" || n.Domain != "" || m.Graph.Const(n.Input(1)) == nil {
			continue
		}
		s.report.Convs++
		if in := n.Inputs[0]; len(s.convs[in]) == 0 && m.Graph.Producer(in) != nil {
			names = append(names, in)
		}
		s.convs[n.Inputs[0]] = append(s.convs[n.Inputs[0]], n)
	}
	if err := o.Calibration.First(judged).CheckVaried(ctx); err != nil {
		return nil, err
	}
	stats, err := observe(ctx, m, names, nil, o.Calibration, run, o.Progress)
	if err != nil {
		return nil, err
	}
	for name, h := range stats {
		s.scales[name] = h.symmetric()
	}
	s.judge, err = judge.New(ctx, m, head, o.Calibration.First(judged), run, judge.Rounding)
	if in := m.Graph.Inputs[0].Name; len(s.convs[in]) > 0 && err == nil {
		s.scales[in] = s.ofInput()
	}
	return s, err
}

// ofInput is the scale of the pictures themselves, which fill their range.
func (s *symmetric) ofInput() float32 {
	most := float32(0)
	for i := range s.judge.Inputs().Len() {
		most = max(most, slices.Max(s.judge.Inputs().At(i).Data))
	}
	return max(most, 1e-6) / 127
}

// symmetric finds the scale with the least squared error among those that clip some of the values.
func (h *histogram) symmetric() float32 {
	var want [bins]float64
	for i := range want {
		want[i] = h.centre(i)
	}
	edge := max(-h.min, h.max)
	if edge < 1e-12 {
		return 1.0 / 127
	}
	best, least := edge/127, math.Inf(1)
	for _, hi := range shares(edge, 48, 0.05) {
		// Level 128 stands for zero; that 0 stands for -128 is as TensorRT has it.
		if e := h.error(affine{scale: hi / 127, zero: 128}, &want, plainLevel, least); e < least {
			best, least = hi/127, e
		}
	}
	return float32(best)
}

func (s *symmetric) quantise(ctx context.Context) (*graph.Model, error) {
	units, err := s.rank(ctx)
	if err != nil {
		return nil, err
	}
	islands := 0
	for _, u := range units {
		s.report.Units = append(s.report.Units, Unit{Tensor: u.name, Error: u.error})
		islands += bit(u.error > tolerable)
	}
	for {
		q, err := s.write(units[islands:])
		if err != nil {
			return nil, err
		}
		enough, err := (&static{m: s.m, o: s.o}).good(ctx, q)
		if err != nil {
			return nil, err
		}
		if enough || islands == len(units) {
			return q, s.finish(q, units, islands)
		}
		islands = min(len(units), islands+max(2, islands/2))
	}
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}

// rank rounds what each group of convolutions reads, and their weights, alone, and puts the worst first.
func (s *symmetric) rank(ctx context.Context) ([]unit, error) {
	var units []unit
	for _, name := range slices.Sorted(maps.Keys(s.scales)) {
		units = append(units, unit{name: name, tensors: []string{name}})
	}
	for i := range units {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		q, err := s.write(units[i : i+1])
		if err != nil {
			return nil, err
		}
		if units[i].error, err = s.judge.Error(q); err != nil {
			return nil, err
		}
		s.o.Progress.show("sensitivity", i+1, len(units))
	}
	slices.SortStableFunc(units, func(a, b unit) int { return cmp.Compare(b.error, a.error) })
	return units, nil
}

// write puts the marks before the convolutions that read some tensors. All else reads the tensors as they are.
func (s *symmetric) write(units []unit) (*graph.Model, error) {
	w := &writer{m: s.m.Clone(), cache: s.cache}
	g := w.m.Graph
	for _, u := range units {
		scale, zero, levels, back := u.name+"_scale", u.name+"_zero", u.name+"_q", u.name+"_dq"
		g.Initializers[scale] = graph.NewFloat(nil, []float32{s.scales[u.name]})
		g.Initializers[zero] = graph.NewInt8(nil, []int8{0})
		for _, n := range g.Nodes {
			if n.Op != "Conv" || n.Inputs[0] != u.name || g.Const(n.Inputs[1]) == nil {
				continue
			}
			n.Inputs[0] = back
			if err := w.symmetricKernel(n); err != nil {
				return nil, fmt.Errorf("quantise convolution %.80s: %w", n.Name, err)
			}
		}
		g.Nodes = append(g.Nodes,
			&graph.Node{Name: u.name + "_quantize", Op: "QuantizeLinear", Inputs: []string{u.name, scale, zero}, Outputs: []string{levels}},
			&graph.Node{Name: u.name + "_dequantize", Op: "DequantizeLinear", Inputs: []string{levels, scale, zero}, Outputs: []string{back}})
	}
	if err := w.m.Sort(); err != nil {
		return nil, err
	}
	g.RemoveDead()
	return w.m, w.m.Check()
}

func (w *writer) symmetricKernel(n *graph.Node) error {
	q, err := w.cache.get(w.m.Graph.Const(n.Inputs[1]))
	if err != nil {
		return err
	}
	name, channels := n.Inputs[1], int64(len(q.scales))
	w.dequantize(name, graph.NewInt8(q.shape, q.levels), q.scales, graph.NewInt8([]int64{channels}, make([]int8, channels)))
	n.Inputs[1] = name + "_dq"
	return nil
}

// finish fills the report and holds the network as written against the network as onnxruntime optimises it.
func (s *symmetric) finish(q *graph.Model, units []unit, islands int) (err error) {
	s.report.Islands = nil
	for _, u := range units[:islands] {
		s.report.Islands = append(s.report.Islands, u.name)
	}
	macs, err := onnxgraph.MACs(s.m, s.run)
	if err != nil {
		return err
	}
	var all, fast int64
	for _, n := range s.m.Graph.Nodes {
		if n.Op == "Conv" {
			all += macs[n.Output()]
		}
	}
	for _, u := range units[islands:] {
		for _, n := range s.convs[u.name] {
			s.report.Int8Convs++
			fast += macs[n.Output()]
		}
	}
	s.report.Int8MACs = float64(fast) / float64(max(1, all))
	if s.report.Error, err = s.judge.At(onnx.OptimiseNothing).Error(q); err != nil {
		return err
	}
	runs, err := s.judge.Error(q)
	if err == nil && runs > 2*s.report.Error+farOff {
		err = fmt.Errorf("onnxruntime's optimiser changes what the network gives (error %.4f instead of %.4f); please report this model", runs, s.report.Error)
	}
	return err
}
