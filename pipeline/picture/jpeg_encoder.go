package picture

// #include "jpeg.h"
// #include "planes.h"
import "C"

import (
	"errors"
	"fmt"
	"runtime"
	"unsafe"
)

// JPEGEncoder codes I420 planes as 4:2:0 JPEG without going through RGB. It keeps its buffers, so that a stream of pictures
// of one size costs no allocation. One goroutine at a time uses it.
type JPEGEncoder struct {
	handle    C.tjhandle
	cleanup   runtime.Cleanup
	quality   int
	coded     []byte  // as long as the longest JPEG of a picture of this size
	converted I420    // in the colours of JPEG, sides rounded up to even numbers
	row       []int32 // scratch of the conversion
	colours   toJPEG  // here because C reads it
	size      C.ulong // here because C writes it
}

// NewJPEGEncoder returns an encoder of a quality from 1 to 100.
func NewJPEGEncoder(quality int) (*JPEGEncoder, error) {
	if quality < 1 || quality > 100 {
		return nil, fmt.Errorf("open JPEG encoder: quality %d is not within 1 and 100", quality)
	}
	h := C.tjInitCompress()
	if h == nil {
		return nil, fmt.Errorf("open JPEG encoder: %s", C.GoString(C.tjGetErrorStr2(nil)))
	}
	e := &JPEGEncoder{handle: h, quality: quality}
	e.cleanup = runtime.AddCleanup(e, destroyJPEG, h)
	return e, nil
}

// Close frees the native encoder at once; without it that happens when the encoder is collected.
func (e *JPEGEncoder) Close() {
	if e.handle != nil {
		e.cleanup.Stop()
		C.tjDestroy(e.handle)
		e.handle = nil
	}
}

// Encode replaces dst by src coded as JPEG and returns it, in the memory of dst when that is long enough. src may have any
// matrix and range: the JPEG is BT.601 in full range, as all who read JPEGs expect, and a picture of other colours is
// converted.
func (e *JPEGEncoder) Encode(src *I420, dst []byte) ([]byte, error) {
	if e.handle == nil {
		return nil, errors.New("encode JPEG: the encoder is closed")
	}
	if err := src.check(); err != nil {
		return nil, fmt.Errorf("encode JPEG: %w", err)
	}
	bound := int(C.tjBufSize(C.int(src.Width), C.int(src.Height), C.TJSAMP_420))
	out := dst[:cap(dst)]
	if len(out) < bound { // libjpeg-turbo takes the room for granted
		if len(e.coded) < bound {
			e.coded = make([]byte, bound)
		}
		out = e.coded
	}
	n, err := e.encode(src, out)
	if err != nil {
		return nil, fmt.Errorf("encode JPEG of %dx%d: %w", src.Width, src.Height, err)
	}
	if cap(dst) >= bound {
		return out[:n], nil
	}
	return append(dst[:0], out[:n]...), nil
}

func (e *JPEGEncoder) encode(src *I420, out []byte) (int, error) {
	defer runtime.KeepAlive(e)
	p := src
	// libjpeg-turbo reads planes up to even sides: what lies there must be ours, and look like the edge.
	if !src.FullRange || src.Matrix != BT601 || src.Width%2 != 0 || src.Height%2 != 0 {
		p = e.convert(src)
	}
	if C.sl_jpeg_from_planes(e.handle, u8(p.Y), u8(p.U), u8(p.V), C.int(src.Width), C.int(src.Height), C.int(p.StrideY),
		C.int(p.StrideC), C.int(e.quality), u8(out), &e.size) != 0 {
		return 0, errors.New(C.GoString(C.tjGetErrorStr2(e.handle)))
	}
	return int(e.size), nil
}

// convert returns src in the colours of JPEG, in e's own planes.
func (e *JPEGEncoder) convert(src *I420) *I420 {
	w, h := 2*chromaSide(src.Width), 2*chromaSide(src.Height)
	e.converted.fit(src.Width, src.Height, w, h)
	if len(e.row) < w {
		e.row = make([]int32, w)
	}
	e.colours = toJPEGOf(src.Matrix, src.FullRange)
	t := &e.converted
	C.sl_convert((*C.sl_to_jpeg)(unsafe.Pointer(&e.colours)), C.int(src.Width), C.int(src.Height), u8(src.Y), u8(src.U), u8(src.V),
		C.int(src.StrideY), C.int(src.StrideC), u8(t.Y), u8(t.U), u8(t.V), C.int(t.StrideY), C.int(t.StrideC),
		(*C.int32_t)(unsafe.Pointer(&e.row[0])))
	return t
}
