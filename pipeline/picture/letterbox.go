package picture

// #include "planes.h"
import "C"

import (
	"errors"
	"fmt"
	"math"
	"unsafe"
)

// Layout says how a network wants its input. Its zero value is not usable.
type Layout struct {
	RGB       bool    // planes in the order red, green, blue; else blue, green, red
	Scale     float32 // multiplies levels of 0..255: 1 for YOLOX, 1/255 for YOLOv5 and YOLOv8; 0 means 1
	Centre    bool    // picture in the middle, sides rounded, as YOLOv5 and YOLOv8 do; else top left, sides cut, as YOLOX does
	Fill      uint8   // grey level of the border, before Scale
	NoUpscale bool    // a region smaller than the input keeps its size
}

// Transform says where a region of a frame lies in a network's input: model = (frame - origin) * Scale + offset.
type Transform struct {
	Scale            float32
	OffsetX, OffsetY float32 // in pixels of the network's input
	OriginX, OriginY float32 // top left corner of the region, in pixels of the frame
}

// Inverse takes a box x1, y1, x2, y2 from the network's input to the frame. It does not clip.
func (t Transform) Inverse(box [4]float32) [4]float32 {
	return [4]float32{
		(box[0]-t.OffsetX)/t.Scale + t.OriginX, (box[1]-t.OffsetY)/t.Scale + t.OriginY,
		(box[2]-t.OffsetX)/t.Scale + t.OriginX, (box[3]-t.OffsetY)/t.Scale + t.OriginY,
	}
}

// Letterboxer turns regions of pictures into a network's input. It keeps its buffers, so that Fill costs no allocation. One
// goroutine at a time uses it.
type Letterboxer struct {
	layout   Layout
	plan     C.sl_letterbox_plan
	at, part []int32 // see sl_letterbox
	scratch  []byte
}

// NewLetterboxer returns a letterboxer for one network.
func NewLetterboxer(l Layout) *Letterboxer {
	if l.Scale == 0 {
		l.Scale = 1
	}
	return &Letterboxer{layout: l}
}

// Fill writes the region of src into dst, which is planar [3][h][w], with the region's shape kept and the rest filled.
// Samples lie where OpenCV's INTER_LINEAR takes them, and levels are whole numbers, times Scale. Luma and chroma are
// resized apart, before they become colours; chroma is taken to lie in the middle of its four pixels, as in JPEG and as
// most decoders of video take it. Pixels outside the region are seen only through the chroma that they share with its edge.
// Where a picture shrinks by eight or more, its chroma by four, the nearest row stands for two.
func (l *Letterboxer) Fill(dst []float32, w, h int, src *I420, region Rect) (Transform, error) {
	return l.fill(dst, nil, len(dst), w, h, src, region)
}

// FillLevels is Fill with the levels themselves, not times Scale.
func (l *Letterboxer) FillLevels(dst []uint8, w, h int, src *I420, region Rect) (Transform, error) {
	return l.fill(nil, dst, len(dst), w, h, src, region)
}

// fill writes size numbers or as many levels.
func (l *Letterboxer) fill(numbers []float32, levels []uint8, size, w, h int, src *I420, region Rect) (Transform, error) {
	if err := checkFill(size, w, h, src, region); err != nil {
		return Transform{}, fmt.Errorf("fill model input: %w", err)
	}
	iw, ih, left, top, scale := l.layout.place(w, h, region.W, region.H)
	l.tables(src, region, iw, ih)
	l.colours(src)
	p := &l.plan
	p.width, p.height = C.int32_t(w), C.int32_t(h)
	p.inner_w, p.inner_h, p.left, p.top = C.int32_t(iw), C.int32_t(ih), C.int32_t(left), C.int32_t(top)
	C.sl_letterbox(p, u8(src.Y), u8(src.U), u8(src.V), i32(l.at), i32(l.part), u8(l.scratch), (*C.float)(unsafe.Pointer(unsafe.SliceData(numbers))), u8(levels))
	return Transform{
		Scale: float32(scale), OffsetX: float32(left), OffsetY: float32(top),
		OriginX: float32(region.X), OriginY: float32(region.Y),
	}, nil
}

func checkFill(size, w, h int, src *I420, r Rect) error {
	if src == nil {
		return errors.New("there is no picture")
	}
	if err := src.check(); err != nil {
		return err
	}
	switch {
	case w <= 0 || h <= 0 || w > maxSide || h > maxSide:
		return fmt.Errorf("an input cannot be %dx%d", w, h)
	case size < 3*w*h:
		return fmt.Errorf("input of %d numbers is too short for 3x%dx%d", size, h, w)
	case r.W <= 0 || r.H <= 0 || r.X < 0 || r.Y < 0 || r.W > src.Width-r.X || r.H > src.Height-r.Y:
		return fmt.Errorf("region %dx%d at %d,%d does not lie in the picture of %dx%d", r.W, r.H, r.X, r.Y, src.Width, src.Height)
	}
	return nil
}

// place returns the size and the place of a region in the input, with the roundings of the families' own code: YOLOX's
// preproc cuts, Ultralytics' LetterBox rounds half to even and takes a tenth off before it halves the border.
func (l Layout) place(w, h, regionW, regionH int) (iw, ih, left, top int, scale float64) {
	scale = min(float64(w)/float64(regionW), float64(h)/float64(regionH))
	if l.NoUpscale {
		scale = min(scale, 1)
	}
	round := math.Floor
	if l.Centre {
		round = math.RoundToEven
	}
	iw = min(max(int(round(float64(regionW)*scale)), 1), w)
	ih = min(max(int(round(float64(regionH)*scale)), 1), h)
	if l.Centre {
		left = int(math.RoundToEven(float64(w-iw)/2 - 0.1))
		top = int(math.RoundToEven(float64(h-ih)/2 - 0.1))
	}
	return iw, ih, left, top, scale
}

const (
	columnShare = 1 << 7  // shares of the second of two columns are counted in
	rowShare    = 1 << 15 // and of two rows
)

// tables computes which samples each column and row of the input lies between.
func (l *Letterboxer) tables(src *I420, r Rect, iw, ih int) {
	n := iw + ih
	l.at, l.part, l.scratch = grow(l.at, 4*n), grow(l.part, 2*n), grow(l.scratch, 23*iw)
	cw, ch := chromaSide(src.Width), chromaSide(src.Height)
	at, part := l.at, l.part
	axis(at[:iw], at[iw:2*iw], part[:iw], at[2*iw:3*iw], at[3*iw:4*iw], part[iw:2*iw], r.X, r.W, cw, columnShare)
	at, part = at[4*iw:], part[2*iw:]
	axis(at[:ih], at[ih:2*ih], part[:ih], at[2*ih:3*ih], at[3*ih:4*ih], part[ih:2*ih], r.Y, r.H, ch, rowShare)
	for i := range part { // shares of rows are numbers of 16 bits
		part[i] = min(part[i], rowShare-1)
	}
	if r.H >= farRows*ih {
		nearest(at[:ih], at[ih:2*ih], part[:ih])
	}
	if r.H >= farRows/2*ih {
		nearest(at[2*ih:3*ih], at[3*ih:4*ih], part[ih:2*ih])
	}
}

// farRows is how much a picture shrinks by where one row is enough: no target row shares any with the next, each is a small part of what
// it stands for, and what takes the time is to fetch them. Chroma has half as many.
const farRows = 8

// nearest leaves of two samples the one that has the larger share.
func nearest(first, second, part []int32) {
	for i := range part {
		if part[i] >= rowShare/2 {
			first[i] = second[i]
		}
		second[i], part[i] = first[i], 0
	}
}

// axis computes the samples of one direction: luma at the n target pixels spread over size source pixels from origin, and
// chroma, whose plane has chromaLimit samples, at the same places.
func axis(luma0, luma1, lumaPart, chroma0, chroma1, chromaPart []int32, origin, size, chromaLimit int, share float64) {
	step := float64(size) / float64(len(luma0))
	for i := range luma0 {
		at := min(max((float64(i)+0.5)*step-0.5, 0), float64(size-1)) + float64(origin)
		luma0[i], luma1[i], lumaPart[i] = neighbours(at, origin+size-1, share)
		at = min(max(at/2-0.25, 0), float64(chromaLimit-1))
		chroma0[i], chroma1[i], chromaPart[i] = neighbours(at, chromaLimit-1, share)
	}
}

// neighbours returns the samples around a place and the part of the second, of so many shares.
func neighbours(at float64, last int, share float64) (first, second, part int32) {
	first = int32(at)
	return first, min(first+1, int32(last)), int32((at-float64(first))*share + 0.5)
}

// colours writes the picture's strides and colour coefficients into the plan.
func (l *Letterboxer) colours(src *I420) {
	c, p := coefficientsOf(src.Matrix, src.FullRange), &l.plan
	fixed := func(v, one float64) C.int16_t { return C.int16_t(math.Round(v * one)) }
	p.stride_y, p.stride_c = C.int32_t(src.StrideY), C.int32_t(src.StrideC)
	p.y, p.base = fixed(c.y, 1<<14), fixed((128-c.black)*c.y*64+32, 1)
	p.rv, p.gu, p.gv, p.bu = fixed(c.rv, 1<<13), fixed(c.gu, 1<<13), fixed(c.gv, 1<<13), fixed(c.bu, 1<<13)
	p.scale, p.fill = C.float(l.layout.Scale), C.uint8_t(l.layout.Fill)
	p.rgb = 0
	if l.layout.RGB {
		p.rgb = 1
	}
}

func grow[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}

func i32(s []int32) *C.int32_t { return (*C.int32_t)(unsafe.Pointer(unsafe.SliceData(s))) }
