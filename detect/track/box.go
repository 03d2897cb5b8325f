package track

import (
	"math"

	"github.com/sightline/sightline/pipeline/bus"
)

// inFrame cuts a box to the frame; false where it is not made of numbers or nothing of it lies in the frame.
func inFrame(b bus.Box, frame bus.Size) (bus.Box, bool) {
	for _, v := range b {
		if f := float64(v); math.IsNaN(f) || math.IsInf(f, 0) {
			return bus.Box{}, false
		}
	}
	w, h := float32(frame.Width), float32(frame.Height)
	b = bus.Box{clamp(b[0], 0, w), clamp(b[1], 0, h), clamp(b[2], 0, w), clamp(b[3], 0, h)}
	return b, b[2] > b[0] && b[3] > b[1]
}

// atEdge cuts a box to the frame and leaves at least a pixel of it, at the edge where it left. The frame has a pixel.
func atEdge(b bus.Box, frame bus.Size) bus.Box {
	w, h := float32(frame.Width), float32(frame.Height)
	b[0], b[1] = clamp(b[0], 0, w-1), clamp(b[1], 0, h-1)
	b[2], b[3] = clamp(b[2], b[0]+1, w), clamp(b[3], b[1]+1, h)
	return b
}

func clamp(v, low, high float32) float32 { return min(max(v, low), high) }

// centre returns the centre and the size of a box.
func centre(b bus.Box) (cx, cy, w, h float64) {
	x1, y1, x2, y2 := float64(b[0]), float64(b[1]), float64(b[2]), float64(b[3])
	return (x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1
}
