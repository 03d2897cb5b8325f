package models

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// The wire types of protocol buffers that ONNX files use.
const (
	wireVarint  = 0
	wireFixed64 = 1
	wireBytes   = 2
	wireFixed32 = 5
)

// errTruncated is returned when a message ends inside a field.
var errTruncated = errors.New("truncated")

// field is one field of a message. bytes point into the message.
type field struct {
	num    int
	wire   int
	varint uint64 // of wireVarint
	bytes  []byte // of wireBytes, wireFixed32, wireFixed64
}

// eachField calls fn for every field of a protocol buffers message, in order.
func eachField(message []byte, fn func(field) error) error {
	for rest := message; len(rest) > 0; {
		f, n, err := readField(rest)
		if err != nil {
			return fmt.Errorf("at byte %d of %d: %w", len(message)-len(rest), len(message), err)
		}
		if err := fn(f); err != nil {
			return err
		}
		rest = rest[n:]
	}
	return nil
}

// readField reads the first field of b and tells how many bytes it takes.
func readField(b []byte) (field, int, error) {
	tag, n, err := readVarint(b)
	if err != nil {
		return field{}, 0, err
	}
	f := field{num: int(tag >> 3 & 0x1fffffff), wire: int(tag & 7)}
	if f.num == 0 || tag>>32 != 0 {
		return field{}, 0, fmt.Errorf("no field has the tag %d", tag)
	}
	size := uint64(0)
	switch f.wire {
	case wireVarint:
		value, m, err := readVarint(b[n:])
		f.varint = value
		return f, n + m, err
	case wireFixed64:
		size = 8
	case wireFixed32:
		size = 4
	case wireBytes:
		length, m, err := readVarint(b[n:])
		if err != nil {
			return field{}, 0, err
		}
		size, n = length, n+m
	default:
		return field{}, 0, fmt.Errorf("field %d has the unknown wire type %d", f.num, f.wire)
	}
	if left := uint64(len(b) - n); size > left {
		return field{}, 0, fmt.Errorf("field %d says it has %d bytes and %d are left: %w", f.num, size, left, errTruncated)
	}
	f.bytes = b[n : n+int(size)]
	return f, n + int(size), nil
}

func readVarint(b []byte) (uint64, int, error) {
	value, n := binary.Uvarint(b)
	switch {
	case n > 0:
		return value, n, nil
	case n == 0:
		return 0, 0, errTruncated
	}
	return 0, 0, errors.New("a number takes more than 64 bits")
}

// eachVarint calls fn for every number of a repeated field, packed or not.
func (f field) eachVarint(fn func(uint64) error) error {
	if f.wire == wireVarint {
		return fn(f.varint)
	}
	for rest := f.bytes; len(rest) > 0; {
		value, n, err := readVarint(rest)
		if err != nil {
			return err
		}
		if err := fn(value); err != nil {
			return err
		}
		rest = rest[n:]
	}
	return nil
}
