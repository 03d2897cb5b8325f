package ingest

import (
	"cmp"
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
	// movingLeast is how many cells of a tile must move, so that a leaf is no reason to look.
	movingLeast = 2
	// standing is the largest way that a track makes to its predicted place in the next frame, in its smaller sides.
	standing = 0.02
	// knownOverlap is the intersection over union from which an object is the track that is known already.
	knownOverlap = 0.3
)

// planner chooses the regions of a camera's frames. Under the adaptive policy these are the whole frame and the tiles where it
// pays to look: where something moves, where objects are that no track is known of yet, where tracks walk, and in turn all others,
// so that none waits for longer than the sweep. A track that stands still has no claim: when it leaves, something moves. Its methods may be called from any goroutine.
type planner struct {
	cfg TilesConfig

	mu      sync.Mutex // protects what follows
	motion  picture.Motion
	width   int // of the frames that the plan is for
	height  int
	grid    []bus.Region // all regions: the whole frame, then the tiles row by row
	columns []int        // centres of the tiles' columns, pixels
	rows    []int
	tiles   []tile
	order   []int        // scratch: tiles by what speaks for them
	chosen  []bus.Region // of the frame at hand
	objects []bus.Box    // of the newest detections
	tracks  []bus.TrackObject
	last    time.Time // capture time of the newest frame
	step    float64   // smoothed seconds between frames
}

// tile is what is known of one tile; times are capture times.
type tile struct {
	looked   time.Time // of the newest frame that was answered for and in which it was looked at
	planned  time.Time // of the newest frame in which it was asked for
	moving   int       // cells
	live     bool      // something moves in it, or is new in it
	waits    time.Duration
	selected bool
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
	p.tiles = make([]tile, len(p.grid)-1)
	p.columns, p.rows = centres(p.grid[1:])
	p.objects, p.tracks = p.objects[:0], p.tracks[:0]
}

// centres gives those of the columns and rows that tiles stand in.
func centres(tiles []bus.Region) (columns, rows []int) {
	for _, t := range tiles {
		columns, rows = append(columns, t.X+t.W/2), append(rows, t.Y+t.H/2)
	}
	slices.Sort(columns)
	slices.Sort(rows)
	return slices.Compact(columns), slices.Compact(rows)
}

// next plans the looks at the frame that shows pic, captured at a time.
func (p *planner) next(at time.Time, pic *picture.I420) (plan, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cfg.Policy != bus.PolicyAdaptive || len(p.tiles) == 0 {
		return plan{regions: p.grid, of: len(p.grid)}, nil
	}
	after := p.advance(at)
	if err := p.motion.Update(pic, after); err != nil {
		return plan{}, err
	}
	p.weigh(at)
	p.chosen = append(p.chosen[:0], p.grid[0])
	p.sweep(at)
	p.spend()
	return plan{regions: p.chosen, of: len(p.grid), age: p.age(at)}, nil
}

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

// weigh finds what speaks for each tile.
func (p *planner) weigh(at time.Time) {
	for i := range p.tiles {
		t := &p.tiles[i]
		t.moving, t.live, t.selected = 0, false, false
		// A look that nobody answered for was none.
		if t.planned.After(t.looked) && at.Sub(t.planned) > answerLost {
			t.planned = t.looked
		}
	}
	p.countMotion()
	for i := range p.tracks {
		if o := &p.tracks[i]; !stands(o) {
			p.mark(o.Predicted)
		}
	}
	for _, b := range p.objects {
		if !p.known(b) {
			p.mark(b)
		}
	}
	for i := range p.tiles {
		t := &p.tiles[i]
		t.live = t.live || t.moving >= movingLeast
		t.waits = at.Sub(t.planned)
	}
}

// countMotion gives each moving cell to the tile whose centre is nearest.
func (p *planner) countMotion() {
	columns, _, moving := p.motion.Cells()
	for i, is := range moving {
		if is {
			x, y := i%columns*picture.MotionCell, i/columns*picture.MotionCell
			p.tiles[p.nearest(x, y)].moving++
		}
	}
}

// nearest is the number of the tile whose centre is nearest to a place in the frame.
func (p *planner) nearest(x, y int) int {
	return nearestOf(p.rows, y)*len(p.columns) + nearestOf(p.columns, x)
}

// nearestOf is the index of the centre that is nearest; centres rise.
func nearestOf(centres []int, at int) int {
	best := 0
	for i, c := range centres {
		if abs(c-at) < abs(centres[best]-at) {
			best = i
		}
	}
	return best
}

func abs(n int) int { return max(n, -n) }

// mark makes the tile live that a box lies in, and those of its corners where it is too large for one.
func (p *planner) mark(b bus.Box) {
	x1, y1, x2, y2 := int(b[0]), int(b[1]), int(b[2]), int(b[3])
	i := p.nearest((x1+x2)/2, (y1+y2)/2)
	p.tiles[i].live = true
	if p.grid[1+i].Box().Holds(b) {
		return
	}
	for _, corner := range [4][2]int{{x1, y1}, {x2, y1}, {x1, y2}, {x2, y2}} {
		p.tiles[p.nearest(corner[0], corner[1])].live = true
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

// known tells whether a track is where an object was found.
func (p *planner) known(b bus.Box) bool {
	return slices.ContainsFunc(p.tracks, func(o bus.TrackObject) bool { return b.IoU(o.Box) >= knownOverlap })
}

// sweep chooses the tiles that wait longest: so many that all have their turn in time, whatever the budget.
func (p *planner) sweep(at time.Time) {
	p.sort(func(a, b int) int { return p.tiles[a].planned.Compare(p.tiles[b].planned) })
	quota := max(1, int(math.Ceil(float64(len(p.tiles))*p.step/(sweepShare*p.cfg.Sweep.Seconds()))))
	urgent := time.Duration(sweepUrgent * float64(p.cfg.Sweep))
	for rank, i := range p.order {
		t := &p.tiles[i]
		// One that is asked for already need not be asked for again; its answer is on the way.
		if rank < quota || at.Sub(t.looked) >= urgent && !t.planned.After(t.looked) {
			p.choose(i)
		}
	}
}

// spend chooses live tiles, in turn, with what the sweep left of the budget.
func (p *planner) spend() {
	p.sort(func(a, b int) int { return cmp.Compare(p.tiles[b].waits, p.tiles[a].waits) })
	for _, i := range p.order {
		if len(p.chosen)-1 >= p.cfg.Budget {
			return
		}
		if p.tiles[i].live {
			p.choose(i)
		}
	}
}

func (p *planner) sort(by func(a, b int) int) {
	p.order = p.order[:0]
	for i := range p.tiles {
		p.order = append(p.order, i)
	}
	slices.SortStableFunc(p.order, by)
}

func (p *planner) choose(i int) {
	if t := &p.tiles[i]; !t.selected {
		t.selected, t.planned = true, p.last
		p.chosen = append(p.chosen, p.grid[1+i])
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
	p.objects = p.objects[:0]
	for _, o := range d.Objects {
		p.objects = append(p.objects, o.Box)
	}
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
		p.tracks = append(p.tracks[:0], t.Objects...)
	}
}
