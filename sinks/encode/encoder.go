// Package encode turns pictures into H.264 access units by libavcodec, one picture in, one access unit out.
package encode

/*
#cgo pkg-config: libavcodec libavutil
#cgo CFLAGS: -O3
#include <stdlib.h>
#include "h264.h"
*/
import "C"

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unsafe"

	"github.com/sightline/sightline/pipeline/picture"
)

// Config says what an encoder makes. Width and Height are needed, everything else has a default.
type Config struct {
	Width, Height int            // pixels, even, 16 to 8192
	FPS           int            // pictures a second, for the rate control only; 25
	BitrateKbps   int            // ceiling, kept over one second; 0 = BitrateFor
	Threads       int            // 1
	KeyInterval   int            // pictures between key frames nobody asked for; 300
	Matrix        picture.Matrix // of the pictures to come, written into the stream
	Encoder       string         // libavcodec's name; "" = the first of Names that opens
}

// Names are the encoders that Open tries, in this order.
func Names() []string { return []string{"libx264", "libopenh264", "h264_v4l2m2m"} }

// BitrateFor is a bit rate in kb/s at which a picture of that size is clear: 2500 for 1280x720, growing slower than the
// number of pixels, at least 200.
func BitrateFor(width, height int) int {
	const hd = 1280 * 720
	pixels := width * height
	switch {
	case pixels >= hd:
		return min(2500+(pixels-hd)*2500/(2*hd), 20000)
	default:
		return max(200, 625+pixels*1875/hd)
	}
}

// Encoder makes one H.264 stream in Annex B form: constrained baseline, no B-frames, parameter sets before every IDR,
// limited range. It belongs to one goroutine.
type Encoder struct {
	c    *C.sl_h264
	cfg  Config
	name string
}

// Open makes an encoder. The error names every encoder that was tried and why it did not open.
func Open(cfg Config) (*Encoder, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("open H.264 encoder: %w", err)
	}
	names := Names()
	if cfg.Encoder != "" {
		names = []string{cfg.Encoder}
	}
	var tried []string
	for _, name := range names {
		c, err := openNamed(name, cfg)
		if err == nil {
			return &Encoder{c: c, cfg: cfg, name: name}, nil
		}
		tried = append(tried, fmt.Sprintf("%s (%v)", name, err))
	}
	return nil, fmt.Errorf("open H.264 encoder %dx%d: none works of %s: install a libavcodec with libx264 (Debian: libavcodec-extra or libavcodec59)",
		cfg.Width, cfg.Height, strings.Join(tried, ", "))
}

func (cfg Config) withDefaults() (Config, error) {
	if cfg.Width < 16 || cfg.Height < 16 || cfg.Width > 8192 || cfg.Height > 8192 || cfg.Width%2 != 0 || cfg.Height%2 != 0 {
		return cfg, fmt.Errorf("size %dx%d: must be even and 16 to 8192 a side", cfg.Width, cfg.Height)
	}
	setDefault(&cfg.FPS, 25)
	setDefault(&cfg.BitrateKbps, BitrateFor(cfg.Width, cfg.Height))
	setDefault(&cfg.Threads, 1)
	setDefault(&cfg.KeyInterval, 300)
	return cfg, nil
}

func setDefault(v *int, to int) {
	if *v <= 0 {
		*v = to
	}
}

func openNamed(name string, cfg Config) (*C.sl_h264, error) {
	s := C.CString(name)
	defer C.free(unsafe.Pointer(s))
	if C.sl_h264_known(s) == 0 {
		return nil, errors.New("not in this libavcodec")
	}
	c := C.sl_h264_config{width: C.int(cfg.Width), height: C.int(cfg.Height), fps: C.int(cfg.FPS), kbps: C.int(cfg.BitrateKbps),
		threads: C.int(cfg.Threads), key_interval: C.int(cfg.KeyInterval)}
	if cfg.Matrix == picture.BT709 {
		c.bt709 = 1
	}
	var code C.int
	e := C.sl_h264_open(s, &c, &code)
	if e == nil {
		return nil, avError(code)
	}
	return e, nil
}

// Name is libavcodec's name of the encoder in use.
func (e *Encoder) Name() string { return e.name }

// Fits says whether pictures like pic go into this stream: the same size and matrix.
func (e *Encoder) Fits(pic *picture.I420) bool {
	return pic.Width == e.cfg.Width && pic.Height == e.cfg.Height && pic.Matrix == e.cfg.Matrix
}

// Encode appends the picture's access unit to dst and says whether it is an IDR. pts must rise; it counts from any
// origin. pic is not kept. An encoder may skip a picture: then nothing is appended.
func (e *Encoder) Encode(pic *picture.I420, pts time.Duration, forceKey bool, dst []byte) ([]byte, bool, error) {
	if e.c == nil {
		return dst, false, errors.New("encode picture: encoder is closed")
	}
	if !e.Fits(pic) {
		return dst, false, fmt.Errorf("encode picture %dx%d: encoder was opened for %dx%d", pic.Width, pic.Height, e.cfg.Width, e.cfg.Height)
	}
	if err := checkPlanes(pic); err != nil {
		return dst, false, fmt.Errorf("encode picture: %w", err)
	}
	code := C.sl_h264_encode(e.c, bytePointer(pic.Y), bytePointer(pic.U), bytePointer(pic.V), C.int(pic.StrideY), C.int(pic.StrideC),
		flag(pic.FullRange), C.int64_t(pts*9/100000), flag(forceKey))
	if code < 0 {
		return dst, false, fmt.Errorf("encode picture: %s: %w", e.name, avError(code))
	}
	u := C.sl_h264_last(e.c)
	if u.size == 0 {
		return dst, false, nil
	}
	return append(dst, unsafe.Slice((*byte)(u.data), int(u.size))...), u.key != 0, nil
}

// checkPlanes keeps C from reading beyond a plane that is shorter than its size says.
func checkPlanes(p *picture.I420) error {
	cw, ch := p.Width/2, p.Height/2
	if p.StrideY < p.Width || p.StrideC < cw || len(p.Y) < p.StrideY*(p.Height-1)+p.Width ||
		len(p.U) < p.StrideC*(ch-1)+cw || len(p.V) < p.StrideC*(ch-1)+cw {
		return fmt.Errorf("planes of %d, %d, %d bytes are too short for %dx%d", len(p.Y), len(p.U), len(p.V), p.Width, p.Height)
	}
	return nil
}

func bytePointer(b []byte) *C.uint8_t { return (*C.uint8_t)(unsafe.Pointer(unsafe.SliceData(b))) }

func flag(b bool) C.int {
	if b {
		return 1
	}
	return 0
}

// Close frees the encoder. It may be called twice.
func (e *Encoder) Close() {
	if e.c != nil {
		C.sl_h264_close(e.c)
		e.c = nil
	}
}

// Version is libavcodec's at run time, as in "59.37.100".
func Version() string {
	v := uint(C.sl_h264_version())
	return fmt.Sprintf("%d.%d.%d", v>>16, v>>8&0xff, v&0xff)
}

func avError(code C.int) error {
	var text [128]C.char
	C.sl_h264_error(code, &text[0], C.int(len(text)))
	if s := C.GoString(&text[0]); s != "" {
		return errors.New(s)
	}
	return fmt.Errorf("libavcodec error %d", int(code))
}
