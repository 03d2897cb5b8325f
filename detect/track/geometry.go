package track

import (
	"fmt"
	"math"

	"github.com/sightline/sightline/pipeline/bus"
)

// Point is a place in the frame: 0, 0 is its top left corner and 1, 1 its bottom right one.
type Point struct{ X, Y float64 }

func (p Point) validate() error {
	if !(p.X >= 0 && p.X <= 1 && p.Y >= 0 && p.Y <= 1) {
		return fmt.Errorf("point [%v, %v]: must be from 0, 0 (top left of the frame) to 1, 1", p.X, p.Y)
	}
	return nil
}

// Polygon is an area of the frame by its corners; the last one is joined with the first. What edges that cross each other enclose
// twice is outside.
type Polygon []Point

// Bounds of shapes.
const (
	MinCorners = bus.MinCorners
	MaxCorners = bus.MaxCorners
	// smallestArea of a polygon, share of the frame: about a pixel.
	smallestArea = 1e-6
	// shortestLine, in widths or heights of the frame.
	shortestLine = 1e-3
)

// Validate tells the first rule that a polygon breaks: 3 to 64 corners, all in the frame, and an area.
func (p Polygon) Validate() error {
	if len(p) < MinCorners || len(p) > MaxCorners {
		return fmt.Errorf("must have %d to %d points; found %d", MinCorners, MaxCorners, len(p))
	}
	for _, q := range p {
		if err := q.validate(); err != nil {
			return err
		}
	}
	if p.area() < smallestArea {
		return fmt.Errorf("must enclose an area")
	}
	return nil
}

// area is in frames; what is enclosed clockwise and what is enclosed counterclockwise cancel.
func (p Polygon) area() float64 {
	sum, last := 0.0, p[len(p)-1]
	for _, q := range p {
		sum += cross(last, q, Point{})
		last = q
	}
	return math.Abs(sum) / 2
}

// contains tells whether a point lies in a polygon or on its edge: feet that the frame's edge cuts off are at exactly 1, and so
// are zones that reach to it. The number of edges to the right of the point is odd inside.
func (p Polygon) contains(at Point) bool {
	in, a := false, p[len(p)-1]
	for _, b := range p {
		turn := cross(a, b, at)
		if turn == 0 && within(at.X, a.X, b.X) && within(at.Y, a.Y, b.Y) {
			return true
		}
		if (a.Y > at.Y) != (b.Y > at.Y) && (turn < 0) == (a.Y > b.Y) {
			in = !in
		}
		a = b
	}
	return in
}

// cross is positive where at lies to the right of somebody at a who looks to b, negative to the left: y points down.
func cross(a, b, at Point) float64 { return (b.X-a.X)*(at.Y-a.Y) - (b.Y-a.Y)*(at.X-a.X) }

func within(v, a, b float64) bool { return v >= min(a, b) && v <= max(a, b) }

// segment is a line in pixels: its beginning, its direction of length 1, and its length.
type segment struct {
	from   Point
	dx, dy float64
	length float64
}

// newSegment is the line between two points that differ, in pixels.
func newSegment(a, b Point) segment {
	length := math.Hypot(b.X-a.X, b.Y-a.Y)
	return segment{from: a, dx: (b.X - a.X) / length, dy: (b.Y - a.Y) / length, length: length}
}

// offset is how far to the right of the line, prolonged at both ends, a point lies; negative to the left.
func (s *segment) offset(p Point) float64 { return s.dx*(p.Y-s.from.Y) - s.dy*(p.X-s.from.X) }

// along is how far from the beginning a point lies, measured along the line.
func (s *segment) along(p Point) float64 { return s.dx*(p.X-s.from.X) + s.dy*(p.Y-s.from.Y) }

// passed tells how a step leads through the line: 1 from left to right, -1 from right to left, 0 not at all. What lies exactly
// on the line counts as right of it, so that steps that follow one another never pass it twice in the same sense.
func (s *segment) passed(from, to Point) int {
	a, b := s.offset(from), s.offset(to)
	if (a < 0) == (b < 0) {
		return 0
	}
	if b < 0 {
		return -s.passed(to, from) // by the same sums, so that the way back passes where the way there does
	}
	at := s.along(from) + (s.along(to)-s.along(from))*a/(a-b)
	if at < 0 || at > s.length {
		return 0
	}
	return 1
}

// sideOf an offset: 1 is right, -1 is left.
func sideOf(offset float64) int {
	if offset < 0 {
		return -1
	}
	return 1
}
