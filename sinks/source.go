package sinks

import (
	"errors"
	"fmt"
	"time"

	"github.com/sightline/sightline/pipeline/bus"
	"github.com/sightline/sightline/pipeline/picture"
)

var errNoFrame = errors.New("the frame did not come, or was given up")

var errOverwritten = errors.New("slot was reused while it was read")

// source reads frames' pixels, however they travel, into pictures of output size. It belongs to one goroutine.
type source struct {
	decoder *picture.JPEGDecoder
	decoded picture.I420
	planes  picture.I420 // of the slot that is being read
	told    time.Time
}

// read fills s with the frame, scaled to fit maxW by maxH.
func (r *source) read(f *bus.Frame, mapper *bus.Mapper, s *shot, maxW, maxH int) error {
	if f.Width < 16 || f.Height < 16 {
		return fmt.Errorf("read frame: %dx%d is too small to show", f.Width, f.Height)
	}
	w, h := outputSize(f.Width, f.Height, maxW, maxH)
	if s.pic == nil || s.pic.Width != w || s.pic.Height != h {
		s.pic = picture.New(w, h)
	}
	var err error
	switch f.Encoding {
	case bus.EncodingSHM:
		err = r.fromShared(f, mapper, s.pic)
	case bus.EncodingJPEG:
		err = r.fromJPEG(f, s.pic)
	default:
		err = fmt.Errorf("encoding %.20q is unknown", f.Encoding)
	}
	if err != nil {
		return fmt.Errorf("read frame: %w", err)
	}
	s.session, s.seq, s.capturedAt, s.found = f.Session, f.Seq, f.CapturedAt, nil
	return nil
}

func (r *source) fromShared(f *bus.Frame, mapper *bus.Mapper, dst *picture.I420) error {
	view, err := mapper.Open(f.Ref)
	if err != nil {
		return err
	}
	defer view.Release()
	r.planes = planesOf(view)
	err = picture.Scale(&r.planes, dst)
	r.planes = picture.I420{}
	if err == nil && !view.Valid() {
		return errOverwritten
	}
	return err
}

// planesOf is the frame that is viewed, until its release.
func planesOf(view *bus.View) picture.I420 {
	p := view.Planes()
	return picture.I420{Width: p.Width, Height: p.Height, Y: p.Y, U: p.U, V: p.V, StrideY: p.StrideY, StrideC: p.StrideC,
		Matrix: picture.Matrix(p.Matrix), FullRange: p.FullRange}
}

func (r *source) fromJPEG(f *bus.Frame, dst *picture.I420) error {
	if err := r.decode(f); err != nil {
		return err
	}
	return picture.Scale(&r.decoded, dst)
}

// decode reads a JPEG at its full size into decoded.
func (r *source) decode(f *bus.Frame) error {
	if r.decoder == nil {
		d, err := picture.NewJPEGDecoder()
		if err != nil {
			return err
		}
		r.decoder = d
	}
	return r.decoder.Decode(f.Body, &r.decoded)
}

// mayTell keeps a camera whose every frame is unreadable from filling the log.
func (r *source) mayTell() bool {
	if now := time.Now(); now.Sub(r.told) >= faultInterval {
		r.told = now
		return true
	}
	return false
}

func clonePicture(p *picture.I420) *picture.I420 {
	c := picture.New(p.Width, p.Height)
	c.Matrix, c.FullRange = p.Matrix, p.FullRange
	copyPlane(c.Y, c.StrideY, p.Y, p.StrideY, p.Width, p.Height)
	cw, ch := (p.Width+1)/2, (p.Height+1)/2
	copyPlane(c.U, c.StrideC, p.U, p.StrideC, cw, ch)
	copyPlane(c.V, c.StrideC, p.V, p.StrideC, cw, ch)
	return c
}

func copyPlane(dst []byte, dstStride int, src []byte, srcStride, w, h int) {
	for y := range h {
		copy(dst[y*dstStride:y*dstStride+w], src[y*srcStride:y*srcStride+w])
	}
}

func (r *source) close() {
	if r.decoder != nil {
		r.decoder.Close()
	}
}
