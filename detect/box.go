package detect

// box is x1, y1, x2, y2. Index axis is where it begins on an axis, 2+axis where it ends; axis 0 is x.
type box [4]float32

func centred(x, y, w, h float32) box { return box{x - w/2, y - h/2, x + w/2, y + h/2} }

func (b box) area() float32 { return (b[2] - b[0]) * (b[3] - b[1]) }
func (b box) empty() bool   { return b[2] <= b[0] || b[3] <= b[1] }

// finite tells whether the box holds numbers, and such as pictures have.
func (b box) finite() bool {
	for _, v := range b {
		if !(v > -1e6 && v < 1e6) { // NaN too
			return false
		}
	}
	return true
}

// common is the area that two boxes share.
func (b box) common(o box) float32 {
	w := min(b[2], o[2]) - max(b[0], o[0])
	h := min(b[3], o[3]) - max(b[1], o[1])
	if w <= 0 || h <= 0 {
		return 0
	}
	return w * h
}

// iou is intersection over union.
func (b box) iou(o box) float32 {
	c := b.common(o)
	return c / (b.area() + o.area() - c)
}

// ios is intersection over the smaller area.
func (b box) ios(o box) float32 { return b.common(o) / min(b.area(), o.area()) }

// agree is intersection over union on one axis alone; negative when apart.
func (b box) agree(o box, axis int) float32 {
	return (min(b[2+axis], o[2+axis]) - max(b[axis], o[axis])) / (max(b[2+axis], o[2+axis]) - min(b[axis], o[axis]))
}

func (b box) union(o box) box {
	return box{min(b[0], o[0]), min(b[1], o[1]), max(b[2], o[2]), max(b[3], o[3])}
}

func (b box) clip(to box) box {
	return box{max(b[0], to[0]), max(b[1], to[1]), min(b[2], to[2]), min(b[3], to[3])}
}

// holds tells whether o lies inside b.
func (b box) holds(o box) bool {
	return o[0] >= b[0] && o[1] >= b[1] && o[2] <= b[2] && o[3] <= b[3]
}

// near gives the sides on which b, inside o, comes as near to o's side as distance.
func (b box) near(o box, distance float32) sides {
	var s sides
	for i := range 2 {
		if b[i]-o[i] <= distance {
			s |= 1 << i
		}
		if o[2+i]-b[2+i] <= distance {
			s |= 1 << (2 + i)
		}
	}
	return s
}

// outside gives the sides on which b reaches beyond o.
func (b box) outside(o box) sides {
	var s sides
	for i := range 2 {
		if b[i] < o[i] {
			s |= 1 << i
		}
		if b[2+i] > o[2+i] {
			s |= 1 << (2 + i)
		}
	}
	return s
}

// sides is a set of sides of a box: bit i is the side whose place is box[i].
type sides uint8

const allSides sides = 15

func (s sides) has(side int) bool { return s&(1<<side) != 0 }
