package picture

import (
	"math"
	"testing"
)

// lit tells where the luma of a picture that was all zero is not.
func lit(p *I420, x, y int) bool { return p.Y[y*p.StrideY+x] != 0 }

func TestLineIsDrawnAlongItsWay(t *testing.T) {
	for name, ends := range map[string][2]Point{
		"across": {{10, 20}, {90, 20}}, "down": {{50, 5}, {50, 70}}, "up": {{50, 70}, {50, 5}}, "flat": {{5, 70}, {95, 30}}, "steep": {{60, 75}, {40, 2}},
		"point": {{7, 9}, {7, 9}}, "beyond": {{-500, -300}, {700, 500}}, "outside": {{-10, 0}, {-10, 80}},
	} {
		t.Run(name, func(t *testing.T) {
			p, intact := guarded(101, 81)
			a, b := ends[0], ends[1]
			DrawLine(p, a, b, Colour{255, 255, 255}, 3)
			dx, dy := float64(b.X-a.X), float64(b.Y-a.Y)
			length := math.Max(math.Hypot(dx, dy), 1)
			for y := range p.Height {
				for x := range p.Width {
					u, v := float64(x-a.X), float64(y-a.Y)
					along, beside := (u*dx+v*dy)/length, math.Abs(u*dy-v*dx)/length
					if lit(p, x, y) && (beside > 2.6 || along < -2.6 || along > length+2.6) {
						t.Fatalf("%d, %d is drawn, %.1f beside the line", x, y, beside)
					}
					if !lit(p, x, y) && name != "point" && beside < 0.7 && along > 0 && along < length {
						t.Fatalf("%d, %d is on the line and not drawn", x, y)
					}
				}
			}
			if !intact() {
				t.Error("something was written outside the planes")
			}
		})
	}
}

func TestHatchDarkensTheInsideAlone(t *testing.T) {
	p, intact := guarded(101, 81)
	for y := range p.Height {
		for x := range p.Width {
			p.Y[y*p.StrideY+x] = 90
		}
	}
	Hatch(p, []Point{{10, 10}, {150, 10}, {150, 60}, {50, 60}, {50, 30}, {10, 30}}, 8) // an L that reaches beyond the picture
	dark := 0
	for y := range p.Height {
		for x := range p.Width {
			inside := y >= 10 && y < 60 && x >= 10 && (x >= 50 || y < 30)
			switch got := p.Y[y*p.StrideY+x]; {
			case got == 60 && inside && (x+y)%8 < 2:
				dark++
			case got != 90 || inside && (x+y)%8 < 2:
				t.Fatalf("luma at %d, %d is %d", x, y, got)
			}
		}
	}
	if dark < 500 || !intact() {
		t.Errorf("%d pixels are dark; planes intact: %v", dark, intact())
	}
}

func TestShapesOfAnyKindAreSurvived(t *testing.T) {
	p, intact := guarded(64, 48)
	many := make([]Point, MaxCorners+1)
	for i, corners := range [][]Point{
		nil, {{1, 1}}, {{1, 1}, {30, 30}}, {{-1 << 30, 0}, {1 << 30, 0}, {5, 40}}, {{0, 0}, {63, 47}, {63, 0}, {0, 47}}, {{-900, -900}, {900, -900}, {0, 900}}, many,
	} {
		DrawPolygon(p, corners, Colour{R: 255}, 1+2*i)
		Hatch(p, corners, i)
		Hatch(p, corners, 4+i)
	}
	DrawLine(p, Point{0, 0}, Point{10, 10}, Colour{}, 0)
	broken := &I420{Width: 64, Height: 48}
	DrawLine(broken, Point{0, 0}, Point{10, 10}, Colour{}, 3)
	Hatch(broken, []Point{{0, 0}, {60, 0}, {60, 40}}, 8)
	if !intact() {
		t.Error("something was written outside the planes")
	}
}

// BenchmarkScene draws what a busy scene has: two zones, a line and a mask.
func BenchmarkScene(b *testing.B) {
	p := New(1280, 720)
	zone, mask := []Point{{0, 430}, {1279, 430}, {1279, 719}, {0, 719}}, []Point{{0, 0}, {1279, 0}, {1279, 140}, {0, 140}}
	b.ReportAllocs()
	for b.Loop() {
		DrawPolygon(p, zone, Colour{255, 196, 0}, 2)
		DrawPolygon(p, mask, Colour{128, 128, 128}, 1)
		DrawLine(p, Point{640, 719}, Point{600, 0}, Colour{0, 196, 255}, 2)
		Hatch(p, mask, 16)
	}
}
