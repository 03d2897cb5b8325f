package detect

import (
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"

	"github.com/sightline/sightline/models"
	"github.com/sightline/sightline/pipeline/bus"
)

func packerOf(width, height int) packer {
	return packer{shapesOf(models.Spec{Width: width, Height: height, Head: []models.Level{{Stride: 8}}})}
}

func TestShapesAreFewAndFitTheGrids(t *testing.T) {
	for _, own := range []shape{{416, 416}, {640, 640}, {416, 320}, {192, 192}} {
		shapes := packerOf(own.width, own.height).shapes
		if shapes[0] != own || len(shapes) > len(shares)*len(shares) {
			t.Errorf("%v: %v", own, shapes)
		}
		for i, s := range shapes {
			if s.width%stride != 0 || s.height%stride != 0 || s.width < stride || s.height < stride || slices.Contains(shapes[:i], s) {
				t.Errorf("%v has %v", own, s)
			}
		}
	}
	if whole := shapesOf(models.Spec{Width: 416, Height: 416}); len(whole) != 1 {
		t.Errorf("a network that is bound to its size has %v", whole)
	}
}

func TestRegionsGetTheSmallestShapeThatShowsThem(t *testing.T) {
	p := packerOf(416, 416)
	for r, want := range map[bus.Region]shape{
		{W: 3840, H: 2160}: {416, 256}, {W: 640, H: 480}: {416, 320}, {W: 1080, H: 1920}: {256, 416}, {W: 640, H: 640}: {416, 416},
		{W: 4000, H: 500}: {416, 256}, {W: 100, H: 90}: {416, 416}, {W: 1, H: 1}: {416, 416},
	} {
		looks := p.pack(nil, []bus.Region{r}, bus.PolicyOff)
		if len(looks) != 1 || p.shapes[looks[0].shape] != want || looks[0].region != r {
			t.Errorf("%v: %+v, want %v", r, looks, want)
		}
	}
}

// TestNeighboursAreLookedAtTogether: what was asked for is shown at its scale, once, and for less than one by one.
func TestNeighboursAreLookedAtTogether(t *testing.T) {
	p := packerOf(416, 416)
	for _, size := range [][2]int{{3840, 2160}, {1920, 1080}, {1280, 720}, {2560, 1440}, {7680, 4320}, {1000, 3000}} {
		regions := bus.GridRegions(size[0], size[1], 640, 0.2)
		holdPacked(t, p, regions, 0.85)
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 100 {
		regions := []bus.Region{{W: 3840, H: 2160}}
		for range random.IntN(20) {
			regions = append(regions, bus.Region{X: random.IntN(3200), Y: random.IntN(1520), W: 640, H: 640})
		}
		holdPacked(t, p, regions, 1)
	}
}

func holdPacked(t *testing.T, p packer, regions []bus.Region, most float64) {
	t.Helper()
	looks := p.pack(nil, regions, bus.PolicyAdaptive)
	if asked(looks) != len(regions) {
		t.Errorf("%d of %d regions are looked at", asked(looks), len(regions))
	}
	if alone := len(regions) * p.shapes[0].area(); float64(p.pixels(looks)) > most*float64(alone) {
		t.Errorf("%v: %d pixels, %d one by one", regions[0], p.pixels(looks), alone)
	}
	for _, r := range regions {
		if !slices.ContainsFunc(looks, func(l look) bool {
			return union(l.region, r) == l.region && p.shapes[l.shape].scale(l.region) >= sameScale*p.shapes[0].scale(r)
		}) {
			t.Errorf("nothing shows %v at its scale", r)
		}
	}
	for i := 1; i < len(looks); i++ {
		if p.shapes[looks[i-1].shape].area() < p.shapes[looks[i].shape].area() {
			t.Errorf("look %d is larger than the one before it", i)
		}
	}
}

// TestTilesTogetherCostLess: four of them with the shipped network, which takes any size.
func TestTilesTogetherCostLess(t *testing.T) {
	const tile = 416
	p := paint(2*tile-96, 2*tile-96, block{0, 90, 100, 180, 120}, block{1, 350, 350, 90, 90}, block{2, 560, 120, 110, 150})
	regions := bus.GridRegions(p.Width, p.Height, tile, 0.1)[1:]
	for _, c := range []struct {
		one    bool
		policy bus.Policy
		pixels int
	}{{false, bus.PolicyAdaptive, 736 * 736}, {true, bus.PolicyAdaptive, 4 * tile * tile}, {false, bus.PolicyGrid, 4 * tile * tile}} {
		e := open(t, filepath.Join("..", "..", "models", "yolox-nano-int8.onnx"), func(cfg *Config) { cfg.OneShape, cfg.Score = c.one, 0.3 })
		r, err := e.Detect(t.Context(), Look{Picture: p, Regions: regions, Policy: c.policy})
		if err != nil {
			t.Fatal(err)
		}
		if r.Run < len(regions) || e.Pixels(regions, c.policy) != c.pixels || r.Pixels < c.pixels {
			t.Errorf("%+v: %d regions, %d pixels", c, r.Run, r.Pixels)
		}
	}
}

func BenchmarkPack(b *testing.B) {
	p := packerOf(416, 416)
	regions := bus.GridRegions(3840, 2160, 640, 0.2)
	var looks []look
	b.ReportAllocs()
	for b.Loop() {
		looks = p.pack(looks[:0], regions, bus.PolicyAdaptive)
	}
}
