package decode

/*
#cgo pkg-config: libavcodec libavformat libavutil libswscale
#cgo CFLAGS: -std=gnu11 -O2 -Wall -Wno-deprecated-declarations
#include <stdlib.h>
#include "shim.h"
*/
import "C"

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
	"unsafe"

	"github.com/sightline/sightline/pipeline/picture"
)

// Picture describes a decoded picture that still lies in the decoder.
type Picture struct {
	Width, Height int
	PTS           int64 // of the packet that it came from, as given to Send; pictures come in display order
	Key           bool
	Matrix        picture.Matrix
	FullRange     bool
	Place         int // that it was decoded into, see Lend; -1 for none
}

// Decoder turns coded pictures of one stream into I420. It belongs to one goroutine.
//
// Send takes one access unit; after every Send call Receive until it says that there is no more. Pictures that
// libavcodec marks as damaged are never given out, nor is any that follows them up to the next key frame; see Damaged.
type Decoder struct {
	c       *C.sl_decoder
	codec   string
	strict  bool   // the key frame flag alone says where decoding recovers
	spoiled bool   // nothing is given out until the next key frame
	damaged uint64 // pictures and packets that were not given out
	refused int    // packets refused in a row, without a picture between them
	gaps    *gapFinder
	flying  []int64 // packets whose pictures have not come out, by pts; the oldest first
}

// furthest is how many packets a picture may stay behind its own. Codecs have packets that show nothing; they are forgotten.
const furthest = 64

// leniency is after how many refusals in a row the decoder stops being strict: some cameras send, with every picture, side
// information that breaks the rules, and nothing of theirs would ever be seen.
const leniency = 60

// listen keeps libav's lines off stderr and hears what they say of damage.
var listen = sync.OnceFunc(func() { C.sl_listen() })

// Open makes a decoder. More than one thread decodes several pictures at once and so holds back threads-1 of them.
// The error names a codec that this libavcodec cannot decode.
func Open(p *Parameters, threads int) (*Decoder, error) {
	listen()
	codec := p.Codec
	if codec == "h265" {
		codec = "hevc"
	}
	native, err := p.native(codec)
	if err != nil {
		return nil, err
	}
	d := &Decoder{codec: codec, spoiled: true, flying: make([]int64, 0, furthest+1)}
	// For H.264 libavcodec itself holds pictures back up to a key frame or recovery point, and knows about gradual refresh,
	// where no picture is ever a key frame.
	d.strict = codec != "h264"
	if codec == "h264" {
		d.gaps = newGapFinder(p.Extradata)
	}
	if r := C.sl_decoder_open(&d.c, native, bytesPointer(p.Extradata), C.int(len(p.Extradata)), C.int(max(threads, 1))); r < 0 {
		return nil, fmt.Errorf("open decoder for %s: %w", p.Codec, avError(r))
	}
	return d, nil
}

const unspecifiedSpace = C.AVCOL_SPC_UNSPECIFIED

// native translates p; codec is libavcodec's name of the codec.
func (p *Parameters) native(codec string) (*C.sl_parameters, error) {
	n := &C.sl_parameters{
		width: C.int(p.Width), height: C.int(p.Height), tag: C.uint32_t(p.container.tag),
		bits: C.int(p.container.bits), delay: C.int(p.container.delay), pixel_format: -1,
		block_align: C.int(p.container.blockAlign), profile: -99, level: -99,
		colour_range: C.int(p.container.colourRange), colour_space: unspecifiedSpace,
	}
	if p.container.known {
		n.colour_space = C.int(p.container.colourSpace)
		n.pixel_format, n.profile, n.level = C.int(p.container.pixelFormat), C.int(p.container.profile), C.int(p.container.level)
	}
	if len(codec) >= len(n.codec) {
		return nil, fmt.Errorf("open decoder for %.40q: no such codec", codec)
	}
	for i := range len(codec) {
		n.codec[i] = C.char(codec[i])
	}
	if p.Width < 0 || p.Height < 0 || p.Width > MaxSide || p.Height > MaxSide || p.Width*p.Height > MaxPixels {
		return nil, fmt.Errorf("open decoder for %s: %dx%d pictures are larger than the limit of %d a side and %d pixels",
			codec, p.Width, p.Height, MaxSide, MaxPixels)
	}
	return n, nil
}

// Send gives the decoder one access unit; data is copied. pts is any number that is unique among the pictures in flight: the
// picture comes out with it. A unit that cannot be decoded is no error: it is counted, and nothing is given out until the
// next key frame. The error means out of memory.
func (d *Decoder) Send(data []byte, pts int64) error { return d.send(data, pts, 0) }

// SendHidden is Send for a unit that others refer to but that is not shown itself.
func (d *Decoder) SendHidden(data []byte, pts int64) error { return d.send(data, pts, 1) }

func (d *Decoder) send(data []byte, pts int64, hidden C.int) error {
	if len(data) == 0 {
		return nil
	}
	if d.gaps != nil && d.gaps.missing(data) {
		d.Lost()
	}
	if hidden == 0 {
		d.board(pts)
	}
	return d.check("send packet", C.sl_decoder_send(d.c, bytesPointer(data), C.int(len(data)), C.int64_t(pts), hidden))
}

// check tells a damaged packet, which is counted, from an error of ours or the machine's, which is returned.
func (d *Decoder) check(what string, r C.int) error {
	if r >= 0 {
		return nil
	}
	if C.sl_is_fatal(r) != 0 {
		return fmt.Errorf("%s to %s decoder: %w", what, d.codec, avError(r))
	}
	d.spoil()
	if d.refused++; d.refused == leniency {
		C.sl_decoder_be_lenient(d.c)
	}
	return nil
}

// board remembers that a picture is to come out.
func (d *Decoder) board(pts int64) {
	d.flying = append(d.flying, pts)
	if len(d.flying) <= furthest {
		return
	}
	if d.spoiled {
		d.damaged++
	}
	d.flying = slices.Delete(d.flying, 0, 1)
}

// land forgets the packet of a picture that came out. Where it is the first after a loss, what went in before it never will.
func (d *Decoder) land(pts int64) {
	i := slices.Index(d.flying, pts)
	if i < 0 {
		return
	}
	first := i
	if d.spoiled {
		d.damaged += uint64(i)
		first = 0
	}
	d.flying = slices.Delete(d.flying, first, i+1)
}

// spoil closes the gate until the next key frame, after damage in the decoder.
func (d *Decoder) spoil() {
	if len(d.flying) == 0 {
		d.damaged++
	}
	d.Lost()
}

// Lost tells the decoder that packets are missing before the next one: nothing is given out until the next key frame.
func (d *Decoder) Lost() {
	d.damaged += uint64(len(d.flying))
	d.flying = d.flying[:0]
	d.spoiled = true
	C.sl_decoder_flush(d.c)
}

// Drain makes Receive give out what is held back for reordering; call Restart before the next Send.
func (d *Decoder) Drain() error { return d.check("drain", C.sl_decoder_send(d.c, nil, 0, 0, 0)) }

// Restart forgets all packets after Drain, for the next to be a key frame (a file that starts over).
func (d *Decoder) Restart() {
	if !d.spoiled {
		d.flying = d.flying[:0] // they had nothing to show
	}
	if d.gaps != nil {
		d.gaps.known = false
	}
	d.Lost()
}

// Damaged counts the pictures that went in and were not given out because they were damaged or followed damage. Those that
// follow are counted when the next good one comes out, or at Restart.
func (d *Decoder) Damaged() uint64 { return d.damaged }

// ProcessorTime is what decoding has taken on the processor, in the thread that calls; that of the decoder's own threads is missing.
func (d *Decoder) ProcessorTime() time.Duration { return time.Duration(d.c.spent) }

// Receive decodes the next picture. It returns false when more packets are needed. The picture stays in the decoder, for
// CopyTo, until the next call of any other method.
func (d *Decoder) Receive() (Picture, bool, error) {
	for failures := 0; failures < 100; failures++ {
		r := C.sl_decoder_receive(d.c)
		if err := d.check("receive from", r); err != nil {
			return Picture{}, false, err
		}
		switch {
		case r == C.SL_NONE:
			return Picture{}, false, nil
		case r < 0:
		case d.c.corrupt != 0:
			d.spoil()
		case d.spoiled && d.strict && d.c.key == 0:
			// Counted when the first good one lands behind it.
		default:
			d.land(int64(d.c.pts))
			d.spoiled, d.refused = false, 0
			return d.picture(), true, nil
		}
	}
	return Picture{}, false, nil
}

func (d *Decoder) picture() Picture {
	p := Picture{
		Width: int(d.c.width), Height: int(d.c.height), PTS: int64(d.c.pts), Key: d.c.key != 0,
		Matrix: picture.BT601, FullRange: d.c.full_range != 0, Place: int(d.c.place),
	}
	if d.c.bt709 != 0 {
		p.Matrix = picture.BT709
	}
	return p
}

// CopyTo copies the picture that Receive returned into dst, whose size must be the picture's, and sets dst's matrix and
// range. 4:2:0 is copied once, plane by plane; other layouts go through libswscale with the same matrix and range.
func (d *Decoder) CopyTo(dst *picture.I420) error {
	p := d.picture()
	if err := checkPlanes(dst, p.Width, p.Height); err != nil {
		return fmt.Errorf("copy picture: %w", err)
	}
	r := C.sl_decoder_copy(d.c, bytesPointer(dst.Y), bytesPointer(dst.U), bytesPointer(dst.V), C.int(dst.StrideY), C.int(dst.StrideC))
	if r < 0 {
		return fmt.Errorf("copy picture of %s decoder: %w", d.codec, avError(r))
	}
	dst.Matrix, dst.FullRange = p.Matrix, p.FullRange
	return nil
}

// checkPlanes guards the C code's writes.
func checkPlanes(p *picture.I420, w, h int) error {
	if p.Width != w || p.Height != h {
		return fmt.Errorf("the picture is %dx%d, the target %dx%d", w, h, p.Width, p.Height)
	}
	cw, ch := (w+1)/2, (h+1)/2
	luma, chroma := (h-1)*p.StrideY+w, (ch-1)*p.StrideC+cw
	if w <= 0 || h <= 0 || p.StrideY < w || p.StrideC < cw || len(p.Y) < luma || len(p.U) < chroma || len(p.V) < chroma {
		return errors.New("the target's planes are too small")
	}
	return nil
}

// Next is Receive and CopyTo in one: dst is asked for planes of the picture's size.
func (d *Decoder) Next(dst func(width, height int) (*picture.I420, error)) (ok bool, pts int64, key bool, err error) {
	p, ok, err := d.Receive()
	if !ok || err != nil {
		return false, 0, false, err
	}
	target, err := dst(p.Width, p.Height)
	if err != nil {
		return false, 0, false, err
	}
	return true, p.PTS, p.Key, d.CopyTo(target)
}

// Close frees the decoder.
func (d *Decoder) Close() {
	if d.c != nil {
		C.sl_decoder_close(d.c)
		d.c = nil
	}
}

func bytesPointer(b []byte) *C.uint8_t { return (*C.uint8_t)(unsafe.Pointer(unsafe.SliceData(b))) }

// avError turns libav's error number into words.
func avError(code C.int) error {
	var text [128]C.char
	C.sl_error_text(code, &text[0], C.int(len(text)))
	return errors.New(C.GoString(&text[0]))
}
