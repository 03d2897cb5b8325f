// Package prune makes networks smaller by leaving out what matters least.
package prune

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"

	"github.com/sightline/sightline/models/graph"
	"github.com/sightline/sightline/tools/calibrate"
	"github.com/sightline/sightline/tools/onnxgraph"
)

// UnstructuredOptions say how weights are left out.
type UnstructuredOptions struct {
	Amount      float64        // share of the weights of all convolutions that become zero, 0 to below 1
	PerLayer    bool           // the same share in every layer, instead of the smallest of all layers together
	Importance  string         // L1, or Data: a weight's square times that of what it reads, on Calibration; "": L1
	NoRepair    bool           // leave what remains as it is, also where Calibration is given
	Calibration *calibrate.Set // repair: what is left makes up for what is gone, by least squares; nil: no repair
	Library     string         // of onnxruntime; "": found by itself
	Threads     int            // 0: one for each processor
	Progress    func(what string, done, total int)
}

// Report says what was left out.
type Report struct {
	Weights  int64   `json:"weights" yaml:"weights"` // of all convolutions
	Zeros    int64   `json:"zeros" yaml:"zeros"`
	Repaired bool    `json:"repaired" yaml:"repaired"`
	Layers   []Layer `json:"layers" yaml:"-"`
}

// Layer is one convolution.
type Layer struct {
	Name     string  `json:"name"` // of its output
	Weights  int     `json:"weights"`
	Sparsity float64 `json:"sparsity"`
}

// layer is one convolution with its weights and which of them stay.
type layer struct {
	node    *graph.Node
	shape   []int64
	weights []float32
	scores  []float64 // what each weight matters
	kept    []bool
}

// Unstructured sets the weights that matter least to zero. The network computes as much as before, and onnxruntime takes as
// long: what shrinks is the compressed file. Amount 0 gives the same network.
func Unstructured(ctx context.Context, m *graph.Model, o UnstructuredOptions) (*graph.Model, Report, error) {
	if !(o.Amount >= 0 && o.Amount < 1) {
		return nil, Report{}, fmt.Errorf("prune: amount %g: must be 0 to below 1, the share of weights that become zero", o.Amount)
	}
	m = m.Clone()
	layers, err := layersOf(m)
	if err != nil {
		return nil, Report{}, fmt.Errorf("prune: %w", err)
	}
	if err := o.score(ctx, m, layers); err != nil {
		return nil, Report{}, fmt.Errorf("prune: %w", err)
	}
	choose(layers, o)
	if o.repairs() {
		if err := o.repair(ctx, m, layers); err != nil {
			return nil, Report{}, fmt.Errorf("prune: repair: %w", err)
		}
	} else {
		for _, l := range layers {
			l.write(m, l.masked())
		}
	}
	return m, report(layers, o), m.Check()
}

// quantised are operators that no float network has.
var quantised = []string{"QuantizeLinear", "DequantizeLinear", "QLinearConv", "ConvInteger"}

func (o UnstructuredOptions) repairs() bool {
	return o.Calibration != nil && o.Amount > 0 && !o.NoRepair
}

func layersOf(m *graph.Model) ([]*layer, error) {
	var layers []*layer
	for _, n := range m.Graph.Nodes {
		t := m.Graph.Initializers[n.Input(1)]
		if slices.Contains(quantised, n.Op) {
			return nil, errors.New("the model is quantised already; give the float original")
		}
		if n.Op != "Conv" || t == nil || len(t.Shape) != 4 {
			continue
		}
		v, err := t.Floats()
		if err != nil {
			return nil, fmt.Errorf("weights of %.80s: %w; is the model quantised already?", n.Output(), err)
		}
		for _, w := range v {
			if math.IsNaN(float64(w)) || math.IsInf(float64(w), 0) {
				return nil, fmt.Errorf("a weight of %.80s is %g: the network is broken", n.Output(), w)
			}
		}
		layers = append(layers, &layer{node: n, shape: t.Shape, weights: v, kept: make([]bool, len(v))})
	}
	if len(layers) == 0 {
		return nil, errors.New("the model has no convolutions with constant weights: there is nothing to leave out")
	}
	return layers, nil
}

// choose marks what stays. Among equal weights the first go, so that the share is met exactly.
func choose(layers []*layer, o UnstructuredOptions) {
	if o.PerLayer {
		for _, l := range layers {
			keepLargest([]*layer{l}, o.Amount)
		}
		return
	}
	keepLargest(layers, o.Amount)
}

func keepLargest(layers []*layer, amount float64) {
	var all []float64
	for _, l := range layers {
		all = append(all, l.scores...)
	}
	slices.Sort(all)
	gone := int(math.Round(amount * float64(len(all))))
	if gone == 0 {
		for _, l := range layers {
			for i := range l.kept {
				l.kept[i] = true
			}
		}
		return
	}
	limit := all[gone-1]
	below, _ := slices.BinarySearch(all, limit)
	ties := gone - below // of those that equal the limit, so many go
	for _, l := range layers {
		for i, size := range l.scores {
			l.kept[i] = size > limit
			if size == limit {
				l.kept[i] = ties <= 0
				ties--
			}
		}
	}
}

// masked is the layer's weights without those that go.
func (l *layer) masked() []float32 {
	v := slices.Clone(l.weights)
	for i, kept := range l.kept {
		if !kept {
			v[i] = 0
		}
	}
	return v
}

// halfBits are the bits of a float32 that a float16 does not have.
const halfBits = 1<<13 - 1

// isHalf tells whether all numbers came from float16: then the file is compressed to nearly half, and must stay so.
func isHalf(v []float32) bool {
	return !slices.ContainsFunc(v, func(f float32) bool { return math.Float32bits(f)&halfBits != 0 })
}

// toHalf rounds numbers to the precision of float16.
func toHalf(v []float32) {
	for i, f := range v {
		v[i] = math.Float32frombits((math.Float32bits(f) + (halfBits+1)/2) &^ halfBits)
	}
}

// write gives the layer new weights; a kernel that several layers share becomes the layer's own.
func (l *layer) write(m *graph.Model, v []float32) {
	name := l.node.Inputs[1]
	if len(m.Graph.Consumers(name)) > 1 {
		name = m.Graph.Fresh(name + "_pruned")
	}
	m.Graph.Initializers[name] = graph.NewFloat(l.shape, v)
	l.node.Inputs[1] = name
}

func report(layers []*layer, o UnstructuredOptions) Report {
	r := Report{Repaired: o.repairs()}
	for _, l := range layers {
		gone := 0
		for _, kept := range l.kept {
			if !kept {
				gone++
			}
		}
		r.Weights += int64(len(l.kept))
		r.Zeros += int64(gone)
		r.Layers = append(r.Layers, Layer{l.node.Output(), len(l.kept), float64(gone) / float64(len(l.kept))})
	}
	return r
}

func (o UnstructuredOptions) run() onnxgraph.RunOptions {
	threads := o.Threads
	if threads == 0 {
		threads = runtime.GOMAXPROCS(0)
	}
	return onnxgraph.RunOptions{Library: o.Library, Threads: threads}
}
