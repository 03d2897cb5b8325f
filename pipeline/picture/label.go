package picture

// maxLabel is how many characters of a label are drawn.
const maxLabel = 128

// DrawLabel writes text on a background of colour c above the point (x, y), the top left corner of what it names; below
// the point where there is no room above. It is moved into the picture as far as it fits. The size follows the picture's
// height. Characters beyond ASCII are drawn as question marks.
func DrawLabel(dst *I420, x, y int, text string, c Colour) {
	if dst.check() != nil || text == "" {
		return
	}
	f := fontFor(dst.Height)
	w, h := f.measure(text)
	at := bound(Rect{X: x, Y: y})
	x, y = at.X, at.Y
	if y-h >= 0 {
		y -= h
	}
	// Even corners: every chroma sample is then wholly background or wholly not.
	x = max(0, min(x, dst.Width-w)) &^ 1
	y = max(0, min(y, dst.Height-h)) &^ 1
	pen{dst, c}.fill(Rect{x, y, w, h})
	ink := newInk(dst, c)
	pos := f.padding << advanceBits
	for i, r := range text {
		if i >= maxLabel {
			return
		}
		g := f.glyph(r)
		ink.draw(g, x+pos>>advanceBits, y+f.padding)
		pos += g.advance
	}
}

// ink mixes letters into a background: black on light colours, white on dark ones.
type ink struct {
	dst        *I420
	y          int
	background int
	u, v       int
}

func newInk(dst *I420, c Colour) ink {
	text := Colour{255, 255, 255}
	if 299*int(c.R)+587*int(c.G)+114*int(c.B) > 140*1000 {
		text = Colour{}
	}
	y, _, _ := text.yuv(dst.Matrix, dst.FullRange)
	back, u, v := c.yuv(dst.Matrix, dst.FullRange)
	return ink{dst, int(y), int(back), int(u), int(v)}
}

// draw mixes one letter in with its top left corner at (x, y), clipped to the picture. Where letters overlap the stronger
// ink stays.
func (k ink) draw(g *glyph, x, y int) {
	p := k.dst
	for j := max(0, -y); j < min(g.height, p.Height-y); j++ {
		for i := max(0, -x); i < min(g.width, p.Width-x); i++ {
			m := int(g.mask[j*g.width+i])
			if m == 0 {
				continue
			}
			at := &p.Y[(y+j)*p.StrideY+x+i]
			if k.y > k.background {
				*at = max(*at, mix(k.background, k.y, m))
			} else {
				*at = min(*at, mix(k.background, k.y, m))
			}
			k.pale((y+j)/2*p.StrideC+(x+i)/2, m)
		}
	}
}

// pale draws a chroma sample a quarter of the way to grey for a pixel that is all ink, as a mean of four pixels would.
func (k ink) pale(at, m int) {
	p := k.dst
	p.U[at] = toward128(p.U[at], k.u, m)
	p.V[at] = toward128(p.V[at], k.v, m)
}

func mix(from, to, share int) uint8 { return uint8((from*(255-share) + to*share + 127) / 255) }

func toward128(now uint8, background, share int) uint8 {
	moved := int(now) + (128-background)*share/(4*255)
	if background > 128 {
		return uint8(max(moved, 128))
	}
	return uint8(min(moved, 128))
}
