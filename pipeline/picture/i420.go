// Package picture holds pictures as I420 planes and does everything that touches pixels: JPEG, scaling, model input, drawing.
package picture

import "fmt"

// Matrix names the coefficients between RGB and YCbCr.
type Matrix uint8

// The matrices that cameras use.
const (
	BT601 Matrix = iota
	BT709
)

// maxSide bounds what is worked on, in pixels: everything here counts in 32 bits.
const maxSide = 16384

// I420 is a planar 4:2:0 picture. Chroma planes are (Width+1)/2 by (Height+1)/2. The planes may lie in shared memory:
// whoever made the picture says how long they are valid.
type I420 struct {
	Width, Height    int
	Y, U, V          []byte
	StrideY, StrideC int // bytes from row to row
	Matrix           Matrix
	FullRange        bool // 0-255 as in JPEG, else 16-235/240 as in most video
}

// Rect is a rectangle in pixels.
type Rect struct{ X, Y, W, H int }

// New returns a picture of w by h, all zero, with its planes in one piece of Go memory. Rows are padded to a multiple of 32
// bytes and a last odd row is followed by a spare one. It panics when a side is not positive or beyond 16384.
func New(w, h int) *I420 {
	if w <= 0 || h <= 0 || w > maxSide || h > maxSide {
		panic(fmt.Sprintf("picture.New: a picture cannot be %dx%d", w, h))
	}
	p := &I420{}
	p.allocate(w, h)
	return p
}

// allocate gives p new planes. Their capacities end where they end, so that no append runs from one into the next.
func (p *I420) allocate(w, h int) {
	p.Width, p.Height = w, h
	p.StrideC = (chromaSide(w) + 15) &^ 15
	p.StrideY = 2 * p.StrideC
	c := p.StrideC * chromaSide(h)
	y := 4 * c
	all := make([]byte, y+2*c)
	p.Y, p.U, p.V = all[:y:y], all[y:y+c:y+c], all[y+c:]
}

// fit makes p a picture of w by h whose luma plane holds at least padW by padH. It keeps planes that are long enough, and
// their strides where they fit; it never shortens a slice, so that a picture that shrinks can grow again.
func (p *I420) fit(w, h, padW, padH int) {
	cw, ch := chromaSide(w), chromaSide(h)
	if p.StrideY < padW || p.StrideC < cw || p.StrideY*padH > len(p.Y) {
		p.StrideC = (cw + 15) &^ 15
		p.StrideY = max(2*p.StrideC, padW)
	}
	p.Width, p.Height = w, h
	if len(p.Y) < p.StrideY*padH || len(p.U) < p.StrideC*ch || len(p.V) < p.StrideC*ch {
		p.allocate(w, h)
	}
}

// check tells whether the planes hold what the sizes say. C trusts it.
func (p *I420) check() error {
	switch cw, ch := chromaSide(p.Width), chromaSide(p.Height); {
	case p.Width <= 0 || p.Height <= 0 || p.Width > maxSide || p.Height > maxSide:
		return fmt.Errorf("a picture cannot be %dx%d", p.Width, p.Height)
	case p.StrideY < p.Width || p.StrideC < cw:
		return fmt.Errorf("strides %d and %d are too short for %dx%d", p.StrideY, p.StrideC, p.Width, p.Height)
	case len(p.Y) < p.StrideY*(p.Height-1)+p.Width:
		return fmt.Errorf("luma plane of %d bytes is too short for %dx%d with stride %d", len(p.Y), p.Width, p.Height, p.StrideY)
	case min(len(p.U), len(p.V)) < p.StrideC*(ch-1)+cw:
		return fmt.Errorf("chroma planes of %d and %d bytes are too short for %dx%d with stride %d",
			len(p.U), len(p.V), p.Width, p.Height, p.StrideC)
	case p.Matrix > BT709:
		return fmt.Errorf("matrix %d is unknown", p.Matrix)
	}
	return nil
}

func chromaSide(n int) int { return (n + 1) / 2 }
