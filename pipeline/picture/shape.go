package picture

// Point is a place in pixels.
type Point struct{ X, Y int }

// DrawLine draws the line from a to b, thickness pixels wide, clipped to the picture. It does nothing to a picture whose planes
// are too short, nor with ends that are a million pixels away.
func DrawLine(dst *I420, a, b Point, c Colour, thickness int) {
	if dst.check() != nil || thickness <= 0 || a.far() || b.far() {
		return
	}
	p := pen{dst, c}
	if abs(b.X-a.X) >= abs(b.Y-a.Y) {
		first, last := min(a.X, b.X), max(a.X, b.X)
		for x := max(first, 0); x <= min(last, dst.Width-1); x++ {
			p.fill(Rect{x, between(a.X, b.X, a.Y, b.Y, x) - thickness/2, 1, thickness})
		}
		return
	}
	first, last := min(a.Y, b.Y), max(a.Y, b.Y)
	for y := max(first, 0); y <= min(last, dst.Height-1); y++ {
		p.fill(Rect{between(a.Y, b.Y, a.X, b.X, y) - thickness/2, y, thickness, 1})
	}
}

// DrawPolygon draws the outline of a polygon as DrawLine does.
func DrawPolygon(dst *I420, corners []Point, c Colour, thickness int) {
	for i := range corners {
		DrawLine(dst, corners[i], corners[(i+1)%len(corners)], c, thickness)
	}
}

// between is where the line from (u1, v1) to (u2, v2) is at u.
func between(u1, u2, v1, v2, u int) int {
	if u1 == u2 {
		return v1
	}
	return v1 + (v2-v1)*(u-u1)/(u2-u1)
}

func (p Point) far() bool { return max(abs(p.X), abs(p.Y)) > 1<<20 }

// MaxCorners of a polygon that is hatched.
const MaxCorners = 64

// Hatch darkens stripes of a polygon's inside, clipped to the picture: every stripe is a quarter of pitch wide. What edges that
// cross each other enclose twice is outside. It does nothing with more corners than MaxCorners, nor where DrawLine would not.
func Hatch(dst *I420, corners []Point, pitch int) {
	if dst.check() != nil || len(corners) > MaxCorners || pitch < 4 {
		return
	}
	top, bottom := dst.Height, 0
	for _, p := range corners {
		if p.far() {
			return
		}
		top, bottom = min(top, p.Y), max(bottom, p.Y)
	}
	var cuts [MaxCorners]int
	for y := max(top, 0); y < min(bottom, dst.Height); y++ {
		n := cutRow(corners, y, &cuts)
		for i := 0; i+1 < n; i += 2 {
			darken(dst, max(cuts[i], 0), min(cuts[i+1], dst.Width), y, pitch)
		}
	}
}

// cutRow finds where a row cuts the edges, from left to right.
func cutRow(corners []Point, y int, cuts *[MaxCorners]int) (n int) {
	for i := range corners {
		a, b := corners[i], corners[(i+1)%len(corners)]
		if (a.Y > y) == (b.Y > y) {
			continue
		}
		x, at := between(a.Y, b.Y, a.X, b.X, y), n
		for ; at > 0 && cuts[at-1] > x; at-- {
			cuts[at] = cuts[at-1]
		}
		cuts[at] = x
		n++
	}
	return n
}

// darken takes a third of the light of the stripes between x1 and x2.
func darken(dst *I420, x1, x2, y, pitch int) {
	row := dst.Y[y*dst.StrideY:]
	for x := x1; x < x2; {
		phase := (x + y) % pitch
		if phase >= pitch/4 {
			x += pitch - phase
			continue
		}
		row[x] -= row[x] / 3
		x++
	}
}
