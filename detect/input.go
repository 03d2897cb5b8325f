package detect

import (
	"github.com/sightline/sightline/detect/onnx"
	"github.com/sightline/sightline/models"
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

// item is the input of one item of the batch.
func (in *input) item(i int) []float32 {
	size := len(in.Input()) / in.maxBatch
	return in.Input()[i*size : (i+1)*size]
}

// outputsOf cuts the outputs of one item out of the batch; valid until the next call.
func (in *input) outputsOf(item int) [][]float32 {
	for i, all := range in.Outputs() {
		size := len(all) / in.maxBatch
		in.outputs[i] = all[item*size : (item+1)*size]
	}
	return in.outputs
}
