package detect

import (
	"path/filepath"
	"slices"
	"testing"

	"github.com/sightline/sightline/models"
	"github.com/sightline/sightline/pipeline/bus"
)

func shapesAt(width, height int) shapes {
	return shapesOf(models.Spec{Width: width, Height: height, Head: []models.Level{{Stride: 8}}})
}

func TestShapesAreFew(t *testing.T) {
	for _, own := range []shape{{416, 416}, {640, 640}, {416, 320}, {192, 192}, {32, 32}} {
		all := shapesAt(own.width, own.height)
		if all[0] != own || len(all) > len(shares)*len(shares) {
			t.Errorf("%v: %v", own, all)
		}
		for i, s := range all {
			if s.width%stride != 0 || s.height%stride != 0 || s.width < stride || s.height < stride || s.area() > own.area() || slices.Contains(all[:i], s) {
				t.Errorf("%v has %v", own, s)
			}
		}
	}
	if whole := shapesOf(models.Spec{Width: 416, Height: 416}); len(whole) != 1 {
		t.Errorf("a network that is bound to its size has %v", whole)
	}
}

func TestRegionsGetTheSmallestShapeThatShowsThem(t *testing.T) {
	for _, c := range []struct {
		own    shape
		region bus.Region
		want   shape
	}{
		{shape{416, 416}, bus.Region{W: 3840, H: 2160}, shape{416, 256}},
		{shape{416, 416}, bus.Region{W: 640, H: 480}, shape{416, 320}},
		{shape{416, 416}, bus.Region{W: 1080, H: 1920}, shape{256, 416}},
		{shape{416, 416}, bus.Region{W: 640, H: 640}, shape{416, 416}},
		{shape{416, 416}, bus.Region{W: 4000, H: 500}, shape{416, 256}},
		{shape{416, 416}, bus.Region{W: 1, H: 1}, shape{416, 416}},
		{shape{640, 640}, bus.Region{W: 3840, H: 2160}, shape{640, 384}},
		{shape{416, 320}, bus.Region{W: 1920, H: 1080}, shape{416, 256}},
	} {
		all := shapesAt(c.own.width, c.own.height)
		if got := all[all.fit(c.region)]; got != c.want {
			t.Errorf("%v of %v is looked at as %v, want %v", c.region, c.own, got, c.want)
		}
	}
}

// TestWideFramesCostLess: with the shipped network, which takes any size. What is found so is measured by
// TestShippedModelHoldsItsAccuracy in tools/evaluate.
func TestWideFramesCostLess(t *testing.T) {
	if device := (Config{Devices: testDevices}).device(); !anyShape(device) {
		t.Skip(device, " has one shape")
	}
	p := paint(640, 360, block{0, 100, 60, 120, 90})
	for one, pixels := range map[bool]int{true: 416 * 416, false: 416 * 256} {
		e := open(t, filepath.Join("..", "..", "models", "yolox-nano-int8.onnx"), func(c *Config) { c.OneShape = one })
		r, err := e.Detect(t.Context(), Look{Picture: p})
		if err != nil {
			t.Fatal(err)
		}
		if r.Pixels != pixels || e.Pixels([]bus.Region{{W: 640, H: 360}}) != pixels {
			t.Errorf("one shape %v: %d pixels, want %d", one, r.Pixels, pixels)
		}
	}
}
