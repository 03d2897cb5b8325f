package calibrate

import (
	"context"
	"math"

	"github.com/sightline/sightline/detect/onnx"
)

// Album holds prepared pictures, a byte for each number, since that is what they were made of. It belongs to one goroutine.
type Album struct {
	shape    []int64
	pictures [][]byte
	scale    float32
	buffer   []float32
}

// Album reads all pictures of a set. shape is the network's input, [1, 3, height, width].
func (s *Set) Album(ctx context.Context, shape []int64) (*Album, error) {
	a := &Album{shape: shape, scale: s.scale, buffer: make([]float32, shape[0]*shape[1]*shape[2]*shape[3])}
	err := s.Each(ctx, func(_ int, input []float32) error {
		bytes := make([]byte, len(input))
		for j, v := range input {
			bytes[j] = byte(min(255, max(0, math.Round(float64(v/a.scale)))))
		}
		a.pictures = append(a.pictures, bytes)
		return nil
	})
	return a, err
}

// Len is the number of pictures.
func (a *Album) Len() int { return len(a.pictures) }

// At gives a picture as the network takes it, valid until the next one is asked for.
func (a *Album) At(i int) onnx.Array {
	for j, b := range a.pictures[i] {
		a.buffer[j] = float32(b) * a.scale
	}
	return onnx.Array{Shape: a.shape, Data: a.buffer}
}

// Shape is that of every picture, [1, 3, height, width].
func (a *Album) Shape() []int64 { return a.shape }

// Crop copies a part of a picture, mirrored or not, into to, [3, height, width].
func (a *Album) Crop(to []float32, i, top, left, height, width int, mirrored bool) {
	h, w := int(a.shape[2]), int(a.shape[3])
	for c := range int(a.shape[1]) {
		for y := range height {
			from := a.pictures[i][(c*h+top+y)*w+left:]
			row := to[(c*height+y)*width : (c*height+y+1)*width]
			for x := range row {
				at := x
				if mirrored {
					at = width - 1 - x
				}
				row[x] = float32(from[at]) * a.scale
			}
		}
	}
}
