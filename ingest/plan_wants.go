package ingest

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/sightline/sightline/pipeline/bus"
	"github.com/sightline/sightline/pipeline/picture"
)

const (
	maxWants = 128 // places of a frame that are worth a look; of more, the sweep takes care
	// wantRoom is how far what is wanted stays from a tile's edge that lies inside the frame, in pixels: what ends there is cut.
	wantRoom = 16
	// wantMargin is the share of a box's sides that is wanted around it: it is from a frame before, or coarse.
	wantMargin = 0.1
	// explained is the share of what moves that lies where a track is expected: then that is what moves.
	explained = 0.7
	// movingLeast is how many cells must move together, so that a leaf is no reason to look.
	movingLeast = 2
	// standing is the largest way that a track makes to its predicted place in the next frame, in its smaller sides.
	standing = 0.02
	// newcomerBonus is how much longer than others a newcomer has waited: until it is a track, nobody is told of it.
	newcomerBonus = 500 * time.Millisecond
	// unsureScore is what the last look at a thing that stands did not reach, so that there is another after unsureEvery, before the
	// sweep comes.
	unsureScore = 0.5
	unsureEvery = time.Second
	// plainScore has what any tile shows; of what is not, the one that found it is asked, when settledFor has passed since then.
	plainScore = 0.7
	settledFor = 400 * time.Millisecond
	// seamEvery is how often there is a look at what stands where no tile of the grid shows all of it: the sweep does not find it.
	seamEvery = 3 * time.Second
	// never is how long a place waits that was not asked for yet: longer than all others, and the sum of all can be taken.
	never = 24 * time.Hour
	// placeCell is the side of the squares by which it is remembered when a place was last asked for, pixels.
	placeCell = 64
)

// want is a place that is worth a look.
type want struct {
	box    bus.Box
	waits  time.Duration
	served bool
	again  bool       // something was found there, and one more look is to tell
	tile   bus.Region // that found it; none where that is not known
}

// wants collects the places of one frame that are worth a look, and remembers when each part of the frame was.
type wants struct {
	width, height float32
	grid          []bus.Region // its tiles, all of one size
	reach         [2]float32   // largest sides that one tile holds
	columns       int          // of asked
	asked         []time.Time  // by placeCell, of the newest tile that was to hold something there
	all           []want
}

// resize begins anew for frames of another size, looked at in the tiles of a grid.
func (ws *wants) resize(width, height int, grid []bus.Region) {
	ws.width, ws.height, ws.grid = float32(width), float32(height), grid
	ws.reach = [2]float32{reach(grid[0].W, width), reach(grid[0].H, height)}
	ws.columns = (width + placeCell - 1) / placeCell
	ws.asked = make([]time.Time, ws.columns*((height+placeCell-1)/placeCell))
	ws.all = ws.all[:0]
}

func reach(tile, frame int) float32 {
	if tile >= frame {
		return float32(frame)
	}
	return float32(max(tile-2*wantRoom, 1))
}

// collect takes what moves, what tracks do that walk, what may be gone, objects that no track is known of, and now and then what is unsure.
func (ws *wants) collect(at time.Time, clusters []picture.Rect, tracks []bus.TrackObject, newcomers []newcomer, seats *seats) {
	ws.all = ws.all[:0]
	for i := range tracks {
		o := &tracks[i]
		if !stands(o) {
			ws.add(at, wider(o.Predicted), 0)
		} else if x := seats.of(o.TrackID); x.asks(o, at) {
			ws.addAgain(at, o.Box, newcomerBonus, x.tile)
		}
	}
	for i := range newcomers {
		if c := &newcomers[i]; !c.inVain() {
			ws.addAgain(at, c.box, newcomerBonus, c.tile)
		}
	}
	fromTracks := len(ws.all)
	for _, c := range clusters {
		b := bus.Box{float32(c.X), float32(c.Y), float32(c.X + c.W), float32(c.Y + c.H)}
		if !slices.ContainsFunc(ws.all[:fromTracks], func(w want) bool { return w.box.Common(b) >= explained*b.Area() }) {
			ws.add(at, b, 0)
		}
	}
	ws.collectUnsure(at, tracks, newcomers, seats)
	slices.SortStableFunc(ws.all, func(a, b want) int { return cmp.Compare(b.waits, a.waits) })
}

// collectUnsure takes what stands and may be gone, and what becomes no track: now and then, where there is nothing better to look at.
func (ws *wants) collectUnsure(at time.Time, tracks []bus.TrackObject, newcomers []newcomer, seats *seats) {
	want := func(b bus.Box, every time.Duration, tile bus.Region) {
		if ws.since(at, b) >= every {
			ws.addAgain(at, b, -unsureEvery, tile)
		}
	}
	for i := range tracks {
		o := &tracks[i]
		switch {
		case !stands(o) || !o.Carried:
		case o.Score < unsureScore:
			want(o.Box, unsureEvery, seats.tile(o.TrackID))
		case !ws.held(wider(o.Box)):
			want(o.Box, seamEvery, seats.tile(o.TrackID))
		}
	}
	for i := range newcomers {
		if c := &newcomers[i]; c.inVain() {
			want(c.box, unsureEvery, c.tile)
		}
	}
}

// stands tells whether a track hardly moves to the next frame.
func stands(o *bus.TrackObject) bool {
	side := min(o.Box[2]-o.Box[0], o.Box[3]-o.Box[1])
	for i, v := range o.Predicted {
		if math.Abs(float64(v-o.Box[i])) > math.Max(1, standing*float64(side)) {
			return false
		}
	}
	return true
}

func wider(b bus.Box) bus.Box {
	x, y := wantMargin*(b[2]-b[0]), wantMargin*(b[3]-b[1])
	return bus.Box{b[0] - x, b[1] - y, b[2] + x, b[3] + y}
}

// add wants a box, in pieces where no tile holds it, as if it had waited longer by a bonus.
func (ws *wants) add(at time.Time, b bus.Box, bonus time.Duration) {
	b = ws.inFrame(b)
	if !(b[2] > b[0] && b[3] > b[1]) {
		return
	}
	across := int(math.Ceil(float64((b[2] - b[0]) / ws.reach[0])))
	down := int(math.Ceil(float64((b[3] - b[1]) / ws.reach[1])))
	w, h := (b[2]-b[0])/float32(across), (b[3]-b[1])/float32(down)
	for y := range down {
		for x := range across {
			if len(ws.all) == maxWants {
				return
			}
			left, top := b[0]+float32(x)*w, b[1]+float32(y)*h
			piece := bus.Box{left, top, left + w, top + h}
			ws.all = append(ws.all, want{box: piece, waits: ws.since(at, piece) + bonus})
		}
	}
}

// addAgain wants one more look at what was found, at the tile that found it.
func (ws *wants) addAgain(at time.Time, b bus.Box, bonus time.Duration, tile bus.Region) {
	before := len(ws.all)
	ws.add(at, wider(b), bonus)
	for i := before; i < len(ws.all); i++ {
		ws.all[i].again, ws.all[i].tile = true, tile
	}
}

// since is how long ago a place was last asked for.
func (ws *wants) since(at time.Time, b bus.Box) time.Duration {
	newest := time.Time{}
	ws.places(b, func(i int) {
		if ws.asked[i].After(newest) {
			newest = ws.asked[i]
		}
	})
	if newest.IsZero() {
		return never
	}
	return at.Sub(newest)
}

// places calls fn for each of the places that a box inside the frame covers.
func (ws *wants) places(b bus.Box, fn func(i int)) {
	x1, y1 := int(b[0])/placeCell, int(b[1])/placeCell
	x2, y2 := int(math.Ceil(float64(b[2])))-1, int(math.Ceil(float64(b[3])))-1
	for y := y1; y <= y2/placeCell; y++ {
		for x := x1; x <= x2/placeCell; x++ {
			fn(y*ws.columns + x)
		}
	}
}

// serve takes note that a tile is looked at.
func (ws *wants) serve(at time.Time, r bus.Region) {
	room := ws.room(r)
	for i := range ws.all {
		if w := &ws.all[i]; !w.served && room.Holds(w.box) {
			ws.mark(at, w)
		}
	}
}

func (ws *wants) mark(at time.Time, w *want) {
	w.served = true
	ws.places(w.box, func(i int) { ws.asked[i] = at })
}

// room is the part of a tile in which nothing is cut.
func (ws *wants) room(r bus.Region) bus.Box {
	b := r.Box()
	for i, edge := range [4]float32{0, 0, ws.width, ws.height} {
		switch {
		case b[i] == edge:
		case i < 2:
			b[i] += wantRoom
		default:
			b[i] -= wantRoom
		}
	}
	return b
}

// inFrame is the part of a box that lies in the frame; it has no area where none does.
func (ws *wants) inFrame(b bus.Box) bus.Box {
	return bus.Box{max(b[0], 0), max(b[1], 0), min(b[2], ws.width), min(b[3], ws.height)}
}

// held tells whether a tile of the grid shows all of a box.
func (ws *wants) held(b bus.Box) bool {
	b = ws.inFrame(b)
	return slices.ContainsFunc(ws.grid, func(r bus.Region) bool { return ws.room(r).Holds(b) })
}

// first is the place that waits longest of those that no tile holds yet, or nil.
func (ws *wants) first() *want {
	for i := range ws.all {
		if !ws.all[i].served {
			return &ws.all[i]
		}
	}
	return nil
}
