package onnxgraph

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"

	"github.com/sightline/sightline/models/graph"
)

// Size is what a network looks at, in pixels. The zero value stands for the size that it has.
type Size struct{ Width, Height int }

const (
	coarsest = 32 // stride of the coarsest grid of every family
	maxSide  = 8192
)

var sizes = regexp.MustCompile(`^(\d{1,5})(?:x(\d{1,5}))?$`)

// ParseSize reads 576 (a square) or 640x384 (width and height): multiples of 32.
func ParseSize(text string) (Size, error) {
	m := sizes.FindStringSubmatch(text)
	if m == nil {
		return Size{}, fmt.Errorf("%.40q is no size: must be pixels such as 576, or width x height such as 640x384", text)
	}
	if m[2] == "" {
		m[2] = m[1]
	}
	var s Size
	s.Width, _ = strconv.Atoi(m[1])
	s.Height, _ = strconv.Atoi(m[2])
	for _, side := range []int{s.Width, s.Height} {
		if side == 0 || side%coarsest != 0 || side > maxSide {
			return Size{}, fmt.Errorf("size %s: sides must be multiples of %d up to %d", text, coarsest, maxSide)
		}
	}
	return s, nil
}

// String writes width x height.
func (s Size) String() string { return fmt.Sprintf("%dx%d", s.Width, s.Height) }

// FixInput gives an input whose height or width was left open the size that is known of it otherwise.
func FixInput(m *graph.Model, s Size) {
	if len(m.Graph.Inputs) != 1 || len(m.Graph.Inputs[0].Shape) != 4 {
		return
	}
	shape := slices.Clone(m.Graph.Inputs[0].Shape)
	for i, side := range []int{s.Height, s.Width} {
		if shape[2+i] <= 0 {
			shape[2+i] = int64(side)
		}
	}
	m.Graph.Inputs[0].Shape = shape
}

// SetInput makes a network look at pictures of another size, by which it computes as much less or more. Simplify must have been
// through it: the decode tail that Simplify cuts off is what is bound to one size. It proves itself: the network is run, and its
// grids must have the new size. The model is left alone on any error.
func SetInput(m *graph.Model, head *Head, s Size, o RunOptions) error {
	old, err := m.InputShape()
	if err != nil {
		return err
	}
	if s == (Size{}) || old[2] == int64(s.Height) && old[3] == int64(s.Width) {
		return nil
	}
	if head == nil {
		return fmt.Errorf("the decode tail of this network is bound to %dx%d and of no family that can be cut off (yolox, yolov5, yolov8): export it with %s instead",
			old[3], old[2], s)
	}
	resized := m.Clone()
	if err := scaleResizes(resized, o); err != nil {
		return err
	}
	shape := slices.Clone(resized.Graph.Inputs[0].Shape)
	shape[2], shape[3] = int64(s.Height), int64(s.Width)
	resized.Graph.Inputs[0].Shape = shape
	clear(resized.Graph.Values)
	for i := range resized.Graph.Outputs {
		resized.Graph.Outputs[i].Shape = nil
	}
	if err := proveSize(resized, head, s, o); err != nil {
		return fmt.Errorf("input of %s: %w", s, err)
	}
	*m = *resized
	return nil
}

// proveSize runs the network and looks at its grids.
func proveSize(m *graph.Model, head *Head, s Size, o RunOptions) error {
	shape := []int64{1, 3, int64(s.Height), int64(s.Width)}
	if batch := m.Graph.Inputs[0].Shape[0]; batch > 1 {
		shape[0] = batch
	}
	out, err := runOnce(m, noise(shape, 1), o)
	if err != nil {
		return fmt.Errorf("something in the network is bound to another size (%w): export it with this one", err)
	}
	for _, l := range head.Levels {
		for _, name := range l.Outputs {
			got := out[name].Shape
			if len(got) != 4 || got[2] != int64(s.Height/l.Stride) || got[3] != int64(s.Width/l.Stride) {
				return fmt.Errorf("the grid %s of stride %d has shape %v: something in the network is bound to another size; export it with this one", name, l.Stride, got)
			}
		}
	}
	return nil
}

// scaleResizes makes factors of the fixed sizes that some exporters give to Resize.
func scaleResizes(m *graph.Model, o RunOptions) error {
	g := m.Graph
	for _, n := range g.Nodes {
		t := g.Const(n.Input(3))
		if n.Op != "Resize" || n.Input(3) == "" {
			continue
		}
		if t == nil {
			return errors.New("a Resize takes its size from the network itself: export the model with a fixed size, simplified")
		}
		to, err := t.Int64s()
		if err != nil {
			return err
		}
		from, err := shapeOf(m, n.Input(0), o)
		if err != nil || len(from) != len(to) {
			return fmt.Errorf("a Resize to %v of %s %v: %w", to, n.Input(0), from, errors.Join(err, errors.New("ranks must be equal")))
		}
		factors := make([]float32, len(to))
		for i := range to {
			if factors[i] = float32(to[i]) / float32(from[i]); from[i] == 0 || to[i]%from[i] != 0 {
				return fmt.Errorf("a Resize makes %v of %v: factors must be whole for the network to take another size", to, from)
			}
		}
		name := g.Fresh(n.Output() + "_factors")
		g.Initializers[name] = graph.NewFloat([]int64{int64(len(factors))}, factors)
		n.Inputs = []string{n.Inputs[0], n.Input(1), name}
	}
	g.RemoveDead()
	return nil
}

func shapeOf(m *graph.Model, name string, o RunOptions) ([]int64, error) {
	input, err := m.InputShape()
	if err != nil {
		return nil, err
	}
	s, err := Open(m, []string{name}, o)
	if err != nil {
		return nil, err
	}
	defer s.Close() //nolint:errcheck // frees memory
	out, err := s.Run(noise(input, 1))
	return out[name].Shape, err
}
