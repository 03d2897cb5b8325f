package onnx

import (
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"

	ort "github.com/yalue/onnxruntime_go"
)

// Binding is a network's input and outputs of fixed shapes, with their buffers. It belongs to its session's goroutine.
type Binding struct {
	input   []float32 // nil where it is levels
	levels  []uint8   // nil where it is numbers
	outputs [][]float32
	most    int // items of the largest batch
	// batches bind the first items of the buffers, the smallest number first; none once it is closed.
	batches []batch
	pins    runtime.Pinner // holds the buffers for the library
}

// batch is a run of so many items.
type batch struct {
	size    int
	copied  bool // the library copies the input when it is bound, to memory of the device: so it is bound for every run
	input   string
	session *ort.DynamicAdvancedSession
	tensors []ort.Value // of the input first
	binding *ort.IoBinding
}

// newBinding binds batches of the sizes for which there are sessions. A batch between them runs as the next larger one.
func newBinding(sessions []sized, input Tensor, outputs []Tensor) (*Binding, error) {
	sizes, err := bufferSizes(input, outputs)
	if err != nil {
		return nil, err
	}
	b := &Binding{most: int(input.Shape[0])}
	if len(sessions) > 0 && sessions[0].levels {
		b.levels = make([]uint8, sizes[0])
		b.pins.Pin(&b.levels[0])
	} else {
		b.input = make([]float32, sizes[0])
		b.pins.Pin(&b.input[0])
	}
	for _, size := range sizes[1:] {
		output := make([]float32, size)
		b.pins.Pin(&output[0])
		b.outputs = append(b.outputs, output)
	}
	for _, s := range sessions {
		if err := b.bind(s, input, outputs); err != nil {
			return nil, errors.Join(err, b.close())
		}
	}
	return b, nil
}

// bufferSizes gives the lengths of the buffers, of the input first.
func bufferSizes(input Tensor, outputs []Tensor) (sizes []int, err error) {
	for _, t := range append([]Tensor{input}, outputs...) {
		size := int64(1)
		for _, n := range t.Shape {
			if n <= 0 || size > math.MaxInt32/n {
				return sizes, fmt.Errorf("tensor %s %v: sizes must be positive and hold less than 2^31 numbers", t.Name, t.Shape)
			}
			size *= n
		}
		if len(t.Shape) == 0 || len(input.Shape) == 0 || t.Shape[0] != input.Shape[0] {
			return nil, fmt.Errorf("input %v and output %s %v must begin with the same batch", input.Shape, t.Name, t.Shape)
		}
		sizes = append(sizes, int(size))
	}
	if len(outputs) == 0 {
		return nil, errors.New("no output is named")
	}
	// The library fills only the last buffer of a name.
	list := names(outputs)
	if slices.Sort(list); len(slices.Compact(list)) < len(outputs) {
		return nil, errors.New("an output is named twice")
	}
	return sizes, nil
}

// bind prepares the run of a batch over the first items of the buffers.
func (b *Binding) bind(s sized, input Tensor, outputs []Tensor) (err error) {
	n, run := int64(s.size), batch{size: s.size, copied: s.copied, input: input.Name, session: s.session}
	defer func() {
		if err != nil {
			err = errors.Join(err, run.close())
		}
	}()
	if run.binding, err = s.session.CreateIoBinding(); err != nil {
		return err
	}
	if s.levels {
		err = bind(&run, input, n, b.levels, run.binding.BindInput)
	} else {
		err = bind(&run, input, n, b.input, run.binding.BindInput)
	}
	if err != nil {
		return err
	}
	for i, t := range outputs {
		if err = bind(&run, t, n, b.outputs[i], run.binding.BindOutput); err != nil {
			return err
		}
	}
	b.batches = append(b.batches, run)
	return nil
}

// bind puts a tensor over the first n items of a buffer.
func bind[T float32 | uint8](b *batch, t Tensor, n int64, buffer []T, to func(string, ort.Value) error) error {
	tensor, err := ort.NewTensor(withBatch(t.Shape, n), buffer)
	if err != nil {
		return err
	}
	b.tensors = append(b.tensors, tensor)
	return to(t.Name, tensor)
}

func names(tensors []Tensor) []string {
	list := make([]string, len(tensors))
	for i, t := range tensors {
		list[i] = t.Name
	}
	return list
}

func withBatch(shape []int64, n int64) ort.Shape {
	s := slices.Clone(shape)
	s[0] = n
	return s
}

func (b batch) close() error {
	var errs []error
	if b.binding != nil {
		errs = append(errs, b.binding.Destroy())
	}
	for _, t := range b.tensors {
		errs = append(errs, t.Destroy())
	}
	return errors.Join(errs...)
}

// Input is the input of the largest batch, item after item; nil where the session takes levels. It stays the same for the session's life.
func (b *Binding) Input() []float32 { return b.input }

// Levels are the input of the largest batch, item after item, where the session takes levels; else nil. They stay the same for the
// session's life.
func (b *Binding) Levels() []uint8 { return b.levels }

// Outputs are the outputs of the last Run in the order that they were named in, item after item. They stay the same for the session's
// life.
func (b *Binding) Outputs() [][]float32 { return b.outputs }

// Run computes the first n items of the batch, n from 1 to the largest. Where the network has a size of its own for some batches only,
// what is behind them in the buffers is computed as well.
func (b *Binding) Run(n int) error {
	if len(b.batches) == 0 {
		return errors.New("run network: the session is closed")
	}
	if n < 1 || n > b.most {
		return fmt.Errorf("run network: a batch of %d: must be 1 to %d", n, b.most)
	}
	i, _ := slices.BinarySearchFunc(b.batches, n, func(run batch, n int) int { return run.size - n })
	if err := b.batches[i].run(); err != nil {
		return fmt.Errorf("run network: %w", err)
	}
	return nil
}

func (b *batch) run() error {
	if b.copied {
		if err := b.binding.BindInput(b.input, b.tensors[0]); err != nil {
			return err
		}
	}
	return b.session.RunWithBinding(b.binding)
}

func (b *Binding) close() error {
	var errs []error
	for _, run := range b.batches {
		errs = append(errs, run.close())
	}
	b.batches = nil
	b.pins.Unpin()
	return errors.Join(errs...)
}
