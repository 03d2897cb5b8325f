package onnx

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	ort "github.com/yalue/onnxruntime_go"
)

// Typed is a tensor of any element type: Type is ONNX's number for it, Data is little endian, row after row.
type Typed struct {
	Type  int32
	Shape []int64
	Data  []byte
}

// RunTyped is Run for outputs that need not be float32. It refuses element types that networks for detection do not use.
func (s *GraphSession) RunTyped(input Array) (out []Typed, err error) {
	if s.session == nil {
		return nil, errors.New("run network: it is closed")
	}
	given, err := ort.NewTensor(ort.Shape(input.Shape), input.Data)
	if err != nil {
		return nil, fmt.Errorf("run network: %w", err)
	}
	defer given.Destroy() //nolint:errcheck // frees memory
	made := make([]ort.Value, s.outputs)
	defer func() { destroyAll(made) }()
	if err := s.session.Run([]ort.Value{given}, made); err != nil {
		return nil, fmt.Errorf("run network: %w", err)
	}
	for i, v := range made {
		t, err := typed(v)
		if err != nil {
			return nil, fmt.Errorf("run network: output %d: %w", i, err)
		}
		out = append(out, t)
	}
	return out, nil
}

func typed(v ort.Value) (Typed, error) {
	t := Typed{Shape: append([]int64{}, v.GetShape()...)}
	switch v := v.(type) {
	case *ort.Tensor[float32]:
		t.Type = 1
		for _, f := range v.GetData() {
			t.Data = binary.LittleEndian.AppendUint32(t.Data, math.Float32bits(f))
		}
	case *ort.Tensor[float64]:
		t.Type = 11
		for _, f := range v.GetData() {
			t.Data = binary.LittleEndian.AppendUint64(t.Data, math.Float64bits(f))
		}
	case *ort.Tensor[int64]:
		t.Type = 7
		for _, n := range v.GetData() {
			t.Data = binary.LittleEndian.AppendUint64(t.Data, uint64(n))
		}
	case *ort.Tensor[int32]:
		t.Type = 6
		for _, n := range v.GetData() {
			t.Data = binary.LittleEndian.AppendUint32(t.Data, uint32(n))
		}
	case *ort.Tensor[uint8]:
		t.Type, t.Data = 2, append(t.Data, v.GetData()...)
	case *ort.Tensor[int8]:
		t.Type = 3
		for _, n := range v.GetData() {
			t.Data = append(t.Data, byte(n))
		}
	case *ort.Tensor[bool]:
		t.Type = 9
		for _, b := range v.GetData() {
			t.Data = append(t.Data, bit(b))
		}
	default:
		return t, fmt.Errorf("its elements are of a type that is not known here (%T)", v)
	}
	return t, nil
}

func bit(b bool) byte {
	if b {
		return 1
	}
	return 0
}

// OutputTypes gives the element types of a network's outputs by name, by ONNX's numbers, as the library infers them.
func OutputTypes(library string, model []byte) (map[string]int32, error) {
	if err := load(library); err != nil {
		return nil, err
	}
	_, outputs, err := ort.GetInputOutputInfoWithONNXData(model)
	if err != nil {
		return nil, fmt.Errorf("read types of network: %w", err)
	}
	types := map[string]int32{}
	for _, o := range outputs {
		if o.OrtValueType == ort.ONNXTypeTensor {
			types[o.Name] = int32(o.DataType)
		}
	}
	return types, nil
}
