package ingest

import (
	"slices"
	"time"

	"github.com/sightline/sightline/pipeline/bus"
)

// views are the tiles that a frame was looked at with.
type views struct {
	tiles []bus.Region
	wants *wants
}

// show tells whether one of them shows all of a box.
func (v views) show(b bus.Box) bool {
	return slices.ContainsFunc(v.tiles, func(r bus.Region) bool { return v.wants.room(r).Holds(b) })
}

// ofGrid is the tile of the grid that shows all of a box, before where that is one of several; none where none does.
func (v views) ofGrid(b bus.Box, before bus.Region) (tile bus.Region) {
	for _, r := range v.tiles {
		if v.wants.room(r).Holds(b) && slices.Contains(v.wants.grid, r) && (tile.W == 0 || r == before) {
			tile = r
		}
	}
	return tile
}

// seat is where a track was last found.
type seat struct {
	id      uint64
	tile    bus.Region // of the grid; none where it was found by others, or is no longer found by it
	found   time.Time
	doubted bool // looks since then did not find it
}

// seats are those of the tracks that a camera has. What one tile shows another one may not, though nothing changed: whether it is still
// there is asked of the tile that found it.
type seats struct{ all []seat }

// tile is where a track was found, none where that is not known.
func (s *seats) tile(id uint64) bus.Region {
	if x := s.of(id); x != nil {
		return x.tile
	}
	return bus.Region{}
}

// of is the seat of a track, or nil; valid until the next one is added.
func (s *seats) of(id uint64) *seat {
	i := slices.IndexFunc(s.all, func(x seat) bool { return x.id == id })
	if i < 0 {
		return nil
	}
	return &s.all[i]
}

// take takes in which tracks were found in a frame.
func (s *seats) take(d *bus.Detections, tracks []bus.TrackObject, seen views) {
	s.all = slices.DeleteFunc(s.all, func(x seat) bool {
		return !slices.ContainsFunc(tracks, func(o bus.TrackObject) bool { return o.TrackID == x.id })
	})
	for i := range tracks {
		o := &tracks[i]
		if s.of(o.TrackID) == nil {
			s.all = append(s.all, seat{id: o.TrackID})
		}
		found := slices.ContainsFunc(d.Objects, func(f bus.Object) bool { return f.Label == o.Label && f.Box.IoU(o.Box) >= knownOverlap })
		s.of(o.TrackID).take(found, o.Box, d.CapturedAt, seen)
	}
}

// take takes in whether the track at b was found in a frame.
func (x *seat) take(found bool, b bus.Box, at time.Time, seen views) {
	tile := seen.ofGrid(b, x.tile)
	switch {
	case found:
		x.found, x.doubted = at, false
		if tile.W > 0 {
			x.tile = tile
		}
	case seen.show(b):
		x.doubted = true
		if tile == x.tile {
			x.tile = bus.Region{}
		}
	}
}

// asks tells whether the track that sits there may be gone, and shall be looked for: not each time that another tile fails to show it.
func (x *seat) asks(o *bus.TrackObject, at time.Time) bool {
	return x != nil && x.doubted && o.Carried && o.Score < plainScore && at.Sub(x.found) >= settledFor
}
