package picture

import (
	"slices"
	"testing"
	"time"
)

const frameTime = 40 * time.Millisecond

// still is a picture with a pattern, so that cells differ from each other.
func still(w, h int) *I420 {
	p := New(w, h)
	for y := range h {
		for x := range w {
			p.Y[y*p.StrideY+x] = byte(60 + (x/7+y/5)%100)
		}
	}
	return p
}

func paint(p *I420, r Rect, luma byte) {
	for y := r.Y; y < r.Y+r.H; y++ {
		for x := r.X; x < r.X+r.W; x++ {
			p.Y[y*p.StrideY+x] = luma
		}
	}
}

func movingCells(t *testing.T, m *Motion, p *I420) (cells []Rect) {
	t.Helper()
	if err := m.Update(p, frameTime); err != nil {
		t.Fatal(err)
	}
	columns, moving := m.columns, m.moving
	for i, is := range moving {
		if is {
			cells = append(cells, Rect{i % columns * MotionCell, i / columns * MotionCell, MotionCell, MotionCell})
		}
	}
	return cells
}

func TestMotionIsWhereThingsMove(t *testing.T) {
	for _, size := range [][2]int{{640, 360}, {1919, 1079}, {97, 51}} {
		var m Motion
		for range 5 {
			if c := movingCells(t, &m, still(size[0], size[1])); len(c) > 0 {
				t.Fatalf("%v: a still picture moves at %v", size, c)
			}
		}
		p, at := still(size[0], size[1]), Rect{32, 16, 48, 32}
		paint(p, at, 250)
		found := movingCells(t, &m, p)
		for _, c := range found {
			if c.X+c.W <= at.X || c.X >= at.X+at.W || c.Y+c.H <= at.Y || c.Y >= at.Y+at.H {
				t.Errorf("%v: motion at %v, beside %v", size, c, at)
			}
		}
		if len(found) != 6 {
			t.Errorf("%v: %d cells move, want the 6 of the thing", size, len(found))
		}
	}
}

func TestMotionTakesAThingThatStaysIntoTheBackground(t *testing.T) {
	var m Motion
	movingCells(t, &m, still(320, 192))
	p := still(320, 192)
	paint(p, Rect{64, 64, 64, 64}, 250)
	moved := 0
	for len(movingCells(t, &m, p)) > 0 {
		if moved++; moved > 500 {
			t.Fatal("it moves for ever")
		}
	}
	if moved < 20 {
		t.Errorf("it stood still after %d frames: a slow walker would be overlooked", moved)
	}
}

func TestMotionPassesOverLightAndNoise(t *testing.T) {
	var m Motion
	movingCells(t, &m, still(640, 352))
	brighter := still(640, 352)
	for i := range brighter.Y {
		brighter.Y[i] += 40
	}
	if c := movingCells(t, &m, brighter); len(c) > 0 {
		t.Errorf("a lamp that is lit moves %d cells", len(c))
	}
	single := still(640, 352)
	paint(single, Rect{160, 160, 16, 16}, 250)
	var fresh Motion
	movingCells(t, &fresh, still(640, 352))
	if c := movingCells(t, &fresh, single); len(c) > 0 {
		t.Errorf("one cell alone is motion: %v", c)
	}
}

func TestMotionBeginsAnewWithAnotherSize(t *testing.T) {
	var m Motion
	for _, size := range [][2]int{{640, 352}, {320, 192}, {8, 8}, {640, 352}, {16, 1}} {
		if c := movingCells(t, &m, still(size[0], size[1])); len(c) > 0 {
			t.Errorf("%v: %v", size, c)
		}
	}
	broken := still(64, 64)
	broken.Y = broken.Y[:100]
	if err := m.Update(broken, frameTime); err == nil {
		t.Error("planes that are too short were read")
	}
}

func BenchmarkMotion4K(b *testing.B) {
	var m Motion
	p := still(3840, 2160)
	b.ReportAllocs()
	for b.Loop() {
		if err := m.Update(p, frameTime); err != nil {
			b.Fatal(err)
		}
	}
}

func TestClustersAreWhatMovesTogether(t *testing.T) {
	var m Motion
	if err := m.Update(still(640, 360), frameTime); err != nil {
		t.Fatal(err)
	}
	if c := m.Clusters(1); len(c) != 0 {
		t.Errorf("nothing moves in %v", c)
	}
	p := still(640, 360)
	for _, r := range []Rect{{0, 0, 32, 32}, {48, 0, 32, 32}, {320, 160, 16, 48}, {608, 320, 32, 32}, {400, 304, 32, 16}} {
		paint(p, r, 250)
	}
	if err := m.Update(p, frameTime); err != nil {
		t.Fatal(err)
	}
	// The first two are one cell apart. What lies below the last whole row of cells is not seen.
	want := []Rect{{0, 0, 80, 32}, {320, 160, 16, 48}, {608, 320, 32, 32}}
	if got := m.Clusters(3); !slices.Equal(got, want) {
		t.Errorf("clusters of three cells: %v, want %v", got, want)
	}
	if got := m.Clusters(2); len(got) != 4 {
		t.Errorf("clusters of two cells: %v, want 4", got)
	}
	if n := testing.AllocsPerRun(10, func() { m.Clusters(2) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
