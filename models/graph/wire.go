package graph

import (
	"fmt"
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// field is one field of a message; bytes point into the message.
type field struct {
	num   protowire.Number
	kind  protowire.Type
	bits  uint64 // of numbers
	bytes []byte // of the rest
}

// eachField calls fn for every field of a message, in order.
func eachField(message []byte, fn func(field) error) error {
	for rest := message; len(rest) > 0; {
		num, kind, n := protowire.ConsumeTag(rest)
		if n < 0 {
			return fmt.Errorf("at byte %d of %d: %w", len(message)-len(rest), len(message), protowire.ParseError(n))
		}
		f := field{num: num, kind: kind}
		rest = rest[n:]
		switch kind {
		case protowire.VarintType:
			f.bits, n = protowire.ConsumeVarint(rest)
		case protowire.Fixed32Type:
			var v uint32
			v, n = protowire.ConsumeFixed32(rest)
			f.bits = uint64(v)
		case protowire.Fixed64Type:
			f.bits, n = protowire.ConsumeFixed64(rest)
		case protowire.BytesType:
			f.bytes, n = protowire.ConsumeBytes(rest)
		default:
			n = protowire.ConsumeFieldValue(num, kind, rest)
		}
		if n < 0 {
			return fmt.Errorf("field %d at byte %d of %d: %w", num, len(message)-len(rest), len(message), protowire.ParseError(n))
		}
		if err := fn(f); err != nil {
			return err
		}
		rest = rest[n:]
	}
	return nil
}

func (f field) text() string     { return string(f.bytes) }
func (f field) int() int64       { return int64(f.bits) }
func (f field) float() float32   { return math.Float32frombits(uint32(f.bits)) }
func (f field) number() DataType { return DataType(int32(f.bits)) }

// varints appends the numbers of a repeated field, packed or not.
func (f field) varints(to []int64) ([]int64, error) {
	if f.kind == protowire.VarintType {
		return append(to, int64(f.bits)), nil
	}
	for rest := f.bytes; len(rest) > 0; {
		v, n := protowire.ConsumeVarint(rest)
		if n < 0 {
			return nil, fmt.Errorf("field %d: %w", f.num, protowire.ParseError(n))
		}
		to, rest = append(to, int64(v)), rest[n:]
	}
	return to, nil
}

// floats appends the numbers of a repeated field, packed or not.
func (f field) floats(to []float32) ([]float32, error) {
	if f.kind == protowire.Fixed32Type {
		return append(to, f.float()), nil
	}
	for rest := f.bytes; len(rest) > 0; {
		v, n := protowire.ConsumeFixed32(rest)
		if n < 0 {
			return nil, fmt.Errorf("field %d: %w", f.num, protowire.ParseError(n))
		}
		to, rest = append(to, math.Float32frombits(v)), rest[n:]
	}
	return to, nil
}

// message is a protocol buffers message being written. Fields that hold their default are left out.
type message []byte

func (m *message) varint(num protowire.Number, v int64) {
	if v != 0 {
		*m = protowire.AppendVarint(protowire.AppendTag(*m, num, protowire.VarintType), uint64(v))
	}
}

func (m *message) text(num protowire.Number, s string) {
	if s != "" {
		m.bytes(num, []byte(s))
	}
}

// bytes writes a field also when it is empty.
func (m *message) bytes(num protowire.Number, b []byte) {
	*m = protowire.AppendBytes(protowire.AppendTag(*m, num, protowire.BytesType), b)
}

func (m *message) float(num protowire.Number, v float32) {
	*m = protowire.AppendFixed32(protowire.AppendTag(*m, num, protowire.Fixed32Type), math.Float32bits(v))
}

func (m *message) varints(num protowire.Number, list []int64) {
	for _, v := range list {
		*m = protowire.AppendVarint(protowire.AppendTag(*m, num, protowire.VarintType), uint64(v))
	}
}
