package graph

import (
	"encoding/binary"
	"fmt"
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// tensorParts are the places in which a tensor's data may stand.
type tensorParts struct {
	name     string
	tensor   Tensor
	floats   []float32
	ints     []int64 // int32_data and int64_data
	doubles  []byte
	raw      bool
	external bool
}

// parseTensor reads a tensor and brings its data into the raw form.
func parseTensor(data []byte) (string, *Tensor, error) {
	var p tensorParts
	if err := eachField(data, p.field); err != nil {
		return "", nil, fmt.Errorf("tensor %.60q: %w", p.name, err)
	}
	if err := p.finish(); err != nil {
		return "", nil, fmt.Errorf("tensor %.60q: %w", p.name, err)
	}
	return p.name, &p.tensor, nil
}

func (p *tensorParts) field(f field) (err error) {
	switch f.num {
	case 1:
		p.tensor.Shape, err = f.varints(p.tensor.Shape)
	case 2:
		p.tensor.Type = f.number()
	case 4:
		p.floats, err = f.floats(p.floats)
	case 5, 7:
		p.ints, err = f.varints(p.ints)
	case 6, 11:
		err = fmt.Errorf("its element type is not known here")
	case 8:
		p.name = f.text()
	case 9:
		p.tensor.Data, p.raw = append([]byte{}, f.bytes...), true
	case 10:
		p.doubles = append(p.doubles, f.bytes...)
		if f.kind == protowire.Fixed64Type {
			p.doubles = binary.LittleEndian.AppendUint64(p.doubles, f.bits)
		}
	case 14:
		p.external = f.bits == 1
	}
	return err
}

func (p *tensorParts) finish() error {
	t := &p.tensor
	if p.external {
		return errExternal
	}
	size := t.Type.Size()
	if size == 0 {
		return fmt.Errorf("element type %d is not known here: export the model in float32", t.Type)
	}
	n, err := elements(t.Shape)
	if err != nil {
		return err
	}
	switch {
	case p.raw:
	case len(p.floats) > 0 && t.Type == Float:
		t.Data = floatBytes(p.floats)
	case len(p.doubles) > 0 && t.Type == Double:
		t.Data = p.doubles
	default:
		t.Data = intBytes(p.ints, size)
	}
	if int64(len(t.Data)) != n*int64(size) {
		return fmt.Errorf("has %d bytes, but its shape %v takes %d: the file is truncated or broken", len(t.Data), t.Shape, n*int64(size))
	}
	return nil
}

// elements multiplies a shape, within limits.
func elements(shape []int64) (int64, error) {
	n := int64(1)
	if len(shape) > maxRank {
		return 0, fmt.Errorf("has %d dimensions, more than %d", len(shape), maxRank)
	}
	for _, d := range shape {
		if d < 0 || d > maxElements || n*d > maxElements {
			return 0, fmt.Errorf("shape %v: must hold at most %d elements", shape, maxElements)
		}
		n *= d
	}
	return n, nil
}

func floatBytes(v []float32) []byte {
	b := make([]byte, 0, 4*len(v))
	for _, f := range v {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(f))
	}
	return b
}

// intBytes writes the lowest bytes of each number, as the element type takes them.
func intBytes(v []int64, size int) []byte {
	b := make([]byte, 0, size*len(v))
	for _, n := range v {
		var all [8]byte
		binary.LittleEndian.PutUint64(all[:], uint64(n))
		b = append(b, all[:size]...)
	}
	return b
}

// NewFloat makes a float32 tensor.
func NewFloat(shape []int64, v []float32) *Tensor {
	return &Tensor{Type: Float, Shape: shape, Data: floatBytes(v)}
}

// NewInt64 makes an int64 tensor.
func NewInt64(shape []int64, v []int64) *Tensor {
	return &Tensor{Type: Int64, Shape: shape, Data: intBytes(v, 8)}
}

// NewInt32 makes an int32 tensor.
func NewInt32(shape []int64, v []int32) *Tensor {
	t := &Tensor{Type: Int32, Shape: shape}
	for _, n := range v {
		t.Data = binary.LittleEndian.AppendUint32(t.Data, uint32(n))
	}
	return t
}

// NewInt8 makes an int8 tensor.
func NewInt8(shape []int64, v []int8) *Tensor {
	t := &Tensor{Type: Int8, Shape: shape, Data: make([]byte, len(v))}
	for i, n := range v {
		t.Data[i] = byte(n)
	}
	return t
}

// NewUint8 makes a uint8 tensor.
func NewUint8(shape []int64, v []uint8) *Tensor {
	return &Tensor{Type: Uint8, Shape: shape, Data: append([]byte{}, v...)}
}

// Len is the number of elements.
func (t *Tensor) Len() int { return len(t.Data) / t.Type.Size() }

// Floats gives the elements of a tensor of floating point numbers as float32.
func (t *Tensor) Floats() ([]float32, error) {
	v := make([]float32, t.Len())
	for i := range v {
		switch t.Type {
		case Float:
			v[i] = math.Float32frombits(binary.LittleEndian.Uint32(t.Data[4*i:]))
		case Double:
			v[i] = float32(math.Float64frombits(binary.LittleEndian.Uint64(t.Data[8*i:])))
		case Float16:
			v[i] = halfToFloat(binary.LittleEndian.Uint16(t.Data[2*i:]))
		default:
			return nil, fmt.Errorf("element type %d holds no floating point numbers", t.Type)
		}
	}
	return v, nil
}

// Int64s gives the elements of a tensor of whole numbers.
func (t *Tensor) Int64s() ([]int64, error) {
	v := make([]int64, t.Len())
	for i := range v {
		switch t.Type {
		case Int64:
			v[i] = int64(binary.LittleEndian.Uint64(t.Data[8*i:]))
		case Int32:
			v[i] = int64(int32(binary.LittleEndian.Uint32(t.Data[4*i:])))
		case Int8:
			v[i] = int64(int8(t.Data[i]))
		case Uint8, Bool:
			v[i] = int64(t.Data[i])
		default:
			return nil, fmt.Errorf("element type %d holds no whole numbers", t.Type)
		}
	}
	return v, nil
}

// halfToFloat widens a float16 (IEEE 754 binary16).
func halfToFloat(h uint16) float32 {
	sign, exponent, fraction := uint32(h>>15)<<31, int(h>>10&31), uint32(h&0x3ff)
	switch exponent {
	case 0: // subnormal
		f := float32(fraction) / (1 << 24)
		if sign != 0 {
			f = -f
		}
		return f
	case 31:
		return math.Float32frombits(sign | 0xff<<23 | fraction<<13)
	}
	return math.Float32frombits(sign | uint32(exponent+112)<<23 | fraction<<13)
}
