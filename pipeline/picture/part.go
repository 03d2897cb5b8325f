package picture

import "fmt"

// leastPart is the least side of a part, pixels.
const leastPart = 16

// Part gives the part of src that r names, in the memory of src. It is moved to even pixels, so that the chroma fits, clipped to
// the picture, and widened to 16 pixels where it is smaller. A part of a picture whose planes are too short, or whose sides are
// below that, is an error.
func Part(src *I420, r Rect) (I420, error) {
	if err := src.check(); err != nil {
		return I420{}, fmt.Errorf("take part of a picture: %w", err)
	}
	if src.Width < leastPart || src.Height < leastPart {
		return I420{}, fmt.Errorf("take part of a picture of %dx%d: it must have at least %dx%d pixels", src.Width, src.Height, leastPart, leastPart)
	}
	r = bound(r)
	x1, x2 := reach(r.X, r.W, src.Width)
	y1, y2 := reach(r.Y, r.H, src.Height)
	p := *src
	p.Width, p.Height = x2-x1, y2-y1
	p.Y = src.Y[y1*src.StrideY+x1:]
	p.U, p.V = src.U[y1/2*src.StrideC+x1/2:], src.V[y1/2*src.StrideC+x1/2:]
	return p, nil
}

// reach is where a part of n pixels from at begins, an even number, and where it ends, within a side.
func reach(at, n, side int) (from, to int) {
	from, to = max(at, 0)&^1, min(at+n, side)
	if to-from < leastPart {
		from = max(min(from, side-leastPart), 0) &^ 1
		to = min(from+leastPart, side)
	}
	return from, to
}
