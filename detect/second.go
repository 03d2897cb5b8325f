package detect

import (
	"slices"

	"github.com/sightline/sightline/pipeline/bus"
)

// A thing that a seam of the grid cuts, and that no tile shows whole, gets a second look at a tile of its own.
const (
	maxSecond   = 8   // second looks at one frame
	secondScore = 0.2 // of a piece that is worth one
	// secondRoom is the distance from the far end of a piece to the tile's edge, in steps of the network's finest grid: the rest of the
	// tile is for what the seam cut off.
	secondRoom = 2
	// secondSide is the largest side of a piece, in sides of the tile: of what is larger a tile shows no more, and the whole frame enough.
	secondSide = 0.9
)

// second merges what the regions showed and gives the tiles for second looks; valid until the next call.
func (m *merger) second() []bus.Region {
	m.again = m.again[:0]
	if len(m.regions) < 2 {
		return m.again
	}
	m.merge()
	slices.SortFunc(m.found, byScore)
	for i := range m.found {
		c := &m.found[i]
		if len(m.again) < maxSecond && c.cut != 0 && c.score >= secondScore && !m.shown(c) {
			if r, ok := m.around(c); ok {
				m.again = append(m.again, r)
			}
		}
	}
	return m.again
}

// shown tells whether a second look shows what a seam cut off of c.
func (m *merger) shown(c *candidate) bool {
	return slices.ContainsFunc(m.again, func(r bus.Region) bool {
		tile := box(r.Box())
		return tile.holds(c.box) && c.cut&c.box.near(tile, secondRoom*m.regions[c.region].edge) == 0
	})
}

// around places a tile of the size of c's so that it shows c and as much as possible of what was cut off.
func (m *merger) around(c *candidate) (bus.Region, bool) {
	from := &m.regions[c.region]
	var at, size [2]float32
	for axis := range 2 {
		low, high := c.box[axis], c.box[2+axis]
		size[axis] = from.box[2+axis] - from.box[axis]
		if high-low > secondSide*size[axis] {
			return bus.Region{}, false
		}
		room := secondRoom * from.edge
		switch {
		case c.cut.has(axis) == c.cut.has(2+axis):
			at[axis] = (low + high - size[axis]) / 2
		case c.cut.has(axis):
			at[axis] = high + room - size[axis]
		default:
			at[axis] = low - room
		}
		at[axis] = max(0, min(at[axis], m.frame[2+axis]-size[axis]))
	}
	return bus.Region{X: int(at[0]), Y: int(at[1]), W: int(size[0]), H: int(size[1])}, true
}
