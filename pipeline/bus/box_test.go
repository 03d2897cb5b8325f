package bus

import "testing"

func TestBoxesOverlap(t *testing.T) {
	b := Box{10, 10, 20, 30}
	for _, c := range []struct {
		other       Box
		common, iou float64
		holds       bool
	}{
		{b, 200, 1, true}, {Box{12, 12, 14, 14}, 4, 4.0 / 200, true}, {Box{15, 10, 25, 30}, 100, 100.0 / 300, false},
		{Box{20, 10, 30, 30}, 0, 0, false}, {Box{40, 40, 50, 50}, 0, 0, false}, {Box{15, 15, 15, 15}, 0, 0, true},
	} {
		if got := b.Common(c.other); got != c.common {
			t.Errorf("%v: common area %v, want %v", c.other, got, c.common)
		}
		if got, back := b.IoU(c.other), c.other.IoU(b); got != c.iou || back != c.iou {
			t.Errorf("%v: IoU %v and %v, want %v", c.other, got, back, c.iou)
		}
		if got := b.Holds(c.other); got != c.holds {
			t.Errorf("%v: held %v", c.other, got)
		}
	}
	if a := (Box{5, 5, 1, 9}).Area(); a != 0 {
		t.Errorf("a box that ends before it begins has an area of %v", a)
	}
}
