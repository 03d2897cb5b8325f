// Package quantize makes int8 networks of float ones.
package quantize

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"

	"github.com/sightline/sightline/models"
	"github.com/sightline/sightline/models/graph"
	"github.com/sightline/sightline/tools/calibrate"
	"github.com/sightline/sightline/tools/judge"
	"github.com/sightline/sightline/tools/onnxgraph"
)

// The processors that a network is made for.
const (
	CPU  = "cpu"  // x86-64 with VNNI, and arm64: weights of 8 bits
	AVX2 = "avx2" // older x86-64, whose multiply-add saturates: weights of 7 bits
)

// StaticOptions say how a network is quantised.
type StaticOptions struct {
	Calibration *calibrate.Set
	Target      string // CPU or AVX2; "": CPU
	Library     string // of onnxruntime; "": found by itself
	Threads     int    // 0: one for each processor
	Progress    Progress
	// Evaluate gives the accuracy of a network, in points; nil: accuracy is judged without labels. With it, parts are left float
	// until the drop against the float network is at most MaxDrop.
	Evaluate func(ctx context.Context, m *graph.Model) (points float64, err error)
	MaxDrop  float64
}

// Report says what Static did.
type Report struct {
	Pictures  int      `json:"pictures" yaml:"pictures"`
	Convs     int      `json:"convs" yaml:"convs"`                               // all
	Int8Convs int      `json:"int8_convs" yaml:"int8_convs"`                     // those that run in int8
	Int8MACs  float64  `json:"int8_macs" yaml:"int8_macs"`                       // their share of all multiply-adds
	Islands   []string `json:"islands" yaml:"islands,flow"`                      // tensors that stay float because the outputs suffer too much
	Error     float64  `json:"error" yaml:"error"`                               // mean squared error of the outputs, see judge.Rounding
	Solved    bool     `json:"solved,omitempty" yaml:"solved,omitempty"`         // weights were moved by least squares before they were rounded, since that helped
	Corrected bool     `json:"corrected" yaml:"corrected"`                       // biases were corrected, since that helped
	ByChannel bool     `json:"by_channel,omitempty" yaml:"by_channel,omitempty"` // every SiLU has levels by channel, since that helped
	Units     []Unit   `json:"units,omitempty" yaml:"-"`                         // the worst first
}

// Unit is what quantising one part alone does to the outputs.
type Unit struct {
	Tensor string  `json:"tensor"`
	Error  float64 `json:"error"`
	Fine   bool    `json:"fine,omitempty"` // with levels for each channel
}

const (
	// judged is how many pictures are looked at again and again.
	judged = 16
	// tolerable is the error of the outputs up to which a part alone may be int8: a score that is off by ten points.
	tolerable = 0.01
)

// Static quantises a float network that Simplify has been through. head is its head, nil where the tail stayed.
func Static(ctx context.Context, m *graph.Model, head *onnxgraph.Head, spec models.Spec, o StaticOptions) (*graph.Model, Report, error) {
	s, err := newStatic(ctx, m, head, spec, o)
	if err != nil {
		return nil, Report{}, fmt.Errorf("quantise: %w", err)
	}
	q, err := s.quantise(ctx)
	if err != nil {
		return nil, Report{}, fmt.Errorf("quantise: %w", err)
	}
	return q, s.report, nil
}

// static is one network on its way.
type static struct {
	m       *graph.Model
	o       StaticOptions
	run     onnxgraph.RunOptions
	plan    *plan
	judge   *judge.Judge       // by which plans are made
	others  *apart             // by which whole networks are compared
	reaches map[string][]reach // of what SiLUs read
	cache   weightCache
	report  Report
}

func newStatic(ctx context.Context, m *graph.Model, head *onnxgraph.Head, spec models.Spec, o StaticOptions) (*static, error) {
	top, err := o.check(m)
	if err != nil {
		return nil, err
	}
	s := &static{m: m, o: o, run: o.run(), plan: newPlan(m, head), cache: newWeightCache(top), reaches: map[string][]reach{}}
	s.report.Pictures = o.Calibration.Len()
	if err := o.Calibration.First(judged).CheckVaried(ctx); err != nil {
		return nil, err
	}
	stats, err := observe(ctx, m, s.plan.observed(), s.plan.fields(), o.Calibration, s.run, o.Progress)
	if err != nil {
		return nil, err
	}
	for name, h := range stats {
		s.reaches[name] = h.reaches
	}
	s.plan.choose(stats, float64(spec.Layout.Scale))
	if s.judge, err = judge.New(ctx, m, head, o.Calibration.First(judged), s.run, judge.Rounding); err != nil {
		return nil, err
	}
	s.others, err = newApart(ctx, m, head, o.Calibration, s.run)
	return s, err
}

// run is how networks are run while one is made.
func (o StaticOptions) run() onnxgraph.RunOptions {
	return onnxgraph.RunOptions{Library: o.Library, Threads: cmp.Or(o.Threads, runtime.GOMAXPROCS(0))}
}

func (o StaticOptions) check(m *graph.Model) (top float64, err error) {
	convs := 0
	for _, n := range m.Graph.Nodes {
		switch n.Op {
		case "QuantizeLinear", "DequantizeLinear", "QLinearConv", "ConvInteger":
			return 0, errors.New("the model is quantised already; give the float original")
		case "Conv":
			convs++
		}
	}
	switch {
	case convs == 0:
		return 0, errors.New("the model has no convolutions: there is nothing to gain")
	case o.Calibration == nil || o.Calibration.Len() == 0:
		return 0, errors.New("calibration pictures are needed; name a folder with --calib")
	case o.Target == "" || o.Target == CPU || o.Target == ARM64:
		return 127, nil
	case o.Target == AVX2:
		return 63, nil
	}
	return 0, fmt.Errorf("target %.40q: must be cpu, avx2, arm64 or trt", o.Target)
}

func (s *static) quantise(ctx context.Context) (*graph.Model, error) {
	units, err := s.plan.rank(ctx, s.m, s.judge, s.cache, s.o.Progress)
	if err != nil {
		return nil, err
	}
	if units, err = s.refine(ctx, units); err != nil {
		return nil, err
	}
	if units, err = s.everywhere(units); err != nil {
		return nil, err
	}
	for _, u := range units {
		s.report.Units = append(s.report.Units, Unit{u.name, u.error, u.fine})
	}
	if units, err = s.floatHeads(units); err != nil {
		return nil, err
	}
	islands := slices.IndexFunc(units, func(u unit) bool { return u.error <= tolerable })
	if islands < 0 {
		islands = len(units)
	}
	for {
		q, levels, err := s.with(ctx, units, islands)
		if err != nil {
			return nil, err
		}
		enough, err := s.good(ctx, q)
		if err != nil {
			return nil, err
		}
		if enough || islands == len(units) {
			return q, s.finish(q, levels, units[:islands])
		}
		islands = min(len(units), islands+max(2, islands/2))
	}
}

// with quantises all units but the first ones, and corrects biases where that brings the outputs nearer.
func (s *static) with(ctx context.Context, units []unit, islands int) (*graph.Model, map[string]affine, error) {
	levels := s.plan.useful(s.plan.levelsOf(units[islands:]))
	q, err := apply(s.m, levels, s.cache, nil)
	if err != nil {
		return nil, nil, err
	}
	if s.report.Error, err = s.judge.Error(q); err != nil {
		return nil, nil, err
	}
	if q, err = s.moved(ctx, q, levels); err != nil {
		return nil, nil, err
	}
	return q, levels, nil
}

// moved is the network with weights solved anew, or else with biases corrected, if that helps.
func (s *static) moved(ctx context.Context, q *graph.Model, levels map[string]affine) (*graph.Model, error) {
	s.report.Solved, s.report.Corrected = false, false
	solved, err := s.solve(ctx, levels)
	if err != nil {
		return nil, err
	}
	better, is, err := s.better(q, levels, solved)
	if s.report.Solved = is; is || err != nil {
		return better, err
	}
	corrected, err := (&corrector{s.m, levels, s.cache, s.judge.Inputs(), s.run}).correct(ctx, s.o.Progress)
	if err != nil {
		return nil, err
	}
	better, s.report.Corrected, err = s.better(q, levels, corrected)
	return better, err
}

// good asks whether the accuracy holds.
func (s *static) good(ctx context.Context, q *graph.Model) (bool, error) {
	if s.o.Evaluate == nil {
		return true, nil
	}
	whole, err := s.o.Evaluate(ctx, s.m)
	if err != nil {
		return false, err
	}
	points, err := s.o.Evaluate(ctx, q)
	return whole-points <= s.o.MaxDrop, err
}

func (s *static) finish(q *graph.Model, levels map[string]affine, islands []unit) error {
	for _, u := range islands {
		s.report.Islands = append(s.report.Islands, u.name)
	}
	return s.prove(q, levels)
}

// useful leaves out tensors around which nothing would run in int8.
func (p *plan) useful(levels map[string]affine) map[string]affine {
	levels = maps.Clone(levels)
	for {
		needed := map[string]bool{}
		for _, n := range p.graph.Nodes {
			names := p.activations(n)
			if names == nil || !slices.ContainsFunc(names, func(name string) bool { _, ok := levels[name]; return !ok }) {
				for _, name := range names {
					needed[name] = true
				}
			}
		}
		before := len(levels)
		maps.DeleteFunc(levels, func(name string, _ affine) bool { return !needed[name] })
		if len(levels) == before {
			return levels
		}
	}
}

// activations are the tensors of a node that must be uint8 for it to run in int8; nil for a node that never does.
func (p *plan) activations(n *graph.Node) []string {
	switch {
	case n.Op == "Conv":
		return []string{n.Inputs[0], n.Output()}
	case slices.Contains(computing, n.Op):
		return append(slices.Clone(n.Inputs), n.Output())
	case slices.Contains(rearranging, n.Op):
		return []string{n.Inputs[0], n.Output()}
	}
	return nil
}
