package picture

// #include "jpeg.h"
// #include "planes.h"
import "C"

import (
	"bytes"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"unsafe"
)

// JPEGDecoder decodes JPEGs into I420 planes without going through RGB. It keeps its buffers, so that a stream of JPEGs of
// one size costs no allocation. One goroutine at a time uses it.
type JPEGDecoder struct {
	handle  C.tjhandle
	cleanup runtime.Cleanup
	limits  JPEGLimits
	scratch []byte   // chroma that is not 4:2:0, or RGB
	size    [4]C.int // width, height, subsampling, colour space: here because C writes them
}

// NewJPEGDecoder returns a decoder with the default limits.
func NewJPEGDecoder() (*JPEGDecoder, error) { return NewJPEGDecoderWithLimits(JPEGLimits{}) }

// NewJPEGDecoderWithLimits returns a decoder that refuses larger pictures than limits allow.
func NewJPEGDecoderWithLimits(limits JPEGLimits) (*JPEGDecoder, error) {
	h := C.tjInitDecompress()
	if h == nil {
		return nil, fmt.Errorf("open JPEG decoder: %s", C.GoString(C.tjGetErrorStr2(nil)))
	}
	d := &JPEGDecoder{handle: h, limits: limits}
	d.cleanup = runtime.AddCleanup(d, destroyJPEG, h)
	return d, nil
}

func destroyJPEG(h C.tjhandle) { C.tjDestroy(h) }

// Close frees the native decoder at once; without it that happens when the decoder is collected.
func (d *JPEGDecoder) Close() {
	if d.handle != nil {
		d.cleanup.Stop()
		C.tjDestroy(d.handle)
		d.handle = nil
	}
}

// Decode decodes data into dst, which becomes full-range BT.601. dst's planes are used when they are long enough (an odd
// width or height needs one column or row more) and replaced by new ones otherwise. Grey and every subsampling of YCbCr
// become 4:2:0. Refused are CMYK, more than 8 bits, arithmetic coding, more pixels than the limit, more than 100 scans,
// truncated and corrupt data; dst's pixels are then undefined.
func (d *JPEGDecoder) Decode(data []byte, dst *I420) error { return d.DecodeShrunk(data, dst, 1) }

// DecodeShrunk decodes as Decode does, into a picture of an nth of the sides, rounded up; n is 1, 2, 4 or 8. Each of its pixels is the
// mean of n by n, and what makes finer detail is not computed: a third of the time is saved.
func (d *JPEGDecoder) DecodeShrunk(data []byte, dst *I420, n int) error {
	if n != 1 && n != 2 && n != 4 && n != 8 {
		return fmt.Errorf("decode JPEG at 1/%d: must be 1, 1/2, 1/4 or 1/8", n)
	}
	if d.handle == nil {
		return errors.New("decode JPEG: the decoder is closed")
	}
	if err := checkJPEGHeader(data, d.limits); err != nil {
		return fmt.Errorf("decode JPEG of %d bytes: it %w", len(data), err)
	}
	if err := d.decode(data, dst, n); err != nil {
		return fmt.Errorf("decode JPEG of %d bytes: %w", len(data), err)
	}
	return nil
}

func (d *JPEGDecoder) decode(data []byte, dst *I420, n int) error {
	defer runtime.KeepAlive(d)
	w, h, sampling, space := &d.size[0], &d.size[1], &d.size[2], &d.size[3]
	if C.tjDecompressHeader3(d.handle, bytePointer(data), C.ulong(len(data)), w, h, sampling, space) != 0 {
		return d.fault()
	}
	if err := d.limits.check(int(*w), int(*h)); err != nil {
		return err
	}
	shrunk := [2]int{(int(*w) + n - 1) / n, (int(*h) + n - 1) / n}
	switch *space {
	case C.TJCS_YCbCr, C.TJCS_GRAY:
		return d.decodePlanes(data, dst, shrunk[0], shrunk[1], *sampling)
	case C.TJCS_RGB:
		return d.decodeRGB(data, dst, shrunk[0], shrunk[1])
	}
	return errors.New("CMYK is not taken, only grey, YCbCr and RGB")
}

// decodePlanes decodes luma into its place, and chroma too when it is 4:2:0 already.
func (d *JPEGDecoder) decodePlanes(data []byte, dst *I420, w, h int, sampling C.int) error {
	padW, padH := int(C.tjPlaneWidth(0, C.int(w), sampling)), int(C.tjPlaneHeight(0, C.int(h), sampling))
	if padW < w || padH < h {
		return fmt.Errorf("subsampling %d is unknown", int(sampling))
	}
	dst.fit(w, h, padW, padH)
	dst.Matrix, dst.FullRange = BT601, true
	switch sampling {
	case C.TJSAMP_420:
		return d.intoPlanes(data, dst, dst.U, dst.V, dst.StrideC)
	case C.TJSAMP_GRAY:
		fillGrey(dst)
		return d.intoPlanes(data, dst, nil, nil, 0)
	}
	cw, ch := int(C.tjPlaneWidth(1, C.int(w), sampling)), int(C.tjPlaneHeight(1, C.int(h), sampling))
	d.reserve(2 * cw * ch)
	u, v := d.scratch[:cw*ch], d.scratch[cw*ch:2*cw*ch]
	if err := d.intoPlanes(data, dst, u, v, cw); err != nil {
		return err
	}
	across, down := chromaRatio(sampling)
	resampleChroma(u, cw, ch, dst.U, dst, across, down)
	resampleChroma(v, cw, ch, dst.V, dst, across, down)
	return nil
}

// chromaRatio returns how many chroma samples of a JPEG make one of 4:2:0, -2 for half a sample.
func chromaRatio(sampling C.int) (across, down C.int) {
	switch sampling {
	case C.TJSAMP_422:
		return 1, 2
	case C.TJSAMP_440:
		return 2, 1
	case C.TJSAMP_411:
		return -2, 2
	}
	return 2, 2
}

func resampleChroma(src []byte, w, h int, plane []byte, dst *I420, across, down C.int) {
	C.sl_chroma(u8(src), C.int(w), C.int(h), C.int(w), u8(plane),
		C.int(chromaSide(dst.Width)), C.int(chromaSide(dst.Height)), C.int(dst.StrideC), across, down)
}

// intoPlanes decodes luma into dst, whose size is set, and chroma, without a copy. The first pass stops at the first thing that is wrong, so that a few bytes cannot cost
// the time of a large picture; the harmless kind is then let pass in a second.
func (d *JPEGDecoder) intoPlanes(data []byte, dst *I420, u, v []byte, strideC int) error {
	run := func(flags C.int) error {
		if C.sl_jpeg_to_planes(d.handle, u8(data), C.ulong(len(data)), u8(dst.Y), u8(u), u8(v), C.int(dst.Width), C.int(dst.Height),
			C.int(dst.StrideY), C.int(strideC), C.int(strideC), flags) != 0 {
			return d.fault()
		}
		return nil
	}
	return d.tolerate(data, run)
}

// decodeRGB decodes the rare JPEG that holds RGB as it is.
func (d *JPEGDecoder) decodeRGB(data []byte, dst *I420, w, h int) error {
	d.reserve(3 * w * h)
	run := func(flags C.int) error {
		if C.tjDecompress2(d.handle, bytePointer(data), C.ulong(len(data)), bytePointer(d.scratch), C.int(w), C.int(3*w), C.int(h),
			C.TJPF_RGB, flags) != 0 {
			return d.fault()
		}
		return nil
	}
	if err := d.tolerate(data, run); err != nil {
		return err
	}
	dst.fit(w, h, w, h)
	fromRGB(dst, d.scratch, 3*w, 3)
	return nil
}

// tolerate runs a decoding, and once more if what stopped it spoils no pixels.
func (d *JPEGDecoder) tolerate(data []byte, run func(flags C.int) error) error {
	err := run(C.TJFLAG_LIMITSCANS | C.TJFLAG_STOPONWARNING)
	if err == nil || !harmless(err.Error()) {
		return err
	}
	// The second pass reports only its first warning, and a missing end could be the next one.
	if bytes.LastIndex(data, []byte{0xFF, markerEOI}) < bytes.LastIndex(data, []byte{0xFF, markerSOS}) {
		return errTruncated
	}
	if err = run(C.TJFLAG_LIMITSCANS); err != nil && !harmless(err.Error()) {
		return err
	}
	return nil
}

// harmless tells the warnings that leave every pixel as it was meant, by libjpeg's own words.
func harmless(warning string) bool {
	for _, s := range []string{"extraneous bytes before marker", "unknown JFIF revision", "Unknown Adobe color transform",
		"Inconsistent progression sequence"} {
		if strings.Contains(warning, s) {
			return true
		}
	}
	return false
}

// fault returns what libjpeg-turbo says about the last call.
func (d *JPEGDecoder) fault() error {
	text := C.GoString(C.tjGetErrorStr2(d.handle))
	if strings.Contains(text, "Premature end") {
		return fmt.Errorf("it %w: %s", errTruncated, text)
	}
	return errors.New(text)
}

func (d *JPEGDecoder) reserve(n int) {
	if cap(d.scratch) < n {
		d.scratch = make([]byte, n)
	}
	d.scratch = d.scratch[:n]
}

// fillGrey makes the chroma of p neutral.
func fillGrey(p *I420) {
	for _, plane := range [][]byte{p.U, p.V} {
		for i := range plane {
			plane[i] = 128
		}
	}
}

// fromRGB turns interleaved RGB of 3 or 4 bytes a pixel into dst, whose size is set.
func fromRGB(dst *I420, rgb []byte, stride, bytesPerPixel int) {
	dst.Matrix, dst.FullRange = BT601, true
	C.sl_from_rgb(u8(rgb), C.int(stride), C.int(bytesPerPixel), C.int(dst.Width), C.int(dst.Height),
		u8(dst.Y), u8(dst.U), u8(dst.V), C.int(dst.StrideY), C.int(dst.StrideC))
}

func u8(b []byte) *C.uint8_t { return (*C.uint8_t)(unsafe.Pointer(unsafe.SliceData(b))) }

func bytePointer(b []byte) *C.uchar { return (*C.uchar)(unsafe.Pointer(unsafe.SliceData(b))) }
