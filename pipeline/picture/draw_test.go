package picture

import (
	"bytes"
	"testing"
)

// guarded is a picture whose planes have rows longer than needed and guards around them, so that a stray write is seen.
func guarded(w, h int) (p *I420, intact func() bool) {
	const guard, mark = 64, 0xA5
	cw, ch := (w+1)/2, (h+1)/2
	p = &I420{Width: w, Height: h, StrideY: w + 7, StrideC: cw + 5}
	var all [3][]byte
	plane := func(i, stride, rows, width int) []byte {
		all[i] = bytes.Repeat([]byte{mark}, guard+stride*rows+guard)
		inner := all[i][guard : guard+stride*rows]
		for y := range rows {
			clear(inner[y*stride : y*stride+width])
		}
		return inner
	}
	p.Y, p.U, p.V = plane(0, p.StrideY, h, w), plane(1, p.StrideC, ch, cw), plane(2, p.StrideC, ch, cw)
	return p, func() bool {
		ok := true
		check := func(i, stride, rows, width int) {
			ok = ok && bytes.Count(all[i][:guard], []byte{mark}) == guard && bytes.Count(all[i][guard+stride*rows:], []byte{mark}) == guard
			for y := range rows {
				ok = ok && bytes.Count(all[i][guard+y*stride+width:guard+(y+1)*stride], []byte{mark}) == stride-width
			}
		}
		check(0, p.StrideY, h, w)
		check(1, p.StrideC, ch, cw)
		check(2, p.StrideC, ch, cw)
		return ok
	}
}

func TestBoxIsDrawnWhereItSays(t *testing.T) {
	p, intact := guarded(101, 81)
	c := Colour{255, 0, 0}
	DrawBox(p, Rect{X: 20, Y: 10, W: 40, H: 30}, c, 3)
	y, _, _ := c.yuv(p.Matrix, p.FullRange)
	for row := range p.Height {
		for x := range p.Width {
			inside := x >= 20 && x < 60 && row >= 10 && row < 40
			hole := x >= 23 && x < 57 && row >= 13 && row < 37
			want := byte(0)
			if inside && !hole {
				want = y
			}
			if got := p.Y[row*p.StrideY+x]; got != want {
				t.Fatalf("luma at %d, %d is %d, want %d", x, row, got, want)
			}
		}
	}
	if !intact() {
		t.Error("something was written outside the planes")
	}
}

func TestDrawingStaysInsideThePicture(t *testing.T) {
	for _, r := range []Rect{
		{-10, -10, 30, 30}, {90, 70, 50, 50}, {-1 << 40, 5, 1 << 41, 9}, {5, -1 << 40, 9, 1 << 41}, {1 << 40, 1 << 40, 5, 5},
		{0, 0, 101, 81}, {50, 40, 0, 5}, {50, 40, -5, 5}, {50, 40, 1, 1}, {100, 80, 1, 1},
	} {
		p, intact := guarded(101, 81)
		DrawBox(p, r, Colour{0, 255, 0}, 4)
		DrawLabel(p, r.X, r.Y, "person 0.97 \x00ü€", Colour{0, 255, 0})
		if !intact() {
			t.Errorf("%+v writes outside the planes", r)
		}
	}
	short := &I420{Width: 100, Height: 100, StrideY: 100, StrideC: 50, Y: make([]byte, 10)}
	DrawBox(short, Rect{0, 0, 50, 50}, Colour{}, 2) // must not panic
	DrawLabel(short, 0, 0, "x", Colour{})
}

// TestLabelStandsAboveItsPoint: the background lies above the corner, with ink of another luma on it; below it where there is no
// room above.
func TestLabelStandsAboveItsPoint(t *testing.T) {
	for _, at := range []struct{ y, from, to int }{{60, 20, 60}, {2, 2, 40}} {
		p, _ := guarded(320, 120)
		DrawLabel(p, 40, at.y, "person 0.97", Colour{30, 30, 200})
		first, last, levels := -1, -1, map[byte]bool{}
		for y := range p.Height {
			if p.Y[y*p.StrideY+44] == 0 && p.Y[y*p.StrideY+60] == 0 {
				continue
			}
			if first < 0 {
				first = y
			}
			last = y
			for x := 40; x < 120; x++ {
				levels[p.Y[y*p.StrideY+x]] = true
			}
		}
		if first < at.from-2 || last > at.to || last-first < 10 || len(levels) < 3 {
			t.Errorf("at %d the label is on rows %d to %d with %d levels", at.y, first, last, len(levels))
		}
	}
}

func TestColoursOfClassesAreStableAndFarFromTheirNeighbours(t *testing.T) {
	for id := range 80 {
		a, b := ColourOf(id), ColourOf(id+1)
		d := absolute(int(a.R)-int(b.R)) + absolute(int(a.G)-int(b.G)) + absolute(int(a.B)-int(b.B))
		if d < 100 || a != ColourOf(id) {
			t.Errorf("classes %d and %d have %v and %v", id, id+1, a, b)
		}
	}
	if ColourOf(-3) == (Colour{}) {
		t.Error("a class that does not exist is black")
	}
}

func absolute(n int) int { return max(n, -n) }
