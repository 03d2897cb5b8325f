package track

import (
	"fmt"
	"math"

	"github.com/sightline/sightline/pipeline/bus"
)

// clearOfLine is how far a bottom centre must lie beside a line to be clearly on one side, in sizes of the box: more than three
// standard deviations of a detected coordinate (measureError).
const clearOfLine = 0.2

// Line is crossed by the bottom centres of objects. In is from left to right, as seen in the picture by somebody at From who looks
// to To: across a line drawn upwards it is to the right, across one drawn to the right it is downwards.
type Line struct {
	Name     string   // [A-Za-z0-9_-]{1,64}
	From, To Point    // of the frame
	Labels   []string // of the objects that count; empty: all
}

// Validate tells the first rule that a line breaks.
func (l *Line) Validate() error {
	if err := ValidateLine(l.From, l.To); err != nil {
		return fmt.Errorf("line %q: %w", l.Name, err)
	}
	return validateNamed("line", l.Name, l.Labels)
}

// ValidateLine refuses ends outside the frame, and such that are one.
func ValidateLine(from, to Point) error {
	for _, p := range [2]Point{from, to} {
		if err := p.validate(); err != nil {
			return err
		}
	}
	if math.Hypot(to.X-from.X, to.Y-from.Y) < shortestLine {
		return fmt.Errorf("must have two points that differ")
	}
	return nil
}

// crossing is what is known of one track and one line.
type crossing struct {
	side int // where it was clearly seen last: 1 right, -1 left, 0 nowhere yet
	net  int // passages of the line since, those from left to right less the others
}

// step takes in the way from one seen place to the next, and tells in which sense the line was crossed: 1 from left to right,
// -1 from right to left, 0 not. A crossing counts when the track is clearly, by margin, on the other side, and its way there led
// through the line and not around it. So a track that trembles on the line is counted once, when it has left it.
func (c *crossing) step(s *segment, from, to Point, margin float64) int {
	c.net += s.passed(from, to)
	offset := s.offset(to)
	if math.Abs(offset) < margin {
		return 0
	}
	side, sense := sideOf(offset), 0
	if c.side == -side && c.net*side > 0 {
		sense = side
	}
	c.side, c.net = side, 0
	return sense
}

// last is the step of a track that ends: from now on it is where it was last seen, however near to the line. Else who vanishes
// just behind the line, as through a door, would never be counted.
func (c *crossing) last(s *segment, at Point) int { return c.step(s, at, at, 0) }

func directionOf(sense int) bus.Direction {
	if sense > 0 {
		return bus.DirectionIn
	}
	return bus.DirectionOut
}
