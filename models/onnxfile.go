package models

import (
	"errors"
	"fmt"
)

// Limits of what is read from an ONNX file.
const (
	maxDepth    = 16      // graphs inside graphs
	maxMetadata = 1000    // entries
	maxValue    = 1 << 20 // bytes of one metadata entry
	maxRank     = 8
	maxTensors  = 1 << 16 // of one kind: an empty one takes 2 bytes of file and much more of memory
)

// Element types of ONNX tensors that are looked at.
const (
	elemFloat32 = 1
	elemFloat16 = 10
)

// dynamic marks a dimension without a fixed size.
const dynamic = -1

// tensor is an input or an output of a network.
type tensor struct {
	name  string
	elem  int     // ONNX element type; 0: no tensor
	shape []int64 // dynamic where not fixed
	rank  bool    // whether the shape is known at all
}

// onnxFile is what an ONNX file tells without being run.
type onnxFile struct {
	version  int64
	graph    bool
	opset    bool
	inputs   []tensor
	outputs  []tensor
	metadata map[string]string
	external []external
	initial  map[string]bool // names of initialisers, which old files list among the inputs
}

// parseONNX reads an ONNX file without believing it: sizes are checked against what is there, and nothing is copied but names.
func parseONNX(data []byte) (*onnxFile, error) {
	f := &onnxFile{metadata: map[string]string{}, initial: map[string]bool{}}
	if err := eachField(data, f.modelField); err != nil {
		return nil, err
	}
	// A file that was cut off behind its graph lacks the operators' version.
	if f.version == 0 || !f.graph || !f.opset {
		return nil, errors.New("it has no version, no graph or no version of its operators")
	}
	return f, nil
}

func (f *onnxFile) modelField(x field) error {
	switch x.num {
	case 1: // ir_version
		f.version = int64(x.varint)
	case 7: // graph
		f.graph = true
		return in("the graph", eachField(x.bytes, f.graphField))
	case 8: // opset_import
		f.opset = true
	case 14: // metadata_props
		return in("the metadata", f.entry(x.bytes))
	case 20: // training_info: two graphs
		return in("the training graphs", eachField(x.bytes, func(y field) error { return f.subgraph(y, 1) }))
	case 25: // functions
		return in("a function", eachField(x.bytes, func(y field) error {
			if y.num != 7 {
				return nil
			}
			return f.node(y.bytes, 1)
		}))
	}
	return nil
}

func (f *onnxFile) graphField(x field) error {
	switch x.num {
	case 1:
		return f.node(x.bytes, 1)
	case 5, 15:
		return in("an initialiser", f.initialiser(x))
	case 11:
		return in("an input", f.value(x.bytes, &f.inputs))
	case 12:
		return in("an output", f.value(x.bytes, &f.outputs))
	}
	return nil
}

// subgraph looks only for initialisers: inputs and outputs of inner graphs are their own matter.
func (f *onnxFile) subgraph(x field, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("more than %d graphs inside each other", maxDepth)
	}
	return eachField(x.bytes, func(y field) error {
		switch y.num {
		case 1:
			return f.node(y.bytes, depth)
		case 5, 15:
			return f.initialiser(y)
		}
		return nil
	})
}

// node looks for tensors and graphs among the attributes of a node.
func (f *onnxFile) node(message []byte, depth int) error {
	return eachField(message, func(x field) error {
		if x.num != 5 { // attribute
			return nil
		}
		return eachField(x.bytes, func(y field) error {
			switch y.num {
			case 5, 10: // t, tensors
				_, err := f.tensor(y.bytes)
				return err
			case 6, 11: // g, graphs
				return f.subgraph(y, depth+1)
			case 22, 23: // sparse_tensor, sparse_tensors
				return f.sparse(y.bytes)
			}
			return nil
		})
	})
}

func (f *onnxFile) initialiser(x field) error {
	if x.num == 15 {
		return f.sparse(x.bytes)
	}
	t, err := f.tensor(x.bytes)
	if err != nil {
		return err
	}
	if err := f.initialised(t.name); err != nil {
		return err
	}
	return t.finite()
}

func (f *onnxFile) sparse(message []byte) error {
	return eachField(message, func(x field) error {
		if x.num != 1 && x.num != 2 { // values, indices
			return nil
		}
		t, err := f.tensor(x.bytes)
		if err != nil {
			return err
		}
		return f.initialised(t.name)
	})
}

func (f *onnxFile) initialised(name string) error {
	if len(f.initial) == maxTensors {
		return fmt.Errorf("more than %d tensors", maxTensors)
	}
	f.initial[name] = true
	return nil
}

func (f *onnxFile) entry(message []byte) error {
	key, value, err := keyValue(message)
	if err != nil {
		return err
	}
	if len(f.metadata) >= maxMetadata || len(value) > maxValue || len(key) > maxValue {
		return fmt.Errorf("more than %d entries, or one of more than %d bytes", maxMetadata, maxValue)
	}
	f.metadata[key] = value
	return nil
}

func keyValue(message []byte) (key, value string, err error) {
	err = eachField(message, func(x field) error {
		switch x.num {
		case 1:
			key = string(x.bytes)
		case 2:
			value = string(x.bytes)
		}
		return nil
	})
	return key, value, err
}

// value reads a ValueInfoProto: a name and, for tensors, element type and shape.
func (f *onnxFile) value(message []byte, to *[]tensor) error {
	if len(*to) == maxTensors {
		return fmt.Errorf("more than %d tensors", maxTensors)
	}
	var t tensor
	err := eachField(message, func(x field) error {
		switch x.num {
		case 1:
			t.name = string(x.bytes)
		case 2: // type
			return eachField(x.bytes, func(y field) error {
				if y.num != 1 { // tensor_type
					return nil
				}
				return eachField(y.bytes, t.typeField)
			})
		}
		return nil
	})
	*to = append(*to, t)
	return err
}

func (t *tensor) typeField(x field) error {
	switch x.num {
	case 1:
		t.elem = int(x.varint)
	case 2: // shape
		t.rank = true
		return eachField(x.bytes, func(y field) error {
			if y.num != 1 { // dim
				return nil
			}
			if len(t.shape) == maxRank {
				return fmt.Errorf("tensor %.60q has more than %d dimensions", t.name, maxRank)
			}
			size := int64(dynamic)
			err := eachField(y.bytes, func(z field) error {
				if z.num == 1 && int64(z.varint) > 0 { // dim_value
					size = int64(z.varint)
				}
				return nil
			})
			t.shape = append(t.shape, size)
			return err
		})
	}
	return nil
}

// in says where in the file an error is.
func in(place string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("in %s: %w", place, err)
}
