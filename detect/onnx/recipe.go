package onnx

import (
	"bytes"
	"errors"
	"sync"

	ort "github.com/yalue/onnxruntime_go"
)

// recipe says how a network becomes a session.
type recipe struct {
	path            string // of the file that holds it; "": only its bytes are known
	model           []byte
	inputs, outputs []string
	threads         int
	device          Device
	level           Optimisation
	written         string // where the optimised network is written to; "": nowhere
	plain           bool
	unit            float32 // see Options
	anySize         bool    // height and width of the input are left open
	batch           int     // that the network is made for, whatever the file says; 0: as the file says
	kernels         bool    // our own operators are known: only in what was made here, since they trust what they are given
}

// newSession opens a network, with our own operators where it is quantised, and tells whether it takes levels instead of numbers then.
func newSession(r recipe) (session *ort.DynamicAdvancedSession, levels bool, err error) {
	if r.plain || r.level == OptimiseNothing || r.written != "" {
		session, err = r.freed()
		return session, false, err
	}
	fused, levels, err := fuse(r)
	if err != nil {
		return nil, false, err
	}
	if fused == nil {
		session, err = r.freed()
		return session, false, err
	}
	// It is optimised already, and has operators that the optimiser does not know.
	r.path, r.model, r.level, r.kernels = "", fused, OptimiseNothing, true
	session, err = r.open()
	return session, levels, err
}

// quantised tells whether a network computes in int8 where it can.
func (r recipe) quantised() bool { return bytes.Contains(r.model, []byte("QuantizeLinear")) }

func (r recipe) open() (session *ort.DynamicAdvancedSession, err error) {
	options, err := sessionOptions(r.threads, r.level)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, options.Destroy()) }()
	if err := r.device.appendTo(options, r); err != nil {
		return nil, err
	}
	if r.kernels {
		if err := addKernels(options); err != nil {
			return nil, err
		}
	}
	if r.written != "" {
		if err := options.SetOptimizedModelFilePath(r.written); err != nil {
			return nil, err
		}
	}
	create := func() (err error) {
		if r.path != "" { // by path, since it may lie in several files
			session, err = ort.NewDynamicAdvancedSession(r.path, r.inputs, r.outputs, options)
		} else {
			session, err = ort.NewDynamicAdvancedSessionWithONNXData(r.model, r.inputs, r.outputs, options)
		}
		return err
	}
	switch {
	case r.kernels:
		err = kernelSessions.create(create)
	case r.device.Kind == OpenVINO:
		err = keepSignalStack(create)
	default:
		err = create()
	}
	return session, err
}

// kernelSessions are those with operators of our own. onnxruntime, 1.32 too, notes their domain for the process without a lock
// (InferenceSession::AddCustomOpDomains): the first one must be alone.
var kernelSessions firstAlone

// firstAlone has all wait until one has succeeded.
type firstAlone struct {
	mu   sync.Mutex // protects done, and is held by those before it
	done bool
}

func (f *firstAlone) create(session func() error) error {
	f.mu.Lock()
	if f.done {
		f.mu.Unlock()
		return session()
	}
	defer f.mu.Unlock()
	err := session()
	f.done = err == nil
	return err
}
