package picture

import "testing"

func TestPartIsWhereItSays(t *testing.T) {
	p, _ := guarded(101, 81)
	for y := range p.Height {
		for x := range p.Width {
			p.Y[y*p.StrideY+x] = byte(x + y)
			p.U[y/2*p.StrideC+x/2] = byte(x/2 + 100)
			p.V[y/2*p.StrideC+x/2] = byte(y/2 + 100)
		}
	}
	for r, want := range map[Rect]Rect{
		{20, 10, 40, 30}: {20, 10, 40, 30}, {21, 11, 40, 30}: {20, 10, 41, 31}, {-50, -50, 500, 500}: {0, 0, 101, 81}, {90, 70, 50, 50}: {84, 64, 16, 16},
		{50, 50, 0, 0}: {50, 50, 16, 16}, {900, 900, 10, 10}: {84, 64, 16, 16}, {-900, 5, 10, 30}: {0, 4, 16, 31}, {1 << 40, -1 << 40, -5, 1 << 41}: {84, 0, 16, 81},
	} {
		got, err := Part(p, r)
		if err != nil {
			t.Errorf("%v: %v", r, err)
			continue
		}
		if err := got.check(); err != nil {
			t.Errorf("%v: %v", r, err)
		}
		if got.Width != want.W || got.Height != want.H || got.Y[0] != byte(want.X+want.Y) || got.U[0] != byte(want.X/2+100) || got.V[0] != byte(want.Y/2+100) {
			t.Errorf("%v gives %dx%d from luma %d, want %v", r, got.Width, got.Height, got.Y[0], want)
		}
	}
	for _, bad := range []*I420{{}, New(8, 100), {Width: 64, Height: 64}} {
		if _, err := Part(bad, Rect{0, 0, 20, 20}); err == nil {
			t.Errorf("a part of %dx%d was given", bad.Width, bad.Height)
		}
	}
}
