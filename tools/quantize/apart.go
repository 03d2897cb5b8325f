package quantize

import (
	"context"

	"github.com/sightline/sightline/models/graph"
	"github.com/sightline/sightline/tools/calibrate"
	"github.com/sightline/sightline/tools/judge"
	"github.com/sightline/sightline/tools/onnxgraph"
)

// aside is how many pictures are set aside to compare whole networks on.
const aside = 32

// apart judges what is detected in pictures that no plan was chosen by and no weights were learnt from. Where there are too few for that it
// takes what there is.
type apart struct {
	judge *judge.Judge
	learn *calibrate.Set // all other pictures
}

func newApart(ctx context.Context, m *graph.Model, head *onnxgraph.Head, all *calibrate.Set, run onnxgraph.RunOptions) (*apart, error) {
	few := all.Without(all.First(judged)).First(aside)
	if few.Len() == 0 {
		few = all.First(aside)
	}
	a := &apart{learn: all.Without(few)}
	if a.learn.Len() == 0 {
		a.learn = all
	}
	var err error
	a.judge, err = judge.New(ctx, m, head, few, run, judge.Detections)
	return a, err
}

// better is the network with changes if they help, in the pictures that plans are made by and in others; then their error is kept.
func (s *static) better(q *graph.Model, levels map[string]affine, changes map[string]change) (*graph.Model, bool, error) {
	changed, err := apply(s.m, levels, s.cache, changes)
	if err != nil {
		return nil, false, err
	}
	e, err := s.judge.Error(changed)
	if err != nil || e >= s.report.Error {
		return q, false, err
	}
	before, err := s.others.judge.Error(q)
	if err != nil {
		return nil, false, err
	}
	after, err := s.others.judge.Error(changed)
	if err != nil || after >= before {
		return q, false, err
	}
	s.report.Error = e
	return changed, true, nil
}
