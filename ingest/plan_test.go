package ingest

import (
	"image"
	"slices"
	"testing"
	"time"

	"github.com/sightline/sightline/pipeline/bus"
	"github.com/sightline/sightline/pipeline/picture"
)

const (
	planWidth, planHeight = 3840, 2160
	planStep              = 80 * time.Millisecond
)

// site is a camera whose frames are planned, and a detector that answers some of them.
type site struct {
	*planner
	t       *testing.T
	pic     *picture.I420
	now     time.Time
	lose    func(frame int) bool // whether no detector gets the frame
	objects []bus.Object         // found in each
	frame   int
	looked  map[bus.Region]time.Time // by our own account
	most    time.Duration            // longest that a tile waited
}

func newSite(t *testing.T, tiles TilesConfig) *site {
	tiles.Policy = bus.PolicyAdaptive
	p := newPlanner(CameraConfig{Tiles: tiles}.withDefaults().Tiles)
	p.resize(planWidth, planHeight)
	return &site{
		planner: p, t: t, pic: picture.New(planWidth, planHeight), now: time.Unix(1_700_000_000, 0),
		lose: func(int) bool { return false }, looked: map[bus.Region]time.Time{},
	}
}

// play plans the next frame and answers it. The plan holds no buffer of the planner.
func (s *site) play(step time.Duration) plan {
	s.t.Helper()
	s.now, s.frame = s.now.Add(step), s.frame+1
	looks, err := s.next(s.now, s.pic)
	if err != nil {
		s.t.Fatal(err)
	}
	looks.regions = slices.Clone(looks.regions)
	if looks.regions[0] != (bus.Region{W: planWidth, H: planHeight}) || looks.of != 33 {
		s.t.Fatalf("frame %d: regions %v of %d", s.frame, looks.regions, looks.of)
	}
	if s.frame == 1 {
		for _, r := range bus.GridRegions(planWidth, planHeight, 640, 0.2)[1:] {
			s.looked[r] = s.now
		}
	}
	if s.lose(s.frame) {
		return looks
	}
	d := &bus.Detections{CapturedAt: s.now, Frame: bus.Size{Width: planWidth, Height: planHeight}, Objects: s.objects}
	for _, r := range looks.regions[1:] {
		d.Tiles.Regions = append(d.Tiles.Regions, r)
		if _, ofGrid := s.looked[r]; ofGrid {
			s.looked[r] = s.now
		}
	}
	s.detected(d)
	s.account(looks)
	return looks
}

// account holds the published age against our own.
func (s *site) account(looks plan) {
	var age time.Duration
	for _, at := range s.looked {
		age = max(age, s.now.Sub(at))
	}
	if looks.age != age {
		s.t.Errorf("frame %d: published age %v, is %v", s.frame, looks.age, age)
	}
	s.most = max(s.most, age)
}

func TestNoTileWaitsLongerThanTheSweep(t *testing.T) {
	for _, c := range []struct {
		name        string
		step        time.Duration
		sweep       time.Duration
		lost        int // frames of 7
		most, usual int // tiles of a frame
	}{
		{"12.5 frames a second", planStep, 5 * time.Second, 0, 2, 1},
		{"a quarter is lost", planStep, 5 * time.Second, 2, 8, 2},
		{"most are lost", planStep, 10 * time.Second, 4, 8, 3},
		{"one a second: the sweep needs more than the budget", time.Second, 5 * time.Second, 0, 32, 12},
		{"none in time", 6 * time.Second, 5 * time.Second, 0, 32, 32},
	} {
		s, tiles := newSite(t, TilesConfig{Sweep: c.sweep}), 0
		s.lose = func(frame int) bool { return frame%7 < c.lost }
		const frames = 300
		for range frames {
			n := len(s.play(c.step).regions) - 1
			tiles += n
			if n > c.most {
				t.Errorf("%s: %d tiles in frame %d, want at most %d", c.name, n, s.frame, c.most)
			}
		}
		if s.most > max(c.sweep, 2*c.step) {
			t.Errorf("%s: a tile waited %v, want at most %v", c.name, s.most, c.sweep)
		}
		if tiles > frames*c.usual {
			t.Errorf("%s: %d tiles in %d frames, want at most %d a frame", c.name, tiles, frames, c.usual)
		}
	}
}

func TestTheBudgetGoesWhereSomethingMoves(t *testing.T) {
	s := newSite(t, TilesConfig{})
	looks := map[bool]int{}
	for i := range 200 {
		for y := range 64 {
			row := s.pic.Y[(1000+y)*s.pic.StrideY:]
			for x := range 64 {
				row[2000+x] = byte(i % 2 * 200)
			}
		}
		for _, r := range s.play(planStep).regions[1:] {
			inside := r.X <= 2000 && r.Y <= 1000 && r.X+r.W >= 2064 && r.Y+r.H >= 1064
			looks[inside]++
		}
	}
	if looks[true] < 195 {
		t.Errorf("in 200 frames the tile with motion was looked at %d times", looks[true])
	}
	if looks[false] > 260 {
		t.Errorf("tiles without motion were looked at %d times, want about one a frame", looks[false])
	}
}

func TestTheBudgetIsKeptAndSharedWhenEverythingMoves(t *testing.T) {
	s := newSite(t, TilesConfig{Budget: 4})
	const cell = 80
	looks := map[image.Point]int{}
	for i := range 200 {
		for j := range s.pic.Y {
			s.pic.Y[j] = byte(((j>>6)&1 ^ i&1) * 200) // stripes that change places
		}
		regions := s.play(planStep).regions[1:]
		if len(regions) > 4 {
			t.Fatalf("frame %d: %d tiles, want at most 4", i, len(regions))
		}
		for _, r := range regions {
			for y := cell / 2; y < planHeight; y += cell {
				for x := cell / 2; x < planWidth; x += cell {
					if r.Box().Holds(bus.Box{float32(x), float32(y), float32(x), float32(y)}) {
						looks[image.Pt(x, y)]++
					}
				}
			}
		}
	}
	if len(looks) != planWidth/cell*planHeight/cell {
		t.Errorf("%d places were looked at, want all %d", len(looks), planWidth/cell*planHeight/cell)
	}
	for at, n := range looks { // 4 of 32 tiles each frame, some of them in the overlap of several
		if n < 8 || n > 150 {
			t.Errorf("%v was looked at %d times in 200 frames", at, n)
		}
	}
}

// TestANewcomerIsLookedAtUntilItIsKnown: also when frames come in between that do not show it; and not for ever.
func TestANewcomerIsLookedAtUntilItIsKnown(t *testing.T) {
	s := newSite(t, TilesConfig{})
	box := bus.Box{2050, 1050, 2090, 1130}
	sees := func() bool {
		return slices.ContainsFunc(s.play(planStep).regions[1:], func(r bus.Region) bool { return r.Box().Holds(box) })
	}
	size := bus.Size{Width: planWidth, Height: planHeight}
	s.play(planStep)
	s.detected(&bus.Detections{Frame: size, CapturedAt: s.now, Objects: []bus.Object{{Label: "person", Box: box}}})
	s.detected(&bus.Detections{Frame: size, CapturedAt: s.now.Add(time.Millisecond)}) // of a frame that looked elsewhere
	if !sees() {
		t.Fatal("a newcomer is forgotten once a frame did not look at it")
	}
	if !sees() {
		t.Error("one look in vain is one too few")
	}
	looks := 0
	for range 20 {
		if sees() {
			looks++
		}
	}
	if looks > 2 { // turns of the sweep
		t.Errorf("what two looks did not find again was looked at %d times more", looks)
	}
}

// TestATrackThatIsNotToldOfAnyMoreIsLookedAtOnceMore: a look did not find it; one more tells whether it is gone.
func TestATrackThatIsNotToldOfAnyMoreIsLookedAtOnceMore(t *testing.T) {
	s := newSite(t, TilesConfig{})
	box := bus.Box{2050, 1050, 2090, 1130}
	sees := func() bool {
		return slices.ContainsFunc(s.play(planStep).regions[1:], func(r bus.Region) bool { return r.Box().Holds(box) })
	}
	for s.play(planStep); sees(); { // until the sweep is elsewhere
	}
	size := bus.Size{Width: planWidth, Height: planHeight}
	s.tracked(&bus.Tracks{Frame: size, CapturedAt: s.now, Objects: []bus.TrackObject{{Object: bus.Object{Label: "person", Box: box}, TrackID: 7, Predicted: box}}})
	if sees() {
		t.Fatal("a track that stands was looked at")
	}
	s.tracked(&bus.Tracks{Frame: size, CapturedAt: s.now})
	if !sees() {
		t.Error("no look at where it was")
	}
	if sees() {
		t.Error("two looks")
	}
}

// TestOneTileHoldsAllThatItCan: things that lie across the grid's seams, and several that are near each other, need one look.
func TestOneTileHoldsAllThatItCan(t *testing.T) {
	s := newSite(t, TilesConfig{})
	size := bus.Size{Width: planWidth, Height: planHeight}
	for range 200 { // so that no sweep is due at once
		s.play(planStep)
	}
	for _, boxes := range [][]bus.Box{
		{{1000, 500, 1100, 700}, {1400, 900, 1450, 1000}, {900, 600, 960, 700}},
		{{0, 0, 90, 200}}, {{3800, 2000, 3840, 2160}, {3300, 1700, 3400, 1800}}, {{0, 2100, 500, 2160}},
	} {
		walking := &bus.Tracks{Frame: size, CapturedAt: s.now}
		for i, b := range boxes {
			from := bus.Box{b[0] - 20, b[1], b[2] - 20, b[3]}
			walking.Objects = append(walking.Objects, bus.TrackObject{Object: bus.Object{Label: "person", Box: from}, TrackID: uint64(i), Predicted: b})
		}
		s.tracked(walking)
		regions := s.play(planStep).regions[1:]
		if len(regions) > 2 {
			t.Errorf("%v: %d tiles, want one, and the sweep's", boxes, len(regions))
		}
		for _, b := range boxes {
			if !slices.ContainsFunc(regions, func(r bus.Region) bool { return s.wants.room(r).Holds(b) }) {
				t.Errorf("%v lies in none of %v", b, regions)
			}
		}
		s.tracked(&bus.Tracks{Frame: size, CapturedAt: s.now})
		for range 50 { // where they were nothing is found
			s.play(planStep)
		}
	}
}

// found answers for a frame in which these tiles were looked at, and some showed an object.
func (s *site) found(objects []bus.Object, tiles ...bus.Region) {
	s.detected(&bus.Detections{
		Frame: bus.Size{Width: planWidth, Height: planHeight}, CapturedAt: s.now, Objects: objects, Tiles: bus.Tiles{Regions: tiles},
	})
}

// TestWhatATileFoundIsAskedOfItAgain: another one that shows the place may miss it, as long as that one does not.
func TestWhatATileFoundIsAskedOfItAgain(t *testing.T) {
	s := newSite(t, TilesConfig{})
	box := bus.Box{2340, 1050, 2380, 1110}
	var tiles []bus.Region // of the grid, that show it
	for _, r := range s.grid[1:] {
		if s.wants.room(r).Holds(wider(box)) {
			tiles = append(tiles, r)
		}
	}
	if len(tiles) < 2 {
		t.Fatalf("%v is shown by %v, want several", box, tiles)
	}
	person := []bus.Object{{Label: "person", Score: 0.55, Box: box}}
	s.play(planStep)
	own, other := tiles[1], tiles[0]
	s.lose = func(int) bool { return true } // we answer ourselves
	s.found(person, own)
	for range 4 {
		if got := s.play(planStep).regions; !slices.Contains(got, own) {
			t.Fatalf("a newcomer is looked for at %v, want %v", got, own)
		}
		s.found(nil, other)
	}
	known := &bus.Tracks{Frame: bus.Size{Width: planWidth, Height: planHeight}, CapturedAt: s.now}
	known.Objects = []bus.TrackObject{{Object: person[0], TrackID: 1, Predicted: box, Carried: true}}
	s.tracked(known)
	s.found(person, own)
	s.now = s.now.Add(settledFor)
	s.found(nil, other)
	if got := s.play(planStep).regions; !slices.Contains(got, own) {
		t.Errorf("a track that another tile missed is looked for at %v, want %v", got, own)
	}
	s.tracked(&bus.Tracks{Frame: known.Frame, CapturedAt: s.now})
	if got := s.play(planStep).regions; !slices.Contains(got, own) {
		t.Errorf("a track that is told of no more is looked for at %v, want %v", got, own)
	}
	s.found(nil, own)
	if got := s.play(planStep).regions; slices.Contains(got, own) {
		t.Error("it is looked for though its own tile does not find it")
	}
}

// TestWhatNoTileOfTheGridHoldsIsLookedAtBetweenSweeps: they do not tell whether it is still there.
func TestWhatNoTileOfTheGridHoldsIsLookedAtBetweenSweeps(t *testing.T) {
	s := newSite(t, TilesConfig{})
	box := bus.Box{100, 300, 300, 700} // across two rows of the grid, taller than they overlap
	person := bus.TrackObject{Object: bus.Object{Label: "person", Score: 0.9, Box: box}, TrackID: 1, Predicted: box, Carried: true}
	s.tracked(&bus.Tracks{Frame: bus.Size{Width: planWidth, Height: planHeight}, Objects: []bus.TrackObject{person}})
	looks := 0
	for range 125 {
		if slices.ContainsFunc(s.play(planStep).regions[1:], func(r bus.Region) bool { return s.wants.room(r).Holds(box) }) {
			looks++
		}
	}
	if looks < 3 || looks > 4 {
		t.Errorf("%d looks in 10 s, want one in %v", looks, seamEvery)
	}
}

func TestNewObjectsAndWalkingTracksAreLookedAtAndStandingOnesInTurn(t *testing.T) {
	s := newSite(t, TilesConfig{})
	box := bus.Box{2050, 1050, 2090, 1130}
	count := func(frames int) (n int) {
		for range frames {
			if slices.ContainsFunc(s.play(planStep).regions[1:], func(r bus.Region) bool { return r.Box().Holds(box) }) {
				n++
			}
		}
		return n
	}
	s.objects = []bus.Object{{Label: "person", Score: 0.6, Box: box}}
	count(1)
	if n := count(newsLooks); n != newsLooks {
		t.Errorf("the tile of an object that is no track yet was looked at %d times in %d frames", n, newsLooks)
	}
	if n := count(50); n < 3 || n > 8 {
		t.Errorf("that of one which becomes no track was looked at %d times in 4 s, want one a second and the turns of the sweep", n)
	}
	known := &bus.Tracks{Frame: bus.Size{Width: planWidth, Height: planHeight}, Objects: []bus.TrackObject{{Object: s.objects[0], TrackID: 1, Predicted: box}}}
	s.tracked(known)
	if n := count(100); n < 2 || n > 9 {
		t.Errorf("the tile of a track that stands was looked at %d times in 8 s, want the turns of the sweep", n)
	}
	known.Objects[0].Predicted = bus.Box{2060, 1050, 2100, 1130}
	s.tracked(known)
	if n := count(25); n != 25 {
		t.Errorf("the tile of a track that walks was looked at %d times in 25 frames", n)
	}
	large := bus.Box{100, 100, 1500, 1500}
	s.objects, known.Objects = []bus.Object{{Label: "bus", Score: 0.6, Box: large}}, nil
	s.tracked(known)
	count(1)
	if n := len(s.play(planStep).regions) - 1; n != 5 {
		t.Errorf("%d tiles for an object larger than one, want the budget", n)
	}
}

// TestWhatStandsAndIsUnsureIsLookedAtBetweenSweeps: every second, where one that is sure waits for the sweep.
func TestWhatStandsAndIsUnsureIsLookedAtBetweenSweeps(t *testing.T) {
	box := bus.Box{2050, 1050, 2090, 1130}
	looks := func(score float32) (n int) {
		s := newSite(t, TilesConfig{})
		person := bus.TrackObject{Object: bus.Object{Label: "person", Score: score, Box: box}, TrackID: 1, Predicted: box, Carried: true}
		s.tracked(&bus.Tracks{Frame: bus.Size{Width: planWidth, Height: planHeight}, Objects: []bus.TrackObject{person}})
		for range 125 {
			if slices.ContainsFunc(s.play(planStep).regions[1:], func(r bus.Region) bool { return r.Box().Holds(box) }) {
				n++
			}
		}
		return n
	}
	sure, unsure := looks(unsureScore), looks(unsureScore-0.01)
	if more := unsure - sure; more < 8 || more > 12 {
		t.Errorf("in 10 s %d looks at what is unsure, %d at what is sure: want one a second more", unsure, sure)
	}
}

func TestWhatIsFoundInOtherFramesChangesNoPlan(t *testing.T) {
	s := newSite(t, TilesConfig{})
	s.play(planStep)
	other := bus.Size{Width: 640, Height: 480}
	s.detected(&bus.Detections{Frame: other, CapturedAt: s.now, Objects: []bus.Object{{Box: bus.Box{1, 1, 9, 9}}}})
	s.tracked(&bus.Tracks{Frame: other, Objects: []bus.TrackObject{{}}})
	size := bus.Size{Width: planWidth, Height: planHeight}
	s.detected(&bus.Detections{Frame: size, CapturedAt: s.now, Tiles: bus.Tiles{Regions: []bus.Region{{W: planWidth, H: planHeight}, {X: 1, Y: 2, W: 3, H: 4}}}})
	// Boxes far beyond the frame are an edge's matter.
	s.detected(&bus.Detections{Frame: size, CapturedAt: s.now, Objects: []bus.Object{{Box: bus.Box{-60000, -60000, 60000, 60000}}}})
	for range 50 {
		if n := len(s.play(planStep).regions); n > 6 {
			t.Fatalf("%d regions", n)
		}
	}
}

func TestPoliciesWithoutAPlan(t *testing.T) {
	for _, c := range []struct {
		policy        bus.Policy
		width, height int
		regions       int
	}{{bus.PolicyOff, 3840, 2160, 1}, {bus.PolicyGrid, 3840, 2160, 33}, {bus.PolicyAdaptive, 640, 480, 1}, {bus.PolicyGrid, 320, 200, 1}} {
		p := newPlanner(CameraConfig{Tiles: TilesConfig{Policy: c.policy}}.withDefaults().Tiles)
		p.resize(c.width, c.height)
		for range 3 {
			looks, err := p.next(time.Now(), picture.New(c.width, c.height))
			if err != nil || len(looks.regions) != c.regions || looks.of != c.regions || looks.age != 0 {
				t.Errorf("%+v: %+v, %v", c, looks, err)
			}
		}
	}
}

func BenchmarkPlan4K(b *testing.B) {
	p := newPlanner(CameraConfig{Tiles: TilesConfig{Policy: bus.PolicyAdaptive}}.withDefaults().Tiles)
	p.resize(planWidth, planHeight)
	pic, now := picture.New(planWidth, planHeight), time.Unix(1_700_000_000, 0)
	b.ReportAllocs()
	for b.Loop() {
		now = now.Add(planStep)
		if _, err := p.next(now, pic); err != nil {
			b.Fatal(err)
		}
	}
}

// TestFixedRegionsAreLookedAtInEveryFrame: whatever the policy, on top of the budget, in frames of any size.
func TestFixedRegionsAreLookedAtInEveryFrame(t *testing.T) {
	parts := []bus.Box{{0.5, 0.5, 0.6, 0.7}, {0, 0, 1, 0.1}}
	for _, policy := range []bus.Policy{bus.PolicyOff, bus.PolicyGrid, bus.PolicyAdaptive} {
		for _, size := range [][2]int{{3840, 2160}, {640, 360}} {
			p := newPlanner(CameraConfig{Tiles: TilesConfig{Policy: policy, Regions: parts}}.withDefaults().Tiles)
			p.resize(size[0], size[1])
			for frame := range 3 {
				looks, err := p.next(time.Unix(int64(frame), 0), picture.New(size[0], size[1]))
				if err != nil {
					t.Fatal(err)
				}
				want := bus.Region{X: size[0] / 2, Y: size[1] / 2, W: size[0]*6/10 - size[0]/2, H: size[1]*7/10 - size[1]/2}
				if !slices.Contains(looks.regions, want) || looks.of < len(looks.regions) {
					t.Errorf("%s, %v: %v of %d lack %v", policy, size, looks.regions, looks.of, want)
				}
				if last := looks.regions[len(looks.regions)-1]; policy != bus.PolicyAdaptive && (last.X+last.W != size[0] || last.Y != 0) {
					t.Errorf("%s, %v: %v do not end with the strip", policy, size, looks.regions)
				}
			}
		}
	}
}
