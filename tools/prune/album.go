package prune

import (
	"context"
	"math"

	"github.com/sightline/sightline/detect/onnx"
	"github.com/sightline/sightline/tools/calibrate"
)

// album holds prepared pictures, a byte for each number, since that is what they were made of.
type album struct {
	shape    []int64
	pictures [][]byte
	scale    float32
	buffer   []float32
}

func newAlbum(ctx context.Context, set *calibrate.Set, shape []int64) (*album, error) {
	a := &album{shape: shape, scale: 1, buffer: make([]float32, shape[0]*shape[1]*shape[2]*shape[3])}
	err := set.Each(ctx, func(i int, input []float32) error {
		if i == 0 {
			a.scale = scaleOf(input)
		}
		bytes := make([]byte, len(input))
		for j, v := range input {
			bytes[j] = byte(min(255, max(0, math.Round(float64(v/a.scale)))))
		}
		a.pictures = append(a.pictures, bytes)
		return nil
	})
	return a, err
}

// scaleOf tells whether a network takes 0 to 1 or 0 to 255; no picture has a top between.
func scaleOf(input []float32) float32 {
	for _, v := range input {
		if v > 1 {
			return 1
		}
	}
	return 1.0 / 255
}

// at gives a picture as the network takes it, valid until the next one is asked for.
func (a *album) at(i int) onnx.Array {
	for j, b := range a.pictures[i] {
		a.buffer[j] = float32(b) * a.scale
	}
	return onnx.Array{Shape: a.shape, Data: a.buffer}
}

// crop copies a part of a picture, mirrored or not, into to, [3, height, width].
func (a *album) crop(to []float32, i, top, left, height, width int, mirrored bool) {
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
