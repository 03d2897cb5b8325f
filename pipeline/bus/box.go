package bus

// Area is in square pixels; 0 for a box whose sides are not positive.
func (b Box) Area() float64 {
	w, h := float64(b[2]-b[0]), float64(b[3]-b[1])
	if !(w > 0 && h > 0) {
		return 0
	}
	return w * h
}

// Common is the area that two boxes share, square pixels.
func (b Box) Common(o Box) float64 {
	return Box{max(b[0], o[0]), max(b[1], o[1]), min(b[2], o[2]), min(b[3], o[3])}.Area()
}

// IoU is intersection over union, 0 to 1; 0 where neither box has an area.
func (b Box) IoU(o Box) float64 {
	common := b.Common(o)
	if common == 0 {
		return 0
	}
	return common / (b.Area() + o.Area() - common)
}

// Holds tells whether o lies inside b.
func (b Box) Holds(o Box) bool {
	return o[0] >= b[0] && o[1] >= b[1] && o[2] <= b[2] && o[3] <= b[3]
}
