package bus

import (
	"encoding/json"
	"slices"
	"testing"
)

func TestGridRegions(t *testing.T) {
	got := GridRegions(1000, 600, 640, 0.2)
	want := []Region{{0, 0, 1000, 600}, {0, 0, 640, 600}, {360, 0, 640, 600}}
	if len(got) != len(want) {
		t.Fatalf("got %v, want %v", got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("region %d: got %v, want %v", i, got[i], want[i])
		}
	}
	if n := len(GridRegions(3840, 2160, 640, 0.2)); n != 1+8*4 {
		t.Errorf("4K by 640: got %d regions, want 33", n)
	}
	for i, x := range []int{0, 453, 906, 1360} { // evenly, not 0, 512, 1024, 1360
		if got := GridRegions(2000, 640, 640, 0.2)[1+i].X; got != x {
			t.Errorf("column %d of 2000 pixels begins at %d, want %d", i, got, x)
		}
	}
	if got := GridRegions(640, 480, 640, 0.2); len(got) != 1 {
		t.Errorf("a frame that fits one tile: got %v", got)
	}
	if got := GridRegions(0, 480, 640, 0.2); got != nil {
		t.Errorf("no frame: got %v", got)
	}
}

func TestAdaptiveDoesWithoutAFewTiles(t *testing.T) {
	for _, c := range []struct {
		policy        Policy
		width, height int
		want          int
	}{{PolicyOff, 3840, 2160, 1}, {"", 3840, 2160, 1}, {PolicyGrid, 768, 432, 3}, {PolicyAdaptive, 768, 432, 1}, {PolicyAdaptive, 1280, 720, 7}, {PolicyAdaptive, 3840, 2160, 33}} {
		if got := len(c.policy.Regions(c.width, c.height, 640, 0.2)); got != c.want {
			t.Errorf("%q, %dx%d: %d regions, want %d", c.policy, c.width, c.height, got, c.want)
		}
	}
}

func TestAdaptiveLooksAtAStillAsTheGridDoes(t *testing.T) {
	for _, c := range []struct {
		policy, want Policy
		width        int
	}{{PolicyOff, PolicyOff, 3840}, {PolicyGrid, PolicyGrid, 320}, {PolicyAdaptive, PolicyGrid, 3840}, {PolicyAdaptive, PolicyOff, 768}} {
		policy, regions := c.policy.Still(c.width, 480, 640, 0.2)
		if policy != c.want || len(regions) != len(c.policy.Regions(c.width, 480, 640, 0.2)) {
			t.Errorf("%s of %dx480: %s, %v", c.policy, c.width, policy, regions)
		}
	}
}

// FuzzGridRegions holds the plan against its promises: inside the frame, every pixel seen, no less overlap than asked.
func FuzzGridRegions(f *testing.F) {
	f.Add(3840, 2160, 640, 0.2)
	f.Add(641, 640, 640, 0.9)
	f.Add(16384, 2400, 1, 0.5)
	f.Fuzz(func(t *testing.T, width, height, size int, overlap float64) {
		if validateSize(width, height) != nil || size > MaxSide {
			t.Skip("no such frame")
		}
		frame := jpegFrame("gate", 1)
		frame.Width, frame.Height, frame.Regions = width, height, GridRegions(width, height, size, overlap)
		if err := frame.Validate(); err != nil {
			t.Fatal(err)
		}
		if frame.Regions[0] != (Region{0, 0, width, height}) {
			t.Fatalf("the first region is %v", frame.Regions[0])
		}
		if len(frame.Regions) == 1 {
			return
		}
		last, overlapped := frame.Regions[1], 0
		if last.X != 0 || last.Y != 0 {
			t.Fatalf("the first tile is %v", last)
		}
		for _, r := range frame.Regions[2:] {
			if r.Y == last.Y && r.X > last.X+last.W || r.Y > last.Y+last.H {
				t.Fatalf("between %v and %v nobody looks", last, r)
			}
			last, overlapped = r, overlapped+1
		}
		if last.X+last.W != width || last.Y+last.H != height {
			t.Fatalf("the last tile %v does not end with the frame", last)
		}
	})
}

func TestRegionsTravelAsFourNumbers(t *testing.T) {
	text, err := json.Marshal([]Region{{1, 2, 3, 4}})
	if err != nil || string(text) != "[[1,2,3,4]]" {
		t.Errorf("%s, %v", text, err)
	}
	var back []Region
	if err := json.Unmarshal(text, &back); err != nil || back[0] != (Region{1, 2, 3, 4}) {
		t.Errorf("%v, %v", back, err)
	}
	for _, bad := range []string{"[[1,2,3]]", "[[1,2,3,4,5]]", `["here"]`, "[[1.5,2,3,4]]"} {
		if err := json.Unmarshal([]byte(bad), &back); err == nil {
			t.Errorf("%s was read as %v", bad, back)
		}
	}
}

func TestPoliciesHaveTheirRegions(t *testing.T) {
	for policy, want := range map[Policy]int{"": 1, PolicyOff: 1, PolicyGrid: 33, PolicyAdaptive: 33} {
		if got := policy.Regions(3840, 2160, 640, 0.2); len(got) != want || got[0] != (Region{0, 0, 3840, 2160}) {
			t.Errorf("%s: %d regions, the first %v", policy, len(got), got[0])
		}
	}
}

func TestFixedRegions(t *testing.T) {
	for name, c := range map[string]struct {
		part Box
		most int
		want []Region
	}{
		"small":           {Box{0.1, 0.2, 0.3, 0.5}, 10, []Region{{100, 100, 200, 150}}},
		"larger than one": {Box{0, 0, 1, 0.4}, 10, []Region{{0, 0, 400, 200}, {300, 0, 400, 200}, {600, 0, 400, 200}}},
		"too many":        {Box{0, 0, 1, 1}, 3, []Region{{0, 0, 1000, 500}}},
		"none left":       {Box{0, 0, 1, 1}, 0, nil},
		"a point":         {Box{1, 1, 1, 1}, 3, []Region{{999, 499, 1, 1}}},
	} {
		if got := FixedRegions([]Box{c.part}, 1000, 500, 400, 0.2, c.most); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}
