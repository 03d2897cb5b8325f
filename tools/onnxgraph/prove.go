package onnxgraph

import (
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/sightline/sightline/detect/onnx"
	"github.com/sightline/sightline/models/graph"
)

// noise is a picture that excites every part of a network: smooth patches in the range of its input.
func noise(shape []int64, top float32) onnx.Array {
	random := rand.New(rand.NewPCG(1, 2))
	h, w := int(shape[2]), int(shape[3])
	a := onnx.Array{Shape: shape, Data: make([]float32, int(shape[0]*shape[1])*h*w)}
	for plane := range int(shape[0] * shape[1]) {
		var patch [17 * 17]float32
		for i := range patch {
			patch[i] = random.Float32() * top
		}
		for i := range h * w {
			a.Data[plane*h*w+i] = patch[i/w*16/h*17+i%w*16/w]
		}
	}
	return a
}

// proveCut holds the cut network, decoded, against the whole one, and gives the head with its strides.
func proveCut(whole, cut *graph.Model, head Head, o RunOptions) (Head, error) {
	shape, err := whole.InputShape()
	if err != nil {
		return head, err
	}
	// Extended: layouts that make no difference are left alone, for a run that happens once.
	for _, top := range []float32{1, 255} {
		input := noise(shape, top)
		want, err := runOnce(whole, input, o)
		if err != nil {
			return head, err
		}
		got, err := runOnce(cut, input, o)
		if err != nil {
			return head, err
		}
		shapes := map[string][]int64{}
		for name, a := range got {
			shapes[name] = a.Shape
		}
		if err := head.order(shapes, shape); err != nil {
			return head, err
		}
		rows := head.rows(got)
		for _, a := range want {
			if err := sameNumbers(a.Data, rows); err != nil {
				return head, fmt.Errorf("%w: decoded as %s it gives something else (%w)", ErrTail, head.Family, err)
			}
		}
	}
	return head, nil
}

func runOnce(m *graph.Model, input onnx.Array, o RunOptions) (map[string]onnx.Array, error) {
	s, err := Open(m, nil, o)
	if err != nil {
		return nil, err
	}
	defer s.Close() //nolint:errcheck // frees memory
	return s.Run(input)
}

// sameNumbers allows what rounding in another order makes of sums.
func sameNumbers(a, b []float32) error {
	if len(a) != len(b) {
		return fmt.Errorf("%d numbers instead of %d", len(b), len(a))
	}
	for i := range a {
		if d := math.Abs(float64(a[i] - b[i])); d > 1e-3*(1+math.Abs(float64(a[i]))) || math.IsNaN(d) {
			return fmt.Errorf("%g instead of %g at %d", b[i], a[i], i)
		}
	}
	return nil
}

// rows decodes a head into what its family's tail gives: [cells, 5+classes], for YOLOv8 [4+classes, cells].
func (h *Head) rows(outputs map[string]onnx.Array) []float32 {
	var rows []float32
	if h.Family == YOLOv8 {
		return h.yolov8Columns(outputs)
	}
	for _, l := range h.Levels {
		if h.Family == YOLOX {
			rows = l.yoloxRows(rows, outputs)
		} else {
			rows = l.yolov5Rows(rows, outputs[l.Outputs[0]])
		}
	}
	return rows
}

func (l *Level) yoloxRows(rows []float32, outputs map[string]onnx.Array) []float32 {
	cells := len(outputs[l.Outputs[1]].Data)
	for cell := range cells {
		for i, name := range l.Outputs {
			data := outputs[name].Data
			for at := cell; at < len(data); at += cells {
				if v := data[at]; i == 0 {
					rows = append(rows, v)
				} else {
					rows = append(rows, sigmoid(v))
				}
			}
		}
	}
	return rows
}

func (l *Level) yolov5Rows(rows []float32, a onnx.Array) []float32 {
	h, w := int(a.Shape[2]), int(a.Shape[3])
	fields := int(a.Shape[1]) / len(l.Anchors)
	for n, anchor := range l.Anchors {
		for cell := range h * w {
			value := func(field int) float32 { return sigmoid(a.Data[(n*fields+field)*h*w+cell]) }
			square := func(v float32) float32 { return 4 * v * v }
			rows = append(rows,
				(2*value(0)-0.5+float32(cell%w))*float32(l.Stride), (2*value(1)-0.5+float32(cell/w))*float32(l.Stride),
				square(value(2))*anchor[0], square(value(3))*anchor[1])
			for field := 4; field < fields; field++ {
				rows = append(rows, value(field))
			}
		}
	}
	return rows
}
