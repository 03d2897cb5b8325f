package models

import (
	"encoding/binary"
	"math"
	"slices"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
)

// The helpers below write ONNX files field by field, so that one field can be wrong. They share nothing with the reader.

func number(field protowire.Number, v uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(nil, field, protowire.VarintType), v)
}

func message(field protowire.Number, parts ...[]byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(nil, field, protowire.BytesType), slices.Concat(parts...))
}

func text(field protowire.Number, s string) []byte { return message(field, []byte(s)) }

// value is a ValueInfoProto; a size of -1 has a name instead.
func value(field protowire.Number, name string, elem uint64, shape ...int64) []byte {
	var sizes [][]byte
	for _, n := range shape {
		size := number(1, uint64(n))
		if n == dynamic {
			size = text(2, "n")
		}
		sizes = append(sizes, message(1, size))
	}
	return message(field, text(1, name), message(2, message(1, number(1, elem), message(2, sizes...))))
}

func input(name string, elem uint64, shape ...int64) []byte  { return value(11, name, elem, shape...) }
func output(name string, elem uint64, shape ...int64) []byte { return value(12, name, elem, shape...) }

func entry(field protowire.Number, key, value string) []byte {
	return message(field, text(1, key), text(2, value))
}

// network is an ONNX file in parts.
type network struct {
	graph    [][]byte
	metadata [][]byte
	more     [][]byte
}

// yoloxNet is sound: [N, 3, 64, 64] in, 84 cells of 3 classes out.
func yoloxNet() *network {
	return &network{
		graph:    [][]byte{input("images", elemFloat32, dynamic, 3, 64, 64), output("boxes", elemFloat32, dynamic, 84, 8)},
		metadata: [][]byte{entry(14, "names", "['a', 'b', 'c']")},
	}
}

// with puts parts into the graph.
func (n *network) with(parts ...[]byte) *network {
	n.graph = append(n.graph, parts...)
	return n
}

// meta puts an entry into the metadata.
func (n *network) meta(key, value string) *network {
	n.metadata = append(n.metadata, entry(14, key, value))
	return n
}

func (n *network) bytes() []byte {
	return slices.Concat(number(1, 8), message(8, number(2, 13)), message(7, n.graph...), slices.Concat(n.metadata...), slices.Concat(n.more...))
}

// floats are raw data of a tensor.
func floats(values ...float32) []byte {
	var b []byte
	for _, v := range values {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
	}
	return b
}

// tensorParts are the fields of a TensorProto without its numbers.
func tensorParts(name string, elem uint64, dims ...uint64) []byte {
	b := slices.Concat(number(2, elem), text(8, name))
	for _, d := range dims {
		b = append(b, number(1, d)...)
	}
	return b
}

func TestTheNetworkThatIsMadeWrongElsewhereIsSound(t *testing.T) {
	sound := yoloxNet().with(
		message(5, tensorParts("raw", elemFloat32, 2), message(9, floats(1, 2))),
		message(5, tensorParts("typed", elemFloat32, 2), message(4, floats(1, 2))),
		message(5, tensorParts("scalar", 7), message(7, []byte{3})),
		message(5, tensorParts("none", elemFloat32, 0, 3)),
		message(5, message(1, []byte{2, 1}), tensorParts("packed", elemFloat16), message(9, make([]byte, 4))),
		message(15, message(1, tensorParts("sparse", elemFloat32, 1), message(9, floats(1))), message(2, tensorParts("", 7, 1), message(7, []byte{0}))),
		input("raw", elemFloat32, 2), input("sparse", elemFloat32, 9), // old files list initialisers among the inputs
	)
	s, err := Load(save(t, sound.bytes(), ""))
	if err != nil {
		t.Fatal(err)
	}
	if s.Family != YOLOX || s.Input != "images" || s.Output != "boxes" || s.Source != FromMetadata || !slices.Equal(s.Labels, []string{"a", "b", "c"}) {
		t.Errorf("%+v", s)
	}
	if got := s.InputShape(2); !slices.Equal(got, []int64{2, 3, 64, 64}) {
		t.Errorf("input shape %v", got)
	}
	if got := s.Outputs(2); len(got) != 1 || got[0].Name != "boxes" || !slices.Equal(got[0].Shape, []int64{2, 84, 8}) {
		t.Errorf("outputs %v", got)
	}
}
