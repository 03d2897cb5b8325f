package sinks

import (
	"fmt"

	"github.com/sightline/sightline/pipeline/bus"
	"github.com/sightline/sightline/pipeline/picture"
)

// cutter makes JPEGs of parts of frames. It belongs to one goroutine.
type cutter struct {
	mapper          *bus.Mapper
	height, quality int
	source          source
	encoder         *picture.JPEGEncoder
	decoded         frameKey // that source.decoded shows
	coded           []byte
}

// cut gives a picture of the box and some of what is around it, no higher than cutter.height.
func (c *cutter) cut(w *waiting, box bus.Box) ([]byte, error) {
	switch {
	case w == nil:
		return nil, errNoFrame
	case w.copied != nil:
		x, y := float32(w.copied.Width)/float32(w.frame.Width), float32(w.copied.Height)/float32(w.frame.Height)
		return c.code(w.copied, bus.Box{box[0] * x, box[1] * y, box[2] * x, box[3] * y})
	case w.frame.Encoding == bus.EncodingSHM:
		return c.cutShared(w.frame, box)
	}
	return c.cutJPEG(w.frame, box)
}

// cutJPEG decodes a frame once for all its tracks.
func (c *cutter) cutJPEG(f *bus.Frame, box bus.Box) ([]byte, error) {
	if key := (frameKey{f.Session, f.Seq}); c.decoded != key {
		c.decoded = frameKey{}
		if err := c.source.decode(f); err != nil {
			return nil, fmt.Errorf("read frame: %w", err)
		}
		c.decoded = key
	}
	return c.code(&c.source.decoded, box)
}

func (c *cutter) cutShared(f *bus.Frame, box bus.Box) ([]byte, error) {
	view, err := c.mapper.Open(f.Ref)
	if err != nil {
		return nil, fmt.Errorf("read frame: %w", err)
	}
	defer view.Release()
	pic := planesOf(view)
	coded, err := c.code(&pic, box)
	if err == nil && !view.Valid() {
		err = fmt.Errorf("read frame: %w", errOverwritten)
	}
	return coded, err
}

// code makes a JPEG of its own memory.
func (c *cutter) code(pic *picture.I420, box bus.Box) ([]byte, error) {
	part, err := picture.Part(pic, around(box))
	if err != nil {
		return nil, fmt.Errorf("cut picture: %w", err)
	}
	if part.Height > c.height {
		w, h := outputSize(part.Width, part.Height, part.Width, c.height)
		small := picture.New(w, h)
		small.Matrix, small.FullRange = part.Matrix, part.FullRange
		if err := picture.Scale(&part, small); err != nil {
			return nil, fmt.Errorf("scale picture: %w", err)
		}
		part = *small
	}
	if c.encoder == nil {
		if c.encoder, err = picture.NewJPEGEncoder(c.quality); err != nil {
			return nil, err
		}
	}
	if c.coded, err = c.encoder.Encode(&part, c.coded); err != nil {
		return nil, err
	}
	return append([]byte(nil), c.coded...), nil
}

// around is a box with a tenth of its size on each side.
func around(b bus.Box) picture.Rect {
	w, h := (b[2]-b[0])/10, (b[3]-b[1])/10
	return outputRect(bus.Box{b[0] - w, b[1] - h, b[2] + w, b[3] + h}, 1, 1)
}

// done forgets the frame that was decoded.
func (c *cutter) done() { c.decoded = frameKey{} }

func (c *cutter) close() {
	c.source.close()
	if c.encoder != nil {
		c.encoder.Close()
	}
}
