// Package onnx runs networks with the onnxruntime library: fixed shapes, preallocated tensors, one thread a session.
package onnx

import (
	"errors"
	"fmt"
	"math"
	"os"
	"runtime"
	"slices"

	ort "github.com/yalue/onnxruntime_go"
)

// Tensor names an input or output and its shape, batch included.
type Tensor struct {
	Name  string
	Shape []int64
}

// Options say what to open and how to run it.
type Options struct {
	Library string   // path of libonnxruntime.so; "": see FindLibrary
	Model   string   // path of the .onnx file
	Device  string   // see ParseDevice
	Threads int      // 0: one
	Input   Tensor   // float32; Shape[0] is the largest batch
	Outputs []Tensor // float32; Shape[0] is the same
	// Plain runs the operators of onnxruntime alone, without those of our own that make int8 faster: for comparison.
	Plain bool
}

// Session is a loaded network with its buffers. It belongs to one goroutine.
type Session struct {
	session *ort.DynamicAdvancedSession
	input   []float32
	outputs [][]float32
	// batches[n-1] binds the first n items of the buffers: so a batch that is not full costs no more than it holds.
	batches []batch
	pins    runtime.Pinner // holds the buffers for the library
}

type batch struct {
	tensors []*ort.Tensor[float32]
	binding *ort.IoBinding
}

// Open loads the library, once a process, and the model. Only a model that was checked may be opened: see package models.
func Open(o Options) (*Session, error) {
	device, err := ParseDevice(o.Device)
	if err != nil {
		return nil, fmt.Errorf("open model %s: %w", o.Model, err)
	}
	sizes, err := o.sizes()
	if err != nil {
		return nil, fmt.Errorf("open model %s: %w", o.Model, err)
	}
	if err := load(o.Library); err != nil {
		return nil, err
	}
	s := &Session{input: make([]float32, sizes[0])}
	s.pins.Pin(&s.input[0])
	for _, size := range sizes[1:] {
		output := make([]float32, size)
		s.pins.Pin(&output[0])
		s.outputs = append(s.outputs, output)
	}
	if err := s.open(o, device); err != nil {
		return nil, errors.Join(fmt.Errorf("open model %s: %w", o.Model, err), s.Close())
	}
	return s, nil
}

// sizes gives the lengths of the buffers, of the input first.
func (o Options) sizes() (sizes []int, err error) {
	for _, t := range append([]Tensor{o.Input}, o.Outputs...) {
		size := int64(1)
		for _, n := range t.Shape {
			if n <= 0 || size > math.MaxInt32/n {
				return sizes, fmt.Errorf("tensor %s %v: sizes must be positive and hold less than 2^31 numbers", t.Name, t.Shape)
			}
			size *= n
		}
		if len(t.Shape) == 0 || len(o.Input.Shape) == 0 || t.Shape[0] != o.Input.Shape[0] {
			return nil, fmt.Errorf("input %v and output %s %v must begin with the same batch", o.Input.Shape, t.Name, t.Shape)
		}
		sizes = append(sizes, int(size))
	}
	if len(o.Outputs) == 0 {
		return nil, errors.New("no output is named")
	}
	// The library fills only the last buffer of a name.
	list := names(o.Outputs)
	if slices.Sort(list); len(slices.Compact(list)) < len(o.Outputs) {
		return nil, errors.New("an output is named twice")
	}
	return sizes, nil
}

func (s *Session) open(o Options, device Device) error {
	model, err := os.ReadFile(o.Model)
	if err != nil {
		return err
	}
	s.session, err = newSession(recipe{
		path: o.Model, model: model, inputs: []string{o.Input.Name}, outputs: names(o.Outputs), threads: o.Threads, device: device,
		plain: o.Plain || device.Kind != CPU, // operators of our own are for processors
	})
	if err != nil {
		return err
	}
	for n := int64(1); n <= o.Input.Shape[0]; n++ {
		if err := s.bind(o, n); err != nil {
			return err
		}
	}
	return nil
}

// sessionOptions are the same for every network.
func sessionOptions(threads int, level Optimisation) (*ort.SessionOptions, error) {
	o, err := ort.NewSessionOptions()
	if err != nil {
		return nil, err
	}
	entries := [][2]string{
		// Idle threads that spin take the processor from decoding.
		{"session.intra_op.allow_spinning", "0"},
		// This pass quantises float convolutions between DequantizeLinear and QuantizeLinear per tensor, silently, and ruins
		// depthwise ones (seen in onnxruntime 1.32; delete when a release leaves them alone).
		{"optimization.disable_specified_optimizers", "WeightBiasQuantization"},
		// Weights outside the arena, which would round them up.
		{"session.use_device_allocator_for_initializers", "1"},
	}
	errs := []error{
		o.SetIntraOpNumThreads(max(1, threads)),
		o.SetInterOpNumThreads(1),
		o.SetExecutionMode(ort.ExecutionModeSequential),
		o.SetGraphOptimizationLevel(level.level()),
		o.SetLogSeverityLevel(ort.LoggingLevelError),
	}
	for _, e := range entries {
		errs = append(errs, o.AddSessionConfigEntry(e[0], e[1]))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, errors.Join(fmt.Errorf("set session options: %w", err), o.Destroy())
	}
	return o, nil
}

// bind prepares the run of a batch of n over the first n items of the buffers.
func (s *Session) bind(o Options, n int64) (err error) {
	var b batch
	defer func() {
		if err != nil {
			err = errors.Join(err, b.close())
		}
	}()
	if b.binding, err = s.session.CreateIoBinding(); err != nil {
		return err
	}
	if err = b.bind(o.Input, n, s.input, b.binding.BindInput); err != nil {
		return err
	}
	for i, t := range o.Outputs {
		if err = b.bind(t, n, s.outputs[i], b.binding.BindOutput); err != nil {
			return err
		}
	}
	s.batches = append(s.batches, b)
	return nil
}

// bind puts a tensor over the first n items of a buffer.
func (b *batch) bind(t Tensor, n int64, buffer []float32, to func(string, ort.Value) error) error {
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

// Input is the input of the largest batch, item after item. It stays the same for the session's life.
func (s *Session) Input() []float32 { return s.input }

// Outputs are the outputs of the last Run in the order of Options, item after item. They stay the same for the session's life.
func (s *Session) Outputs() [][]float32 { return s.outputs }

// Run computes the first n items of the batch, n from 1 to the largest.
func (s *Session) Run(n int) error {
	if s.session == nil {
		return errors.New("run network: the session is closed")
	}
	if n < 1 || n > len(s.batches) {
		return fmt.Errorf("run network: a batch of %d: must be 1 to %d", n, len(s.batches))
	}
	if err := s.session.RunWithBinding(s.batches[n-1].binding); err != nil {
		return fmt.Errorf("run network: %w", err)
	}
	return nil
}

// Close frees everything; once more does nothing.
func (s *Session) Close() error {
	var errs []error
	for _, b := range s.batches {
		errs = append(errs, b.close())
	}
	if s.session != nil {
		errs = append(errs, s.session.Destroy())
	}
	s.batches, s.session = nil, nil
	s.pins.Unpin()
	return errors.Join(errs...)
}
