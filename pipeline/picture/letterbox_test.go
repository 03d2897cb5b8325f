package picture

import (
	"bytes"
	"math"
	"math/rand/v2"
	"testing"
)

// slowLetterbox is the definition: levels as OpenCV's INTER_LINEAR takes them out of the region, then colours, then the layout.
func slowLetterbox(src *I420, region Rect, l Layout, w, h int) (dst []float32, scale, offX, offY float64) {
	scale = min(float64(w)/float64(region.W), float64(h)/float64(region.H))
	inW, inH := int(float64(region.W)*scale), int(float64(region.H)*scale)
	if l.Centre {
		inW, inH = int(math.Round(float64(region.W)*scale)), int(math.Round(float64(region.H)*scale))
		offX, offY = math.Round(float64(w-inW)/2-0.1), math.Round(float64(h-inH)/2-0.1)
	}
	dst = make([]float32, 3*w*h)
	for i := range dst {
		dst[i] = float32(l.Fill) * l.Scale
	}
	for y := range inH {
		for x := range inW {
			sx := (float64(x)+0.5)*float64(region.W)/float64(inW) - 0.5
			sy := (float64(y)+0.5)*float64(region.H)/float64(inH) - 0.5
			c := src.blend(float64(region.X)+sx, float64(region.Y)+sy, region)
			for i := range 3 {
				part := c[i]
				if !l.RGB {
					part = c[2-i]
				}
				dst[i*w*h+(y+int(offY))*w+x+int(offX)] = float32(math.Round(min(255, max(0, part)))) * l.Scale
			}
		}
	}
	return dst, scale, offX, offY
}

// blend mixes the four nearest pixels inside the region, as colours.
func (p *I420) blend(x, y float64, r Rect) (c [3]float64) {
	at := func(x, y int) [3]float64 {
		return p.rgb(min(r.X+r.W-1, max(r.X, x)), min(r.Y+r.H-1, max(r.Y, y)))
	}
	x0, y0 := math.Floor(x), math.Floor(y)
	fx, fy := x-x0, y-y0
	for _, corner := range [4][2]int{{0, 0}, {1, 0}, {0, 1}, {1, 1}} {
		share := math.Abs(1-float64(corner[0])-fx) * math.Abs(1-float64(corner[1])-fy)
		for i, v := range at(int(x0)+corner[0], int(y0)+corner[1]) {
			c[i] += share * v
		}
	}
	return c
}

// TestLetterboxIsThatOfTraining holds model input against the definition. Chroma is mixed at its own, halved size, which smooth
// pictures show by a few levels.
func TestLetterboxIsThatOfTraining(t *testing.T) {
	layouts := map[string]Layout{
		"yolox":  {Scale: 1, Fill: 114},
		"yolov5": {RGB: true, Scale: 1.0 / 255, Centre: true, Fill: 114},
	}
	for name, l := range layouts {
		for _, size := range [][2]int{{640, 360}, {333, 517}, {96, 96}, {1280, 720}} {
			for _, matrix := range []Matrix{BT601, BT709} {
				src := scene(size[0], size[1], matrix, matrix == BT601)
				for _, region := range []Rect{{0, 0, size[0], size[1]}, {10, 20, size[0] / 2, size[1] / 3}} {
					got := make([]float32, 3*192*192)
					tr, err := NewLetterboxer(l).Fill(got, 192, 192, src, region)
					if err != nil {
						t.Fatal(err)
					}
					want, scale, offX, offY := slowLetterbox(src, region, l, 192, 192)
					if math.Abs(float64(tr.Scale)-scale) > 1e-2*scale || float64(tr.OffsetX) != offX || float64(tr.OffsetY) != offY {
						t.Errorf("%s %v %v: transform %+v, want %g, %g, %g", name, size, region, tr, scale, offX, offY)
						continue
					}
					if far, mean := distance(got, want, l.Scale); far > 14 || mean > 1.2 {
						t.Errorf("%s %v matrix %d %v: off by up to %g levels, %g on average", name, size, matrix, region, far, mean)
					}
				}
			}
		}
	}
}

// distance is the largest and the mean difference, in levels.
func distance(a, b []float32, scale float32) (far, mean float64) {
	for i := range a {
		d := math.Abs(float64(a[i]-b[i])) / float64(scale)
		far, mean = max(far, d), mean+d
	}
	return far, mean / float64(len(a))
}

func TestInverseLeadsBack(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	src := scene(800, 600, BT601, true)
	input := make([]float32, 3*128*160)
	for range 50 {
		r := Rect{random.IntN(300), random.IntN(200), 20 + random.IntN(400), 20 + random.IntN(300)}
		tr, err := NewLetterboxer(Layout{Scale: 1, Centre: random.IntN(2) == 0}).Fill(input, 160, 128, src, r)
		if err != nil {
			t.Fatal(err)
		}
		// The region's corners lie where the transform puts them, within a rounded pixel of the input.
		x1, y1 := tr.OffsetX, tr.OffsetY
		x2, y2 := x1+float32(r.W)*tr.Scale, y1+float32(r.H)*tr.Scale
		box := tr.Inverse([4]float32{x1, y1, x2, y2})
		for i, want := range []int{r.X, r.Y, r.X + r.W, r.Y + r.H} {
			if d := float64(box[i]) - float64(want); math.Abs(d) > 0.01 {
				t.Fatalf("%+v comes back as %v", r, box)
			}
		}
	}
}

func TestLetterboxRefusesWhatDoesNotFit(t *testing.T) {
	src := scene(64, 48, BT601, true)
	l := NewLetterboxer(Layout{Scale: 1})
	for name, c := range map[string]struct {
		dst  []float32
		w, h int
		r    Rect
	}{
		"short":   {make([]float32, 10), 32, 32, Rect{0, 0, 64, 48}},
		"outside": {make([]float32, 3*32*32), 32, 32, Rect{40, 0, 64, 48}},
		"empty":   {make([]float32, 3*32*32), 32, 32, Rect{0, 0, 0, 48}},
		"sizes":   {make([]float32, 3*32*32), -32, -32, Rect{0, 0, 64, 48}},
	} {
		if _, err := l.Fill(c.dst, c.w, c.h, src, c.r); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}

// exactLetterbox counts in the integers that the C code counts in, pixel by pixel.
func (l *Letterboxer) exactLetterbox(src *I420, w, h int) []uint8 {
	p := &l.plan
	n, rows := int(p.inner_w), int(p.inner_h)
	column, row := l.at[:4*n], l.at[4*n:]
	columnPart, rowPart := l.part[:2*n], l.part[2*n:]
	times := func(a, b int32) int32 { return (a*b + 1<<14) >> 15 }
	dst := make([]uint8, 3*w*h)
	for i := range dst {
		dst[i] = uint8(p.fill)
	}
	for y := range rows {
		for x := range n {
			at := func(plane []byte, stride, k int) int32 {
				x0, x1, y0, y1 := int(column[2*k*n+x]), int(column[(2*k+1)*n+x]), int(row[2*k*rows+y]), int(row[(2*k+1)*rows+y])
				across := func(y int) int32 {
					a, b := int32(plane[y*stride+x0]), int32(plane[y*stride+x1])
					return (a-128)<<7 + (b-a)*columnPart[k*n+x]
				}
				return across(y0) + times(across(y1)-across(y0), rowPart[k*rows+y])
			}
			luma := times(at(src.Y, src.StrideY, 0), int32(p.y)) + int32(p.base)
			u, v := 2*at(src.U, src.StrideC, 1), 2*at(src.V, src.StrideC, 1)
			for k, sum := range [3]int32{luma + times(v, int32(p.rv)), luma + times(u, int32(p.gu)) + times(v, int32(p.gv)), luma + times(u, int32(p.bu))} {
				if p.rgb == 0 {
					k = 2 - k
				}
				dst[k*w*h+(y+int(p.top))*w+x+int(p.left)] = uint8(min(255, max(0, sum>>6)))
			}
		}
	}
	return dst
}

// TestLetterboxIsTheSameEverywhere: this processor's vectors give, bit by bit, what single numbers give, up to the planes' last byte and
// for regions that shrink little, much, and grow; and numbers are the levels times the scale.
func TestLetterboxIsTheSameEverywhere(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for i := range 120 {
		l := NewLetterboxer(Layout{Scale: 1.0 / 255, Fill: 114, Centre: i%3 == 0, RGB: i%5 == 0})
		src := New(2+random.IntN(1200), 2+random.IntN(300))
		src.FullRange = i%2 == 0
		if i%4 < 2 {
			src.Matrix = BT709
		}
		for _, plane := range [][]byte{src.Y, src.U, src.V} {
			for i := range plane {
				plane[i] = byte(random.IntN(256)) | byte(-random.IntN(2)) // every second one is white, or has most colour
			}
		}
		r := Rect{X: random.IntN(src.Width), Y: random.IntN(src.Height)}
		r.W, r.H = src.Width-r.X, src.Height-r.Y // up to the last pixel
		w, h := 32+random.IntN(200), 32+random.IntN(100)
		levels, numbers := make([]uint8, 3*w*h), make([]float32, 3*w*h)
		if _, err := l.FillLevels(levels, w, h, src, r); err != nil {
			t.Fatal(err)
		}
		if want := l.exactLetterbox(src, w, h); !bytes.Equal(levels, want) {
			t.Fatalf("%v of %dx%d to %dx%d differs", r, src.Width, src.Height, w, h)
		}
		if _, err := l.Fill(numbers, w, h, src, r); err != nil {
			t.Fatal(err)
		}
		for k, v := range levels {
			if numbers[k] != float32(v)*l.layout.Scale {
				t.Fatalf("level %d is the number %g", v, numbers[k])
			}
		}
	}
}
