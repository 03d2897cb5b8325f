// Package onnx runs networks with the onnxruntime library: fixed shapes, preallocated tensors, one thread a session.
package onnx

import (
	"errors"
	"fmt"
	"os"
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
	Input   Tensor   // float32, see Unit; Shape[0] is the largest batch
	Outputs []Tensor // float32; Shape[0] is the same
	// Unit is the number that a network was trained to be given for level 1 of 0 to 255. Where it is known, a session may take levels
	// instead of numbers, a quarter of the memory: see Binding.Levels. 0: only numbers.
	Unit float32
	// AnySize frees height and width of the input, so that Bind takes others than Input's. It is for networks of which nothing is bound
	// to one size: a run of another size fails where something is.
	AnySize bool
	// Plain runs the operators of onnxruntime alone, without those of our own that make int8 faster: for comparison.
	Plain bool
}

// Session is a loaded network with the buffers of its inputs. It belongs to one goroutine.
type Session struct {
	*Binding // of the shapes in Options

	sessions []sized
	bindings []*Binding // all
}

// sized is a session as it runs batches of one size. On processors one session runs them all. Other devices plan or compile a network for
// each shape, which takes seconds: there each of few sizes has a session of its own, which never sees another shape.
type sized struct {
	size    int
	copied  bool // see batch
	levels  bool // it takes levels, not numbers
	session *ort.DynamicAdvancedSession
}

// Open loads the library, once a process, and the model. Only a model that was checked may be opened: see package models.
func Open(o Options) (*Session, error) {
	device, err := ParseDevice(o.Device)
	if err != nil {
		return nil, fmt.Errorf("open model %s: %w", o.Model, err)
	}
	if _, err := bufferSizes(o.Input, o.Outputs); err != nil {
		return nil, fmt.Errorf("open model %s: %w", o.Model, err)
	}
	if err := load(o.Library); err != nil {
		return nil, err
	}
	s := &Session{Binding: &Binding{}}
	if err := s.open(o, device); err != nil {
		return nil, errors.Join(fmt.Errorf("open model %s: %w", o.Model, err), s.Close())
	}
	return s, nil
}

func (s *Session) open(o Options, device Device) error {
	model, err := os.ReadFile(o.Model)
	if err != nil {
		return err
	}
	r := recipe{
		path: o.Model, model: model, inputs: []string{o.Input.Name}, outputs: names(o.Outputs), threads: o.Threads, device: device,
		plain:   o.Plain || device.Kind != CPU, // operators of our own are for processors
		anySize: o.AnySize, unit: o.Unit,
	}
	if s.sessions, err = openSizes(r, int(o.Input.Shape[0])); err != nil {
		return err
	}
	s.Binding, err = s.Bind(o.Input, o.Outputs)
	return err
}

// openSizes opens what runs batches up to the largest. What is open is given also with an error.
func openSizes(r recipe, most int) (all []sized, err error) {
	if r.device.AnyShape() {
		one, levels, err := newSession(r)
		for n := 1; n <= most && err == nil; n++ {
			all = append(all, sized{size: n, levels: levels, session: one})
		}
		return all, err
	}
	return openEach(r, slices.Compact([]int{1, most}))
}

// openEach opens a session for each size of batch.
func openEach(r recipe, sizes []int) (all []sized, err error) {
	for _, n := range sizes {
		r.batch = n
		one, levels, err := newSession(r)
		if err != nil {
			return all, err
		}
		all = append(all, sized{size: n, copied: true, levels: levels, session: one})
	}
	return all, nil
}

// Bind makes buffers for an input and outputs of these shapes, the first number of which is the largest batch. They live as long as the
// session. Shapes other than those of Options want AnySize.
func (s *Session) Bind(input Tensor, outputs []Tensor) (*Binding, error) {
	b, err := newBinding(s.sessions, input, outputs)
	if err != nil {
		return nil, err
	}
	s.bindings = append(s.bindings, b)
	return b, nil
}

// Close frees everything; once more does nothing.
func (s *Session) Close() error {
	var errs []error
	for _, b := range s.bindings {
		errs = append(errs, b.close())
	}
	for i, one := range s.sessions {
		if i == 0 || one.session != s.sessions[i-1].session {
			errs = append(errs, one.session.Destroy())
		}
	}
	s.bindings, s.sessions = nil, nil
	return errors.Join(errs...)
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
