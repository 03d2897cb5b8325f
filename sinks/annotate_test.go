package sinks

import (
	"fmt"
	"testing"
	"time"

	"github.com/sightline/sightline/pipeline/bus"
	"github.com/sightline/sightline/pipeline/picture"
)

// scene is a picture with texture that differs with n, and twelve objects.
func scene(w, h, n int) (*picture.I420, *bus.Detections) {
	p := picture.New(w, h)
	for i := range p.Y {
		p.Y[i] = byte(60 + (i*7+n*3)%60)
	}
	fill(p.U, 120)
	fill(p.V, 130)
	d := &bus.Detections{Session: "s", Frame: bus.Size{Width: w, Height: h}}
	for i := range 12 {
		x, y := float32(w*(i%4)/4), float32(h*(i/4)/3)
		d.Objects = append(d.Objects, bus.Object{Label: fmt.Sprintf("label%d", i%3), ClassID: i, Score: 0.9 - float32(i)/20, Box: bus.Box{x + 5, y + 5, x + float32(w)/5, y + float32(h)/4}})
	}
	return p, d
}

func TestPaintingAllocatesNothing(t *testing.T) {
	pic, d := scene(640, 360, 0)
	f := detected(d)
	var p painter
	if n := testing.AllocsPerRun(20, func() { p.paint(pic, f) }); n != 0 {
		t.Errorf("%v allocations a picture", n)
	}
}

func TestCaptionsAreBounded(t *testing.T) {
	var p painter
	for i := range 3 * maxCaptions {
		p.caption(fmt.Sprint(i), 0.5)
	}
	if len(p.captions) > maxCaptions {
		t.Errorf("%d captions are kept", len(p.captions))
	}
	if s := p.caption("person", 0.874); s != "person 0.87" {
		t.Errorf("caption %q", s)
	}
}

func TestPaintingSurvivesAnyBox(t *testing.T) {
	pic, d := scene(64, 48, 0)
	for _, box := range []bus.Box{{-500, -500, 9000, 9000}, {10, 10, 10, 10}, {30, 30, 5, 5}, {63, 47, 64, 48}, {-9e9, 0, 9e9, 3}} {
		d.Objects = append(d.Objects, bus.Object{Label: "x", Box: box})
	}
	(&painter{}).paint(pic, detected(d))
	d.Frame = bus.Size{}
	(&painter{}).paint(pic, detected(d))
}

// bench is an annotator without a bus, with one viewer who takes everything.
func bench(b *testing.B) (*annotator, *watcher) {
	a := newAnnotator("gate", Config{}.withDefaults(), nil, nil, &counters{}, quiet())
	b.Cleanup(a.stream.close)
	v := newWatcher()
	a.attach(v)
	return a, v
}

// BenchmarkAnnotate is all the work for one frame that lies in memory: scale, draw, code, make packets, queue.
func BenchmarkAnnotate(b *testing.B) {
	for _, size := range [][2]int{{1280, 720}, {3840, 2160}} {
		b.Run(fmt.Sprintf("%dx%d", size[0], size[1]), func(b *testing.B) {
			a, v := bench(b)
			var pics [2]*picture.I420
			var d *bus.Detections
			for i := range pics {
				pics[i], d = scene(size[0], size[1], i)
			}
			begun := time.Now()
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				s := a.pending.take()
				if s.pic == nil {
					s.pic = picture.New(1280, 720)
				}
				if err := picture.Scale(pics[i%2], s.pic); err != nil {
					b.Fatal(err)
				}
				s.session, s.seq, s.capturedAt = "s", uint64(i), begun.Add(time.Duration(i)*40*time.Millisecond)
				a.pending.add(s)
				d.Seq = uint64(i)
				a.pending.match(detected(d))
				a.work(time.Now())
				<-v.units
			}
		})
	}
}

func BenchmarkScale4KTo720p(b *testing.B) {
	src, _ := scene(3840, 2160, 0)
	dst := picture.New(1280, 720)
	b.ReportAllocs()
	for b.Loop() {
		if err := picture.Scale(src, dst); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDraw12Objects(b *testing.B) {
	pic, d := scene(1280, 720, 0)
	f := detected(d)
	var p painter
	b.ReportAllocs()
	for b.Loop() {
		p.paint(pic, f)
	}
}

func BenchmarkPackets(b *testing.B) {
	s := newStream("")
	coded := append([]byte{0, 0, 0, 1, 0x41}, make([]byte, 12000)...)
	fill(coded[5:], 0x55)
	b.ReportAllocs()
	for b.Loop() {
		s.split(coded, 0)
	}
}
