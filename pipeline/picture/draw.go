package picture

import "math"

// ColourOf returns the colour of a class: the same in every process, and far from those of the classes beside it.
func ColourOf(classID int) Colour {
	const golden = 0.6180339887498949 // the turn of the hue that never comes near an earlier one
	hue := math.Mod(math.Abs(float64(classID))*golden+0.33, 1)
	value := []float64{1, 0.85, 0.95}[abs(classID)%3]
	return fromHSV(hue, 0.85, value)
}

func fromHSV(hue, saturation, value float64) Colour {
	part := func(turn float64) uint8 {
		k := math.Mod(turn+hue*6, 6)
		return toByte(255 * (value - value*saturation*max(0, min(k, 4-k, 1))))
	}
	return Colour{part(5), part(3), part(1)}
}

func abs(n int) int {
	if n < 0 {
		return -n
	}
	return n
}

// DrawBox draws the outline of r, thickness pixels wide to its inside, clipped to the picture. It does nothing to a
// picture whose planes are too short.
func DrawBox(dst *I420, r Rect, c Colour, thickness int) {
	r = bound(r)
	if dst.check() != nil || r.W <= 0 || r.H <= 0 || thickness <= 0 {
		return
	}
	t := min(thickness, (r.W+1)/2, (r.H+1)/2)
	p := pen{dst, c}
	p.fill(Rect{r.X, r.Y, r.W, t})
	p.fill(Rect{r.X, r.Y + r.H - t, r.W, t})
	p.fill(Rect{r.X, r.Y + t, t, r.H - 2*t})
	p.fill(Rect{r.X + r.W - t, r.Y + t, t, r.H - 2*t})
}

// bound keeps a rectangle's numbers small enough to be added up, without changing what is seen of it.
func bound(r Rect) Rect {
	const far = 1 << 20
	x1, y1 := min(max(r.X, -far), far), min(max(r.Y, -far), far)
	return Rect{x1, y1, min(r.W, 2*far), min(r.H, 2*far)}
}

// pen paints rectangles of one colour.
type pen struct {
	dst    *I420
	colour Colour
}

// fill paints r clipped to the picture. A chroma sample that r shares with others takes its colour.
func (p pen) fill(r Rect) {
	x1, y1 := max(r.X, 0), max(r.Y, 0)
	x2, y2 := min(r.X+r.W, p.dst.Width), min(r.Y+r.H, p.dst.Height)
	if x1 >= x2 || y1 >= y2 {
		return
	}
	y, u, v := p.colour.yuv(p.dst.Matrix, p.dst.FullRange)
	fillRows(p.dst.Y, p.dst.StrideY, x1, y1, x2, y2, y)
	x1, y1, x2, y2 = x1/2, y1/2, chromaSide(x2), chromaSide(y2)
	fillRows(p.dst.U, p.dst.StrideC, x1, y1, x2, y2, u)
	fillRows(p.dst.V, p.dst.StrideC, x1, y1, x2, y2, v)
}

func fillRows(plane []byte, stride, x1, y1, x2, y2 int, v uint8) {
	for y := y1; y < y2; y++ {
		row := plane[y*stride+x1 : y*stride+x2]
		for i := range row {
			row[i] = v
		}
	}
}
