package detect

import (
	"slices"

	"github.com/sightline/sightline/pipeline/bus"
	"github.com/sightline/sightline/pipeline/picture"
)

// The merge across regions, tuned on principle and measured on 4K mosaics (see accuracy_test.go).
const (
	// edge is how near to a border a box counts as cut by it, in pixels of the network's input: one step of its finest grid.
	edge = 8
	// coarser is how much the pixels of a region must be larger than those of another for what it shows to be coarser.
	coarser = 1.05
	// sameExtent is how much two pieces must agree along the seam between them, as intersection over union, to be one object.
	sameExtent = 0.75
	// pieceInside is the share of a piece that lies inside a whole object of its class when it is a piece of that.
	pieceInside = 0.7
	// wholeScore is the share of a piece's score that the whole object must have to be believed.
	wholeScore = 0.3
	// sameSeen is the intersection over union from which two regions saw one object: what one network in one look tells apart may
	// overlap by more, but two looks at one object, of which one may be coarse, overlap by less.
	sameSeen = 0.5
	// coarseSeen is the same where one of the regions is the whole frame: its boxes may be larger by a step of its grid on each side.
	coarseSeen = 0.4
)

// merger puts together what was found in the regions of one frame. Tiles overlap, so the same object is seen several times, and
// tile borders cut objects. Three kinds of boxes come of that, and each is dealt with by a rule of its own, class by class:
//
//   - A cut piece of an object that another tile sees whole is dropped, without asking what that tile found there: it sees more.
//   - Pieces of an object larger than the overlap are joined over the seam, where both end at facing borders and agree along it;
//     and a piece that lies inside a whole object is dropped.
//   - Boxes of the same object as a whole overlap much: the best is kept.
type merger struct {
	iou     float32
	frame   box
	regions []region
	found   []candidate // in pixels of the frame
	parent  []int32     // of pieces: the piece that it is joined with, itself for none
	merged  bool        // nothing was found since merge
	again   []bus.Region
}

// region is where a candidate was found.
type region struct {
	box  box
	edge float32 // in pixels of the frame
}

func (m *merger) begin(width, height int) {
	m.frame = box{0, 0, float32(width), float32(height)}
	m.regions, m.found, m.merged = m.regions[:0], m.found[:0], false
}

// extend adds a region that is looked at too, at a scale.
func (m *merger) extend(at bus.Region, scale float32) {
	m.regions, m.merged = append(m.regions, region{box(at.Box()), edge / scale}), false
}

// place takes candidates from the network's input to the frame, clipped to their region. Regions may be placed at the same time.
func (m *merger) place(found []candidate, index int, t picture.Transform) {
	r := &m.regions[index]
	for i := range found {
		c := &found[i]
		c.box = box(t.Inverse(c.box)).clip(r.box)
		c.region = int32(index)
		c.coarse = len(m.regions) > 1 && r.box == m.frame
		c.cut = r.inner(m.frame) & c.box.near(r.box, r.edge)
	}
}

// inner gives the sides of a region behind which the frame goes on.
func (r *region) inner(frame box) sides { return allSides &^ r.box.near(frame, 0) }

// merge leaves one candidate for every object, in no order.
func (m *merger) merge() {
	if m.merged {
		return
	}
	m.merged = true
	m.found = slices.DeleteFunc(m.found, func(c candidate) bool { return c.box.empty() })
	if len(m.regions) < 2 {
		return // the lane has already kept the best
	}
	m.found = slices.DeleteFunc(m.found, m.seenWhole)
	slices.SortFunc(m.found, byClass)
	m.join()
	m.dropPieces() // before a piece with a high score can suppress the whole
	m.found = suppress(m.found, m.iou, min(m.iou, sameSeen))
}

// seenWhole tells whether a candidate is a piece that a region of the same or a finer scale sees with room on every side that is
// cut.
func (m *merger) seenWhole(c candidate) bool {
	if c.cut == 0 {
		return false
	}
	own := m.regions[c.region]
	for i := range m.regions {
		r := &m.regions[i]
		if int32(i) == c.region || r.edge > coarser*own.edge || !r.box.holds(c.box) {
			continue
		}
		if c.cut&r.inner(m.frame)&c.box.near(r.box, own.edge) == 0 {
			return true
		}
	}
	return false
}

// join puts pieces of one object together, over any number of seams. found is ordered by class.
func (m *merger) join() {
	m.parent = m.parent[:0]
	for i := range m.found {
		m.parent = append(m.parent, int32(i))
	}
	for i := range m.found {
		if m.found[i].cut == 0 {
			continue
		}
		for j := i + 1; j < len(m.found) && m.found[j].class == m.found[i].class; j++ {
			if m.pieces(&m.found[i], &m.found[j]) {
				a, b := m.root(int32(i)), m.root(int32(j))
				m.parent[max(a, b)] = min(a, b) // the first is the best
			}
		}
	}
	m.takeIn()
}

// root follows a piece to the best of those that it is joined with.
func (m *merger) root(i int32) int32 {
	for m.parent[i] != i {
		m.parent[i] = m.parent[m.parent[i]]
		i = m.parent[i]
	}
	return i
}

// takeIn gives the best of joined pieces the box of all, and drops the others.
func (m *merger) takeIn() {
	for i := range m.found {
		if root := m.root(int32(i)); root != int32(i) {
			best, c := &m.found[root], &m.found[i]
			best.cut = best.cut&^c.box.outside(best.box) | c.cut&c.box.outside(best.box)
			best.box = best.box.union(c.box)
			c.region = gone
		}
	}
	m.found = slices.DeleteFunc(m.found, func(c candidate) bool { return c.region == gone })
}

// gone marks a candidate that is part of another.
const gone = -1

// pieces tells whether two candidates of one class are pieces of one object: one ends at a border that lies inside the other's
// region and the other way round, they overlap, and they agree along the seam.
func (m *merger) pieces(a, b *candidate) bool {
	for axis := range 2 {
		first, second := a, b
		if m.regions[b.region].box[axis] < m.regions[a.region].box[axis] {
			first, second = b, a
		}
		r, s := &m.regions[first.region].box, &m.regions[second.region].box
		facing := first.cut.has(2+axis) && second.cut.has(axis)
		meet := r[axis] < s[axis] && s[axis] < r[2+axis] && first.box[2+axis] > second.box[axis]
		if facing && meet && first.box.agree(second.box, 1-axis) >= sameExtent {
			return true
		}
	}
	return false
}

// dropPieces drops what is left of pieces inside whole objects, which are those that a coarser region saw or pieces make.
func (m *merger) dropPieces() {
	for i := range m.found {
		c := &m.found[i]
		if c.cut == 0 {
			continue
		}
		for j := range m.found {
			whole := &m.found[j]
			if whole.cut != 0 || whole.class != c.class || whole.score < wholeScore*c.score || whole.box.area() <= c.box.area() {
				continue
			}
			if c.box.ios(whole.box) > pieceInside {
				c.region = gone
				break
			}
		}
	}
	m.found = slices.DeleteFunc(m.found, func(c candidate) bool { return c.region == gone })
}

// objects merges and gives the objects of the frame that pass their filters, the best first.
func (m *merger) objects(labels []string, filters []Filter) []bus.Object {
	m.merge()
	slices.SortFunc(m.found, byScore)
	objects := make([]bus.Object, 0, len(m.found))
	for _, c := range m.found {
		f, area := filters[c.class], c.box.area()
		if area < f.MinArea || f.MaxArea > 0 && area > f.MaxArea {
			continue
		}
		objects = append(objects, bus.Object{Label: labels[c.class], ClassID: int(c.class), Score: c.score, Box: bus.Box(c.box)})
	}
	return objects
}
