package picture

import (
	"image"
	"image/color"
	"math"
	"sync"

	"gocv.io/x/gocv"
)

// advanceBits are the bits of a fraction of a pixel in which letters are set.
const advanceBits = 6

// glyph is one letter as shares of ink, 0..255.
type glyph struct {
	mask          []byte
	width, height int
	advance       int // to the next letter, in 1/64 pixel
}

// font holds the printable letters of ASCII in one size, drawn once by OpenCV.
type font struct {
	glyphs  [95]glyph
	height  int
	padding int
}

// fonts are the sizes, by the largest height of a picture that each is for.
var fonts = []struct {
	maxHeight int
	font      func() *font
}{
	{400, newFont(0.4, 1)},
	{600, newFont(0.5, 1)},
	{900, newFont(0.6, 1)},
	{1300, newFont(0.8, 2)},
	{1800, newFont(1.1, 2)},
	{math.MaxInt, newFont(1.6, 3)},
}

func fontFor(height int) *font {
	for _, f := range fonts {
		if height <= f.maxHeight {
			return f.font()
		}
	}
	return fonts[len(fonts)-1].font()
}

func newFont(scale float64, thickness int) func() *font {
	return sync.OnceValue(func() *font { return drawFont(scale, thickness) })
}

// drawFont draws every letter apart. Hershey's letters reach 22 units above the line and 8 below it.
func drawFont(scale float64, thickness int) *font {
	up, down := int(math.Ceil(22*scale))+thickness, int(math.Ceil(8*scale))+thickness
	f := &font{height: up + down, padding: max(1, int(2*scale+0.5))}
	for i := range f.glyphs {
		text := string(rune(' ' + i))
		f.glyphs[i] = drawGlyph(text, scale, thickness, up, f.height)
	}
	return f
}

func drawGlyph(text string, scale float64, thickness, baseline, height int) glyph {
	const face = gocv.FontHersheySimplex
	const many = 64
	long := make([]byte, many)
	for i := range long {
		long[i] = text[0]
	}
	all := gocv.GetTextSize(string(long), face, scale, thickness).X - thickness
	g := glyph{height: height, advance: all << advanceBits / many}
	g.width = g.advance>>advanceBits + 2 + thickness
	img := gocv.NewMatWithSizeFromScalar(gocv.Scalar{}, g.height, g.width, gocv.MatTypeCV8U)
	defer img.Close()
	white := color.RGBA{R: 255, G: 255, B: 255, A: 255}
	_ = gocv.PutTextWithParams(&img, text, image.Pt(0, baseline), face, scale, white, thickness, gocv.LineAA, false)
	g.mask = img.ToBytes()
	return g
}

func (f *font) glyph(r rune) *glyph {
	if r < ' ' || r > '~' {
		r = '?'
	}
	return &f.glyphs[r-' ']
}

// measure returns the even size of a label with its background.
func (f *font) measure(text string) (w, h int) {
	for i, r := range text {
		if i >= maxLabel {
			break
		}
		w += f.glyph(r).advance
	}
	w = w>>advanceBits + 2*f.padding + 1
	return (w + 1) &^ 1, (f.height + 2*f.padding + 1) &^ 1
}
