package prune

import (
	"context"
	"fmt"
	"math"

	"github.com/sightline/sightline/models/graph"
	"github.com/sightline/sightline/tools/leastsquares"
	"github.com/sightline/sightline/tools/onnxgraph"
)

// score tells what each weight matters: its magnitude, or what it adds to the outputs of its layer as a share of what all weights add.
func (o UnstructuredOptions) score(ctx context.Context, m *graph.Model, layers []*layer) error {
	switch {
	case o.Importance == "" || o.Importance == L1:
		for _, l := range layers {
			l.scores = make([]float64, len(l.weights))
			for i, w := range l.weights {
				l.scores[i] = math.Abs(float64(w))
			}
		}
		return nil
	case o.Importance != Data:
		return fmt.Errorf("importance %.40q: must be l1 or data", o.Importance)
	case o.Calibration == nil || o.Calibration.Len() == 0:
		return fmt.Errorf("importance data needs pictures; name a folder with --calib")
	case o.Amount == 0:
		for _, l := range layers {
			l.scores = make([]float64, len(l.weights))
		}
		return nil
	}
	stats, err := o.observe(ctx, m, layers)
	if err != nil {
		return err
	}
	for _, l := range layers {
		l.scores = l.contributions(stats[l.node.Inputs[0]])
	}
	return nil
}

// observe looks at what the layers read; of those that read the picture itself nothing is known.
func (o UnstructuredOptions) observe(ctx context.Context, m *graph.Model, layers []*layer) (map[string]*moments, error) {
	shape, err := m.InputShape()
	if err != nil {
		return nil, err
	}
	pictures, err := o.Calibration.Album(ctx, shape)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, l := range layers {
		if m.Graph.Producer(l.node.Inputs[0]) != nil {
			names = append(names, l.node.Inputs[0])
		}
	}
	if len(names) == 0 {
		return nil, nil
	}
	s, err := onnxgraph.Open(m, unique(names), o.run())
	if err != nil {
		return nil, err
	}
	defer s.Close() //nolint:errcheck // frees memory
	p, err := leastsquares.NewMultiplier(o.run())
	if err != nil {
		return nil, err
	}
	defer p.Close() //nolint:errcheck // frees memory
	return observe(s, pictures, p, o.Progress)
}

// contributions are the squares of the weights times the mean squares of what they read, over their mean for an output.
func (l *layer) contributions(s *moments) []float64 {
	v := make([]float64, len(l.weights))
	in, size := int(l.shape[1]), int(l.shape[2]*l.shape[3])
	rows := int(l.shape[0]) / int(l.node.Int("group", 1))
	total := 0.0
	for i, w := range l.weights {
		v[i] = float64(w) * float64(w)
		if s != nil {
			o, c := i/(in*size), i/size%in
			v[i] *= s.square[o/rows*in+c]
		}
		total += v[i]
	}
	for i := range v {
		v[i] /= max(total/float64(l.shape[0]), 1e-30)
	}
	return v
}
