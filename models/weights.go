package models

import (
	"encoding/binary"
	"fmt"
	"math"
)

// maxElements bounds what one tensor may claim to hold, so that products do not overflow.
const maxElements = 1 << 32

// external says where a tensor lies that is not inside the file.
type external struct {
	tensor   string
	location string
	offset   string
	length   string
}

// weights is a TensorProto: the numbers of a network.
type weights struct {
	name     string
	elem     int
	elements int64
	raw      []byte
	hasRaw   bool
	typed    bool // numbers in fields of their own type
	nan      bool // among float_data
	outside  bool
	external external
}

// elemBytes tells the size of those element types whose raw data has one.
var elemBytes = map[int]int64{1: 4, 2: 1, 3: 1, 4: 2, 5: 2, 6: 4, 7: 8, 9: 1, 10: 2, 11: 8, 12: 4, 13: 8, 16: 2}

// tensor reads a TensorProto and holds what it claims against what it has.
func (f *onnxFile) tensor(message []byte) (*weights, error) {
	t := &weights{elements: 1}
	if err := eachField(message, t.field); err != nil {
		return t, fmt.Errorf("tensor %.60q: %w", t.name, err)
	}
	if t.outside {
		if len(f.external) == maxTensors {
			return t, fmt.Errorf("more than %d tensors in external files", maxTensors)
		}
		t.external.tensor = t.name
		f.external = append(f.external, t.external)
		return t, nil
	}
	size, known := elemBytes[t.elem]
	if t.hasRaw && known && int64(len(t.raw)) != size*t.elements {
		return t, fmt.Errorf("tensor %.60q claims %d bytes of numbers and holds %d", t.name, size*t.elements, len(t.raw))
	}
	if t.elements > 0 && !t.hasRaw && !t.typed {
		return t, fmt.Errorf("tensor %.60q claims %d numbers and holds none", t.name, t.elements)
	}
	return t, nil
}

func (t *weights) field(x field) error {
	switch x.num {
	case 1: // dims
		return x.eachVarint(t.dim)
	case 2:
		t.elem = int(x.varint)
	case 4: // float_data
		t.typed, t.nan = true, t.nan || anyNaN(x.bytes)
	case 5, 6, 7, 10, 11: // int32_data ... uint64_data
		t.typed = true
	case 8:
		t.name = string(x.bytes)
	case 9:
		t.raw, t.hasRaw = x.bytes, true
	case 13: // external_data
		return t.externalEntry(x.bytes)
	case 14: // data_location
		t.outside = t.outside || x.varint != 0
	}
	return nil
}

func (t *weights) dim(size uint64) error {
	if size > maxElements || size != 0 && t.elements > maxElements/int64(size) {
		return fmt.Errorf("claims more than %d numbers", int64(maxElements))
	}
	t.elements *= int64(size)
	return nil
}

func (t *weights) externalEntry(message []byte) error {
	key, value, err := keyValue(message)
	switch key {
	case "location":
		t.external.location, t.outside = value, true
	case "offset":
		t.external.offset = value
	case "length":
		t.external.length = value
	}
	return err
}

// finite refuses weights that are not numbers, from which a network computes nothing but more of them.
func (t *weights) finite() error {
	bad := t.nan
	switch t.elem {
	case elemFloat32:
		bad = bad || anyNaN(t.raw)
	case elemFloat16:
		for b := t.raw; len(b) >= 2 && !bad; b = b[2:] {
			bad = binary.LittleEndian.Uint16(b)&0x7fff > 0x7c00
		}
	}
	if bad {
		return fmt.Errorf("tensor %.60q holds a weight that is not a number (NaN)", t.name)
	}
	return nil
}

func anyNaN(floats []byte) bool {
	for b := floats; len(b) >= 4; b = b[4:] {
		if v := math.Float32frombits(binary.LittleEndian.Uint32(b)); v != v {
			return true
		}
	}
	return false
}
