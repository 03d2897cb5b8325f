package detect

import (
	"testing"

	"github.com/sightline/sightline/pipeline/bus"
)

// hook is an object that no tile of seams shows whole, and whose pieces do not agree along the seam.
var hook = []block{{0, 400, 100, 100, 300}, {0, 490, 100, 180, 80}}

func TestWhatASeamCutIsLookedAtAgain(t *testing.T) {
	e := open(t, "tiny.onnx", nil)
	p := paint(1152, 640, hook...)
	for policy, least := range map[bus.Policy]int{bus.PolicyGrid: 3, bus.PolicyAdaptive: 2} {
		r, err := e.Detect(t.Context(), Look{Picture: p, Regions: seams[1:], Policy: policy})
		if err != nil {
			t.Fatal(err)
		}
		if policy == bus.PolicyAdaptive {
			if r.Run != 2 || len(r.Objects) == 1 {
				t.Errorf("adaptive: %d looks, %+v: the plan's owner looks again, not the detector", r.Run, r.Objects)
			}
			continue
		}
		if r.Run < least || r.Run > 4 {
			t.Errorf("%s: %d looks", policy, r.Run)
		}
		holdBlocks(t, r.Objects, 16, block{0, 400, 100, 270, 300})
	}
}

// TestSecondLooksThatFailTakeNothing: the pixels were taken back meanwhile.
func TestSecondLooksThatFailTakeNothing(t *testing.T) {
	e := open(t, "tiny.onnx", nil)
	p := paint(1152, 640, hook...)
	first, err := e.Detect(t.Context(), Look{Picture: p, Regions: seams[1:]})
	if err != nil {
		t.Fatal(err)
	}
	asked, prepared := 0, 0
	valid := func() bool {
		asked++
		return asked <= 2
	}
	r, err := e.Detect(t.Context(), Look{Picture: p, Regions: seams[1:], Policy: bus.PolicyGrid, Valid: valid, OnPrepared: func() { prepared++ }})
	if err != nil {
		t.Fatal(err)
	}
	if asked < 3 || prepared != 1 || r.Run != 2 || len(r.Objects) != len(first.Objects) {
		t.Errorf("asked %d times, prepared %d times, %d looks, %d objects, want %d", asked, prepared, r.Run, len(r.Objects), len(first.Objects))
	}
}

func TestSecondLooksShowWhatWasCut(t *testing.T) {
	for name, c := range map[string]struct {
		found sight
		rest  box // what must be in the tile with the piece
		looks int
	}{
		"to the right":  {sight{1, box{500, 100, 640, 300}, 0.9, 0}, box{500, 100, 900, 300}, 1},
		"to the left":   {sight{2, box{512, 100, 700, 300}, 0.9, 0}, box{200, 100, 700, 300}, 1},
		"not cut":       {sight{1, box{500, 100, 600, 300}, 0.9, 0}, box{}, 0},
		"hardly seen":   {sight{1, box{500, 100, 640, 300}, 0.1, 0}, box{}, 0},
		"larger still":  {sight{1, box{10, 100, 640, 300}, 0.9, 0}, box{}, 0},
		"by the whole":  {sight{0, box{500, 100, 640, 300}, 0.9, 0}, box{}, 0},
		"frame's edges": {sight{1, box{0, 0, 300, 300}, 0.9, 0}, box{}, 0},
	} {
		m := merger{iou: 0.65}
		beginAt(&m, 1152, 640, seams)
		sightIn(&m, c.found, 0)
		looks := m.second()
		if len(looks) != c.looks {
			t.Errorf("%s: %v, want %d", name, looks, c.looks)
			continue
		}
		if c.looks == 1 && !box(looks[0].Box()).holds(c.rest) {
			t.Errorf("%s: %v does not show %v", name, looks[0], c.rest)
		}
	}
}

func TestSecondLooksAreFewAndSharedByNeighbours(t *testing.T) {
	m := merger{iou: 0.65}
	beginAt(&m, 1152, 640, seams)
	for i := range 3 {
		y := float32(100 + 60*i)
		sightIn(&m, sight{1, box{500, y, 640, y + 40}, 0.9, int32(i)}, i)
	}
	if looks := m.second(); len(looks) != 1 {
		t.Errorf("three neighbours: %v, want one look", looks)
	}
	grid := bus.GridRegions(3840, 2160, 640, 0.2)
	beginAt(&m, 3840, 2160, grid)
	for i := 1; i < len(grid); i++ {
		r := box(grid[i].Box())
		sightIn(&m, sight{i, box{r[2] - 300, r[1] + 300, r[2], r[1] + 340}, 0.9, int32(i)}, i)
	}
	if looks := m.second(); len(looks) != maxSecond {
		t.Errorf("%d looks, want %d", len(looks), maxSecond)
	}
}
