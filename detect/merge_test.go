package detect

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/sightline/sightline/pipeline/bus"
	"github.com/sightline/sightline/pipeline/picture"
)

// seams is two tiles side by side that overlap by 128 pixels, and the whole frame; a pixel of the tiles is one of the network.
var seams = []bus.Region{{W: 1152, H: 640}, {W: 640, H: 640}, {X: 512, W: 640, H: 640}}

// sight is a box as one region sees it, in pixels of the frame.
type sight struct {
	region int
	box    box
	score  float32
	class  int32
}

// beginAt begins a frame whose regions are looked at with inputs of 640 by 640.
func beginAt(m *merger, width, height int, regions []bus.Region) {
	m.begin(width, height)
	for _, r := range regions {
		m.extend(r, shape{640, 640}.scale(r))
	}
}

func merged(regions []bus.Region, sights ...sight) []candidate {
	m := merger{iou: 0.65}
	beginAt(&m, 1152, 640, regions)
	for i := range regions {
		for n, s := range sights {
			if s.region == i {
				sightIn(&m, s, n)
			}
		}
	}
	m.merge()
	return m.found
}

// sightIn adds what a region saw.
func sightIn(m *merger, s sight, anchor int) {
	r := m.regions[s.region].box
	c := candidate{box: s.box, score: s.score, class: s.class, anchor: int32(anchor)}
	for k := range c.box {
		c.box[k] -= r[k%2]
	}
	found := []candidate{c}
	m.place(found, s.region, picture.Transform{Scale: 1, OriginX: r[0], OriginY: r[1]})
	m.found = append(m.found, found...)
}

func TestMerge(t *testing.T) {
	for name, c := range map[string]struct {
		sights []sight
		want   []box
	}{
		"seen twice as a whole":     {[]sight{{1, box{530, 100, 600, 200}, 0.9, 0}, {2, box{531, 101, 601, 201}, 0.8, 0}}, []box{{530, 100, 600, 200}}},
		"two of different classes":  {[]sight{{1, box{530, 100, 600, 200}, 0.9, 0}, {2, box{531, 101, 601, 201}, 0.8, 1}}, []box{{530, 100, 600, 200}, {531, 101, 601, 201}}},
		"cut here and whole there":  {[]sight{{1, box{560, 100, 640, 200}, 0.9, 0}, {2, box{560, 100, 700, 200}, 0.7, 0}}, []box{{560, 100, 700, 200}}},
		"longer than the overlap":   {[]sight{{1, box{300, 100, 640, 300}, 0.6, 0}, {2, box{512, 102, 900, 298}, 0.9, 0}}, []box{{300, 100, 900, 300}}},
		"two that face each other":  {[]sight{{1, box{300, 100, 640, 200}, 0.6, 0}, {2, box{512, 300, 900, 500}, 0.9, 0}}, []box{{300, 100, 640, 200}, {512, 300, 900, 500}}},
		"neighbours in a crowd":     {[]sight{{1, box{520, 100, 560, 220}, 0.9, 0}, {1, box{548, 100, 590, 220}, 0.8, 0}, {2, box{521, 101, 561, 221}, 0.7, 0}}, []box{{520, 100, 560, 220}, {548, 100, 590, 220}}},
		"whole frame sees it whole": {[]sight{{0, box{100, 50, 1100, 600}, 0.8, 0}, {1, box{100, 50, 640, 600}, 0.5, 0}, {2, box{512, 50, 1100, 600}, 0.5, 0}}, []box{{100, 50, 1100, 600}}},
		"a sure piece of a whole":   {[]sight{{0, box{285, 45, 1105, 605}, 0.6, 0}, {2, box{512, 50, 1100, 600}, 0.9, 0}}, []box{{285, 45, 1105, 605}}},
		"pieces of unequal width":   {[]sight{{1, box{300, 100, 640, 300}, 0.9, 0}, {2, box{512, 120, 660, 280}, 0.8, 0}}, []box{{300, 100, 660, 300}}},
		"coarse and larger":         {[]sight{{0, box{692, 70, 812, 212}, 0.5, 0}, {2, box{710, 110, 800, 200}, 0.8, 0}}, []box{{710, 110, 800, 200}}},
		"two tiles, not so alike":   {[]sight{{1, box{515, 60, 631, 215}, 0.5, 0}, {2, box{530, 110, 620, 200}, 0.8, 0}}, []box{{530, 110, 620, 200}, {515, 60, 631, 215}}},
		"coarser still":             {[]sight{{0, box{690, 40, 815, 210}, 0.5, 0}, {2, box{710, 110, 800, 200}, 0.8, 0}}, []box{{710, 110, 800, 200}, {690, 40, 815, 210}}},
		"coarse and fine":           {[]sight{{0, box{700, 100, 800, 200}, 0.9, 0}, {2, box{710, 110, 815, 215}, 0.8, 0}}, []box{{700, 100, 800, 200}}},
		"one alone":                 {[]sight{{1, box{10, 10, 50, 50}, 0.5, 0}}, []box{{10, 10, 50, 50}}},
		"at the frame's own edge":   {[]sight{{1, box{0, 10, 50, 50}, 0.5, 0}, {2, box{1100, 10, 1152, 50}, 0.5, 0}}, []box{{0, 10, 50, 50}, {1100, 10, 1152, 50}}},
		"nothing":                   {nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			got := merged(seams, c.sights...)
			if len(got) != len(c.want) {
				t.Fatalf("%d objects, want %v: %+v", len(got), c.want, got)
			}
			for _, w := range c.want {
				if !slices.ContainsFunc(got, func(g candidate) bool { return g.box.iou(w) > 0.97 }) {
					t.Errorf("%v is not among %+v", w, got)
				}
			}
		})
	}
}

// TestOrderDoesNotMatter: regions come back as they please.
func TestOrderDoesNotMatter(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	var sights []sight
	for range 120 {
		r := random.IntN(3)
		x, y := float32(seams[r].X)+random.Float32()*500, random.Float32()*500
		sights = append(sights, sight{r, box{x, y, x + 20 + random.Float32()*120, y + 20 + random.Float32()*120}, random.Float32(), int32(random.IntN(3))})
	}
	want := merged(seams, sights...)
	slices.SortFunc(want, byScore)
	for range 10 {
		m := merger{iou: 0.65}
		beginAt(&m, 1152, 640, seams)
		for _, i := range random.Perm(len(seams)) {
			for n, s := range sights {
				if s.region == i {
					sightIn(&m, s, n)
				}
			}
		}
		m.merge()
		slices.SortFunc(m.found, byScore)
		if !slices.Equal(m.found, want) {
			t.Fatalf("%d objects in another order of regions, %d before", len(m.found), len(want))
		}
	}
}

func BenchmarkMerge(b *testing.B) {
	regions := bus.GridRegions(3840, 2160, 640, 0.2)
	random := rand.New(rand.NewPCG(7, 8))
	var all []candidate
	m := merger{iou: 0.65}
	beginAt(&m, 3840, 2160, regions)
	for i, r := range regions {
		var found []candidate
		for n := range 10 {
			x, y := random.Float32()*350, random.Float32()*350
			found = append(found, candidate{box: box{x, y, x + 10 + random.Float32()*60, y + 60}, score: random.Float32(), class: int32(random.IntN(5)), anchor: int32(n)})
		}
		m.place(found, i, picture.Transform{Scale: 416 / float32(r.W), OriginX: float32(r.X), OriginY: float32(r.Y)})
		all = append(all, found...)
	}
	b.ReportAllocs()
	for b.Loop() {
		m.found, m.merged = append(m.found[:0], all...), false
		m.merge()
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte{0, 0, 128, 63, 0, 0, 192, 127, 0, 0, 128, 255}, uint8(0))
	f.Fuzz(func(t *testing.T, data []byte, family uint8) {
		decodeAnything(t, data, family)
	})
}
