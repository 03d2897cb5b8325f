package ingest

import (
	"math"
	"slices"
	"sync"
	"time"

	"github.com/sightline/sightline/pipeline/bus"
	"github.com/sightline/sightline/pipeline/picture"
)

const (
	// sweepShare is the part of TilesConfig.Sweep within which the sweep comes round: the rest is for frames that get lost.
	sweepShare = 0.6
	// sweepUrgent is the part of it after which a tile is looked at whatever else there is.
	sweepUrgent = 0.85
	// answerLost is how long a look may take to be answered before it is planned again.
	answerLost = 700 * time.Millisecond
)

// planner chooses the regions of a camera's frames. Under the adaptive policy these are the whole frame; in turn the tiles of the
// grid, so that none waits for longer than the sweep; and tiles put where it pays to look: where something moves, where objects
// are that no track is known of yet, where tracks walk. A track that stands still has no claim, for when it leaves something moves,
// unless it is unsure or a look did not find it: then the tile that found it is asked again.
// Its methods may be called from any goroutine.
type planner struct {
	cfg TilesConfig

	mu     sync.Mutex // protects what follows
	motion picture.Motion
	width  int // of the frames that the plan is for
	height int
	grid   []bus.Region // of the policy: the whole frame, then the tiles row by row
	fixed  []bus.Region // looked at in every frame
	tiles  []tile
	wants  wants
	order  []int        // scratch: tiles, the one that waits longest first
	chosen []bus.Region // of the frame at hand
	news   news
	seats  seats
	tracks []bus.TrackObject
	last   time.Time // capture time of the newest frame
	step   float64   // smoothed seconds between frames
}

// tile is what is known of one tile; times are capture times.
type tile struct {
	looked   time.Time // of the newest frame that was answered for and in which it was looked at
	planned  time.Time // of the newest frame in which it was asked for
	selected bool      // for the frame at hand
}

// plan is what is asked for with one frame.
type plan struct {
	regions []bus.Region // valid until the next plan
	of      int
	age     time.Duration // see bus.Tiles
}

func newPlanner(cfg TilesConfig) *planner { return &planner{cfg: cfg} }

// resize begins a plan for frames of another size.
func (p *planner) resize(width, height int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.width, p.height, p.last = width, height, time.Time{}
	p.grid = p.cfg.Policy.Regions(width, height, p.cfg.Size, p.cfg.Overlap)
	p.fixed = bus.FixedRegions(p.cfg.Regions, width, height, p.cfg.Size, p.cfg.Overlap, bus.MaxRegions-len(p.grid))
	p.tiles = make([]tile, len(p.grid)-1)
	if len(p.tiles) > 0 {
		p.wants.resize(width, height, p.grid[1:])
	}
	p.news.all, p.seats.all, p.tracks = p.news.all[:0], p.seats.all[:0], p.tracks[:0]
}

// next plans the looks at the frame that shows pic, captured at a time.
func (p *planner) next(at time.Time, pic *picture.I420) (plan, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cfg.Policy != bus.PolicyAdaptive || len(p.tiles) == 0 {
		p.chosen = append(append(p.chosen[:0], p.grid...), p.fixed...)
		return plan{regions: p.chosen, of: p.of()}, nil
	}
	after := p.advance(at)
	if err := p.motion.Update(pic, after); err != nil {
		return plan{}, err
	}
	p.wants.collect(at, p.motion.Clusters(movingLeast), p.tracks, p.news.all, &p.seats)
	p.chosen = append(append(p.chosen[:0], p.grid[0]), p.fixed...)
	for _, r := range p.fixed {
		p.wants.serve(at, r)
	}
	p.sweep(at)
	p.spend(at)
	return plan{regions: p.chosen, of: p.of(), age: p.age(at)}, nil
}

// of is how many looks there could be at a frame.
func (p *planner) of() int { return len(p.grid) + len(p.fixed) }

// advance takes in the time of the next frame and gives that since the one before.
func (p *planner) advance(at time.Time) time.Duration {
	if p.last.IsZero() {
		p.last, p.step = at, 0
		for i := range p.tiles {
			p.tiles[i] = tile{looked: at, planned: at.Add(-time.Millisecond)} // waits from now on
		}
	}
	after := at.Sub(p.last)
	if p.step == 0 {
		p.step = after.Seconds()
	}
	p.step += 0.1 * (after.Seconds() - p.step)
	p.last = at
	return after
}

// sweep chooses the tiles that wait longest: so many that all have their turn in time, whatever the budget.
func (p *planner) sweep(at time.Time) {
	p.order = p.order[:0]
	for i := range p.tiles {
		t := &p.tiles[i]
		t.selected = false
		if t.planned.After(t.looked) && at.Sub(t.planned) > answerLost {
			t.planned = t.looked // a look that nobody answered for was none
		}
		p.order = append(p.order, i)
	}
	slices.SortStableFunc(p.order, func(a, b int) int { return p.tiles[a].planned.Compare(p.tiles[b].planned) })
	quota := max(1, int(math.Ceil(float64(len(p.tiles))*p.step/(sweepShare*p.cfg.Sweep.Seconds()))))
	urgent := time.Duration(sweepUrgent * float64(p.cfg.Sweep))
	for rank, i := range p.order {
		t := &p.tiles[i]
		// One that is asked for already need not be asked for again; its answer is on the way.
		if rank < quota || at.Sub(t.looked) >= urgent && !t.planned.After(t.looked) {
			p.choose(i, at)
		}
	}
}

// spend puts tiles where it pays, with what the sweep left of the budget. There are never more of all than the grid has. Fixed regions
// come on top.
func (p *planner) spend(at time.Time) {
	most := min(1+p.cfg.Budget, len(p.grid)) + len(p.fixed)
	for w := p.wants.first(); w != nil && len(p.chosen) < most; w = p.wants.first() {
		r := p.wants.place(w)
		p.wants.mark(at, w) // also where rounding put it too near to the tile's edge
		p.wants.serve(at, r)
		if i := slices.Index(p.grid, r); i >= 1 {
			p.choose(i-1, at)
		} else {
			p.chosen = append(p.chosen, r)
		}
	}
}

// choose looks at a tile of the grid.
func (p *planner) choose(i int, at time.Time) {
	if t := &p.tiles[i]; !t.selected {
		t.selected, t.planned = true, at
		p.chosen = append(p.chosen, p.grid[1+i])
		p.wants.serve(at, p.grid[1+i])
	}
}

// age is how long the tile waits that was looked at longest ago, when the chosen ones are looked at now.
func (p *planner) age(at time.Time) time.Duration {
	var age time.Duration
	for i := range p.tiles {
		if !p.tiles[i].selected {
			age = max(age, at.Sub(p.tiles[i].looked))
		}
	}
	return age
}

// detected takes in what was found in a frame, and which tiles were looked at for it.
func (p *planner) detected(d *bus.Detections) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if d.Frame != (bus.Size{Width: p.width, Height: p.height}) {
		return
	}
	if len(p.tiles) == 0 {
		return
	}
	seen := views{tiles: d.Tiles.Regions, wants: &p.wants}
	p.seats.take(d, p.tracks, seen)
	p.news.take(d, p.tracks, seen)
	for _, r := range d.Tiles.Regions {
		i := slices.Index(p.grid, r)
		if i >= 1 && d.CapturedAt.After(p.tiles[i-1].looked) {
			p.tiles[i-1].looked = d.CapturedAt
		}
	}
}

// tracked takes in where things are expected.
func (p *planner) tracked(t *bus.Tracks) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if t.Frame == (bus.Size{Width: p.width, Height: p.height}) {
		p.news.missed(p.tracks, t.Objects, t.CapturedAt, &p.seats)
		p.tracks = append(p.tracks[:0], t.Objects...)
		p.news.forget(p.tracks)
	}
}
