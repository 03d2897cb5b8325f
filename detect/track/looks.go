package track

import (
	"slices"
	"time"

	"github.com/sightline/sightline/pipeline/bus"
)

// Under the adaptive policy a track whose place nobody looked at closely was not missed: one that stands is carried to the next
// look, one that moves is for a moment, if the last look found it.
const (
	coveredShare = 0.95 // of a box inside a tile: less, and the thing is seen as another, smaller one
	cutMargin    = 4    // pixels from a tile's edge within which a box ends there
	// largeSide of a frame is the shorter side of a box that the whole frame, scaled down to the network, shows well.
	largeSide = 1.0 / 8
	partShare = 0.6 // of a part inside the box of the whole
	// coarseOverlap with a target has another box of it that only the whole frame shows, where its network tells one thing twice.
	coarseOverlap = 0.4
	// stillOverlap with where it was a while ago has a thing that stands; detections of one jitter by less.
	stillOverlap = 0.75
	stillFor     = 200 * time.Millisecond
	// coast is how long one that moves is told of by its prediction alone: until then the prediction is good.
	coast = 500 * time.Millisecond
	// sureMargin above Config.High has the best look at a thing that is told of unseen, as ByteTrack asks of a new track: what no
	// look was surer of is there in one and gone, or another thing, in the next.
	sureMargin = 0.1
	// foundOften, and foundShare times as often as not, has a thing that is told of unseen though no look was sure of it.
	foundOften = 8
	foundShare = 4
	// plainMargin above Config.High has what any tile shows: a look that does not find it says that it is gone.
	plainMargin = 0.2
	// doubtFor, and until doubtSeen after it was seen, looks at other tiles than the one that showed it may miss what is not plain: by
	// then the plan has asked that one.
	doubtFor  = 500 * time.Millisecond
	doubtSeen = 800 * time.Millisecond
	// lookedOften without finding it: then a track has ended, however few the looks are.
	lookedOften = 3
)

// looks are the tiles of a frame that were looked at.
type looks struct {
	all   bool // every place was, as closely as the policy ever does
	frame bus.Size
	tiles []bus.Region
}

func looksOf(d *bus.Detections) looks {
	all := d.Tiles.Policy != bus.PolicyAdaptive || d.Tiles.Run >= d.Tiles.Of && d.Tiles.CoverageAge == 0
	return looks{all: all, frame: d.Frame, tiles: d.Tiles.Regions}
}

// cover tells whether a thing at b would have been found.
func (l *looks) cover(b bus.Box) bool {
	b, in := inFrame(b, l.frame)
	if l.all || !in { // what left the frame is not waited for
		return true
	}
	return l.large(b) || slices.ContainsFunc(l.tiles, func(t bus.Region) bool { return t.Box().Common(b) >= coveredShare*b.Area() })
}

// show tells whether b may be what a tile found: it does not leave it.
func (l *looks) show(b bus.Box) bool {
	return l.all || l.large(b) || slices.ContainsFunc(l.tiles, func(t bus.Region) bool { return l.inner(t, -cutMargin).Holds(b) })
}

// tile is the one that shows all of b, before where that is one of several; none where none does.
func (l *looks) tile(b bus.Box, before bus.Region) (tile bus.Region) {
	for _, t := range l.tiles {
		if l.inner(t, cutMargin).Holds(b) && (tile.W == 0 || t == before) {
			tile = t
		}
	}
	return tile
}

// large tells whether the whole frame shows a thing at b as well as a tile would.
func (l *looks) large(b bus.Box) bool {
	return min(b[2]-b[0], b[3]-b[1]) >= largeSide*float32(max(l.frame.Width, l.frame.Height))
}

// cuts tells whether b ends where a tile does, inside the frame, and no other tile shows more of it: then it is a part of a thing.
func (l *looks) cuts(b bus.Box) bool {
	cut := false
	for _, t := range l.tiles {
		if l.inner(t, cutMargin).Holds(b) {
			return false
		}
		cut = cut || l.inner(t, -cutMargin).Holds(b)
	}
	return cut
}

// inner is a tile without a margin where it ends inside the frame.
func (l *looks) inner(t bus.Region, margin float32) bus.Box {
	b := t.Box()
	for i, edge := range [4]int{0, 0, l.frame.Width, l.frame.Height} {
		if b[i] == float32(edge) {
			continue
		}
		if i < 2 {
			b[i] += margin
		} else {
			b[i] -= margin
		}
	}
	return b
}

// partOfKnown tells whether an object is a part, cut by a tile, of a target whose place was not looked at as a whole.
func (t *Tracker) partOfKnown(o *bus.Object) bool {
	if !t.looks.cuts(o.Box) {
		return false
	}
	for i := range t.targets {
		g := &t.targets[i]
		if g.object.Label == o.Label && o.Box.Common(g.predicted) >= partShare*o.Box.Area() && !t.looks.cover(g.predicted) {
			return true
		}
	}
	return false
}

// coarseDouble tells whether an object that no close look shows is a second box of a target that is known. A close look would tell
// two things from one, so until there is one no track begins.
func (t *Tracker) coarseDouble(o *bus.Object) bool {
	if t.looks.show(o.Box) {
		return false
	}
	for i := range t.targets {
		g := &t.targets[i]
		if g.object.Label == o.Label && max(o.Box.IoU(g.predicted), o.Box.IoU(g.object.Box)) >= coarseOverlap {
			return true
		}
	}
	return false
}

// anchor notes since when a target is where it was just seen.
func (g *target) anchor(now time.Time) {
	if g.hits == 0 || g.anchored.IoU(g.object.Box) < stillOverlap {
		g.anchored, g.since = g.object.Box, now
	}
}

// still tells whether a target stood when it was last seen.
func (g *target) still() bool { return g.seen.Sub(g.since) >= stillFor }

// doubts tells whether looks at a target's place that did not find it prove nothing yet: it is not plain, it stands, and the tile that
// showed it was not looked at.
func (t *Tracker) doubts(g *target) bool {
	plain := g.best >= min(t.cfg.High+plainMargin, 1) || t.looks.large(g.predicted)
	if t.looks.all || plain || g.id == 0 || !g.still() || g.tile.W == 0 || slices.Contains(t.looks.tiles, g.tile) {
		return false
	}
	if g.doubted.IsZero() {
		g.doubted = t.now
	}
	return t.now.Sub(g.doubted) <= doubtFor || t.now.Sub(g.seen) <= doubtSeen
}

// believed tells whether a target is told of that nobody looks at.
func (t *Tracker) believed(g *target) bool {
	sure := g.best >= min(t.cfg.High+sureMargin, 1) || g.hits >= foundOften && g.hits >= foundShare*g.vain
	known := g.still() || t.now.Sub(g.seen) <= coast
	return g.misses == 0 && sure && known
}

// carry tells of a target whose place nobody looked at in this frame.
func (t *Tracker) carry(g *target) {
	if !t.believed(g) {
		return
	}
	o := bus.TrackObject{Object: g.object, TrackID: g.id, Predicted: g.object.Box, Carried: true, Zones: g.visit.zones, Rest: g.rest.message()}
	if !g.still() {
		o.Box, o.Predicted = atEdge(g.predicted, t.frame), atEdge(g.box(t.step), t.frame)
	}
	t.out = append(t.out, o)
}

// over tells whether a target has ended.
func (t *Tracker) over(g *target) bool {
	gone := t.now.Sub(g.seen)
	if gone <= t.cfg.Lost {
		return false
	}
	return g.blind == 0 || g.misses >= lookedOften || gone > t.cfg.Carry
}
