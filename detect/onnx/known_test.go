package onnx

import (
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

const side = 192

// rectangle is one solid colour on a grey ground: 0 red, 1 green, 2 blue.
type rectangle struct {
	colour                   int
	left, top, right, bottom int
}

// paint fills one item of an input, with planes in the order that channels names, white being worth full.
func (r rectangle) paint(item []float32, channels string, full float32) {
	for i := range item {
		item[i] = full * 114 / 255
	}
	for plane := range 3 {
		v := float32(0)
		if strings.IndexByte("rgb", channels[plane]) == r.colour {
			v = full
		}
		for y := r.top; y < r.bottom; y++ {
			for x := r.left; x < r.right; x++ {
				item[(plane*side+y)*side+x] = v
			}
		}
	}
}

// rectangles are as different as possible.
var rectangles = []rectangle{{0, 40, 60, 100, 120}, {1, 0, 0, 192, 192}, {2, 150, 8, 190, 20}, {0, 3, 100, 15, 188}}

// form reads the outputs of one of the three tiny networks, as tiny.py describes them.
type form struct {
	file, channels string
	full           float32
	shape          []int64
	// row gives centre, size, objectness and the three classes of a colour.
	row func(out []float32, colour int) []float32
}

var forms = []form{
	{"tiny.onnx", "bgr", 255, []int64{0, 756, 8}, func(out []float32, colour int) []float32 {
		r := slices.Clone(out[(753+colour)*8:][:8])
		r[0], r[1] = (r[0]+float32(3+colour))*32, (r[1]+5)*32
		for i := 2; i < 4; i++ {
			r[i] = float32(math.Exp(float64(r[i]))) * 32
		}
		return r
	}},
	{"tiny_v5.onnx", "rgb", 1, []int64{0, 2268, 8}, func(out []float32, colour int) []float32 {
		return out[(2268-3+colour)*8:][:8]
	}},
	{"tiny_v8.onnx", "rgb", 1, []int64{0, 7, 756}, func(out []float32, colour int) []float32 {
		var r []float32
		for i := range 7 {
			r = append(r, out[i*756+753+colour])
		}
		return slices.Insert(r, 4, 1)
	}},
}

func (f form) open(t testing.TB, batch int64) *Session {
	t.Helper()
	shape := slices.Clone(f.shape)
	shape[0] = batch
	s, err := Open(Options{
		Model: filepath.Join("../testdata", f.file), Input: Tensor{"images", []int64{batch, 3, side, side}}, Outputs: []Tensor{{"output0", shape}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// TestKnownPicturesGiveKnownBoxes holds the whole output of the tiny networks against the rectangles that were painted.
func TestKnownPicturesGiveKnownBoxes(t *testing.T) {
	for _, f := range forms {
		t.Run(f.file, func(t *testing.T) {
			batch := len(rectangles)
			s := f.open(t, int64(batch))
			for i, r := range rectangles {
				r.paint(s.Input()[i*3*side*side:][:3*side*side], f.channels, f.full)
			}
			if err := s.Run(batch); err != nil {
				t.Fatal(err)
			}
			out := s.Outputs()[0]
			size := len(out) / batch
			for i, r := range rectangles {
				want := []float32{float32(r.left+r.right) / 2, float32(r.top+r.bottom) / 2, float32(r.right - r.left), float32(r.bottom - r.top), 1, 0, 0, 0}
				want[5+r.colour] = 0.98
				got := f.row(out[i*size:][:size], r.colour)
				for j := range want {
					if d := got[j] - want[j]; !(d > -0.01 && d < 0.01) {
						t.Errorf("%+v gives %v, want %v", r, got, want)
						break
					}
				}
				for other := range 3 {
					if row := f.row(out[i*size:][:size], other); other != r.colour && row[4]*row[5+other] > 0.01 {
						t.Errorf("%+v gives colour %d too: %v", r, other, row)
					}
				}
				if n := count(out[i*size:][:size]); n > 3*8 {
					t.Errorf("%+v fills %d numbers", r, n)
				}
			}
		})
	}
}

func count(v []float32) (n int) {
	for _, x := range v {
		if x != 0 {
			n++
		}
	}
	return n
}

// sameBits compares as no tolerance can, NaN and -0 included.
func sameBits(a, b []float32) bool {
	return slices.EqualFunc(a, b, func(x, y float32) bool { return math.Float32bits(x) == math.Float32bits(y) })
}

// TestBatchesAndSinglesAgreeBitByBit: the result of a picture depends neither on its batch nor on its place in it.
func TestBatchesAndSinglesAgreeBitByBit(t *testing.T) {
	for _, f := range forms {
		t.Run(f.file, func(t *testing.T) {
			const batch = 4
			one, all := f.open(t, 1), f.open(t, batch)
			size := len(one.Input())
			for i, r := range rectangles[:batch] {
				r.paint(all.Input()[i*size:][:size], f.channels, f.full)
				for j := range size { // no pixel like another
					all.Input()[i*size+j] *= 0.8 + 0.2*float32((j*7919+i)%997)/997
				}
			}
			for n := 1; n <= batch; n++ {
				if err := all.Run(n); err != nil {
					t.Fatal(err)
				}
				for i := range n {
					copy(one.Input(), all.Input()[i*size:][:size])
					if err := one.Run(1); err != nil {
						t.Fatal(err)
					}
					if alone := one.Outputs()[0]; !sameBits(alone, all.Outputs()[0][i*len(alone):][:len(alone)]) || count(alone) < 8 {
						t.Errorf("item %d of %d differs from the same alone", i, n)
					}
				}
			}
		})
	}
}

// TestSessionsDoNotDisturbEachOther: each of many at once finds its own rectangle in every run.
func TestSessionsDoNotDisturbEachOther(t *testing.T) {
	var wait sync.WaitGroup
	for i := range 6 {
		f, r := forms[i%len(forms)], rectangles[i%len(rectangles)]
		s := f.open(t, 1)
		r.paint(s.Input(), f.channels, f.full)
		wait.Go(func() {
			var first []float32
			for run := range 15 {
				if err := s.Run(1); err != nil {
					t.Error(err)
					return
				}
				if run == 0 {
					first = slices.Clone(s.Outputs()[0])
				}
				if row := f.row(s.Outputs()[0], r.colour); math.Abs(float64(row[2])-float64(r.right-r.left)) > 0.01 || !sameBits(first, s.Outputs()[0]) {
					t.Errorf("run %d of %+v gives %v", run, r, row)
				}
				clear(s.Outputs()[0])
			}
		})
	}
	wait.Wait()
}

// tasks counts the threads of this process.
func tasks(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}
