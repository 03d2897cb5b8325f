package ingest

import (
	"slices"
	"time"

	"github.com/sightline/sightline/pipeline/bus"
)

const (
	maxNews = 64 // of a camera at one time; of more, the sweep takes care
	// newsMisses is how many looks in a row may fail to find a new object: then it was none.
	newsMisses = 2
	// newsLooks is how many looks may find one of which no track begins: then it is looked at no more often than what is unsure.
	newsLooks = 8
	// newsStale is how long one is waited for that nobody looks at.
	newsStale = 2 * time.Second
	// knownOverlap is the intersection over union from which an object is one that is known already.
	knownOverlap = 0.3
)

// newcomer is an object that no track is known of yet.
type newcomer struct {
	box    bus.Box
	seen   time.Time
	looks  int // that found it
	misses int
	tile   bus.Region // of the grid, that found it; none where none did
}

// inVain tells whether looks find it again and again, and no track begins.
func (c *newcomer) inVain() bool { return c.looks >= newsLooks }

// news are the newcomers of a camera. A tracker believes in an object when it was seen several times, so each is looked at until
// there is a track of it, or it is not found again.
type news struct{ all []newcomer }

// take takes in what was found in a frame.
func (n *news) take(d *bus.Detections, tracks []bus.TrackObject, seen views) {
	for i := range n.all {
		c := &n.all[i]
		at := slices.IndexFunc(d.Objects, func(o bus.Object) bool { return o.Box.IoU(c.box) >= knownOverlap })
		shown := seen.show(c.box)
		if c.tile.W > 0 {
			shown = slices.Contains(seen.tiles, c.tile) // what another one does not show may still be there
		}
		switch {
		case at >= 0:
			c.box, c.seen, c.misses = d.Objects[at].Box, d.CapturedAt, 0
			if shown {
				c.looks++
			}
			if tile := seen.ofGrid(c.box, c.tile); tile.W > 0 {
				c.tile = tile
			}
		case shown:
			c.misses++
		}
	}
	n.all = slices.DeleteFunc(n.all, func(c newcomer) bool { return c.misses >= newsMisses || d.CapturedAt.Sub(c.seen) > newsStale })
	for _, o := range d.Objects {
		if len(n.all) < maxNews && !known(tracks, o.Box) && !n.has(o.Box) {
			n.all = append(n.all, newcomer{box: o.Box, seen: d.CapturedAt, tile: seen.ofGrid(o.Box, bus.Region{})})
		}
	}
}

// missed takes in the tracks that were known and are not told of any more: a look did not find them, and one more shall tell whether they
// are gone, at the tile that they were found in.
func (n *news) missed(before, now []bus.TrackObject, at time.Time, seats *seats) {
	for i := range before {
		o := &before[i]
		gone := !slices.ContainsFunc(now, func(t bus.TrackObject) bool { return t.TrackID == o.TrackID })
		if gone && len(n.all) < maxNews && !known(now, o.Predicted) && !n.has(o.Predicted) {
			n.all = append(n.all, newcomer{box: o.Predicted, seen: at, misses: newsMisses - 1, tile: seats.tile(o.TrackID)})
		}
	}
}

func (n *news) has(b bus.Box) bool {
	return slices.ContainsFunc(n.all, func(c newcomer) bool { return c.box.IoU(b) >= knownOverlap })
}

// forget drops those that tracks are known of.
func (n *news) forget(tracks []bus.TrackObject) {
	n.all = slices.DeleteFunc(n.all, func(c newcomer) bool { return known(tracks, c.box) })
}

// known tells whether a track is where an object was found.
func known(tracks []bus.TrackObject, b bus.Box) bool {
	return slices.ContainsFunc(tracks, func(o bus.TrackObject) bool { return b.IoU(o.Box) >= knownOverlap })
}
