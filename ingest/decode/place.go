package decode

// #include "shim.h"
import "C"

import "github.com/sightline/sightline/pipeline/picture"

// Places is how many places a decoder takes at once.
const Places = C.SL_PLACES

// Lend gives the decoder memory that it may decode a picture into, so that it need not be copied; the place's number is less than Places.
// It is one piece with the planes in their order, and not of Go, whose memory libavcodec may not keep. Capacities of the planes say how much of it there is: libavcodec writes whole
// blocks. The place is the decoder's, also for reading, until Back names it or the decoder is closed. false: it has too many.
//
// Only pictures of that size come into places, and only of codecs and formats that can: the others lie in the decoder, for CopyTo.
func (d *Decoder) Lend(p *picture.I420) (place int, ok bool) {
	layout := C.sl_layout{
		stride_y: C.int(p.StrideY), stride_c: C.int(p.StrideC),
		room_y: C.size_t(cap(p.Y)), room_c: C.size_t(min(cap(p.U), cap(p.V))),
	}
	place = int(C.sl_decoder_lend(d.c, bytesPointer(p.Y), bytesPointer(p.U), bytesPointer(p.V), C.int(p.Width), C.int(p.Height), layout))
	return place, place >= 0
}

// Keeps is how many pictures the decoder goes on reading, or holds back, beside the one that it decodes and the one that it has given
// out. It is known from the first picture on.
func (d *Decoder) Keeps() int { return int(C.sl_decoder_keeps(d.c)) }

// Lent counts the places that no picture is in.
func (d *Decoder) Lent() int { return int(C.sl_decoder_lent(d.c)) }

// Recall has the places that no picture is in come back.
func (d *Decoder) Recall() { C.sl_decoder_recall(d.c) }

// Back gives a place that the decoder needs no more, each once; false when there is none.
func (d *Decoder) Back() (place int, ok bool) {
	place = int(C.sl_decoder_back(d.c))
	return place, place >= 0
}
