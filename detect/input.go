package detect

import (
	"github.com/sightline/sightline/detect/onnx"
	"github.com/sightline/sightline/models"
	"github.com/sightline/sightline/pipeline/picture"
)

// input is the network's input in one shape, with what reads the outputs that belong to it.
type input struct {
	*onnx.Binding
	shape    shape
	decoder  *decoder
	maxBatch int
	outputs  [][]float32 // of one item; see outputsOf
}

// newInput takes the buffers of a network with the input size of spec.
func newInput(cfg Config, spec models.Spec, b *onnx.Binding) *input {
	return &input{
		Binding: b, shape: shape{spec.Width, spec.Height}, maxBatch: cfg.batch(spec),
		decoder: newDecoder(spec, cfg.thresholds(spec.Labels), cfg.iou()),
		outputs: make([][]float32, len(b.Outputs())),
	}
}

// bindInput makes buffers of another size than the session's first.
func bindInput(cfg Config, spec models.Spec, session *onnx.Session) (*input, error) {
	n := cfg.batch(spec)
	b, err := session.Bind(onnx.Tensor{Name: spec.Input, Shape: spec.InputShape(n)}, outputs(spec, n))
	if err != nil {
		return nil, err
	}
	return newInput(cfg, spec, b), nil
}

// fill makes a region of a picture one item of the batch.
func (in *input) fill(i int, l *picture.Letterboxer, p *picture.I420, r picture.Rect) (picture.Transform, error) {
	if in.Levels() != nil {
		return l.FillLevels(itemOf(in.Levels(), i, in.maxBatch), in.shape.width, in.shape.height, p, r)
	}
	return l.Fill(itemOf(in.Input(), i, in.maxBatch), in.shape.width, in.shape.height, p, r)
}

// take copies one item of another batch in the same shape.
func (in *input) take(i int, from *input, item int) {
	copy(itemOf(in.Input(), i, in.maxBatch), itemOf(from.Input(), item, from.maxBatch))
	copy(itemOf(in.Levels(), i, in.maxBatch), itemOf(from.Levels(), item, from.maxBatch))
}

// itemOf cuts one item out of a batch.
func itemOf[T any](all []T, item, batch int) []T {
	size := len(all) / batch
	return all[item*size : (item+1)*size]
}

// outputsOf cuts the outputs of one item out of the batch; valid until the next call.
func (in *input) outputsOf(item int) [][]float32 {
	for i, all := range in.Outputs() {
		in.outputs[i] = itemOf(all, item, in.maxBatch)
	}
	return in.outputs
}
