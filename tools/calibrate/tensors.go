package calibrate

import (
	"context"

	"github.com/sightline/sightline/detect/onnx"
	"github.com/sightline/sightline/models/graph"
	"github.com/sightline/sightline/tools/onnxgraph"
)

// Tensors hands out what some tensors of a network hold for every picture of the album, in order.
func (a *Album) Tensors(ctx context.Context, m *graph.Model, names []string, o onnxgraph.RunOptions, fn func(i int, out map[string]onnx.Array) error) error {
	s, err := onnxgraph.Open(m, names, o)
	if err != nil {
		return err
	}
	defer s.Close() //nolint:errcheck // frees memory
	for i := range a.Len() {
		if err := ctx.Err(); err != nil {
			return err
		}
		out, err := s.Run(a.At(i))
		if err != nil {
			return err
		}
		if err := fn(i, out); err != nil {
			return err
		}
	}
	return nil
}
