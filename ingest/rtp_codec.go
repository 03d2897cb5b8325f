package ingest

import (
	"errors"

	"github.com/bluenviron/gortsplib/v5/pkg/format/rtph264"
	"github.com/bluenviron/gortsplib/v5/pkg/format/rtph265"
	"github.com/bluenviron/gortsplib/v5/pkg/format/rtpvp8"
	"github.com/pion/rtp"
)

// rtpCodec is a codec that is taken from RTP.
type rtpCodec uint8

// The codecs taken from RTP.
const (
	codecH264 rtpCodec = iota
	codecH265
	codecVP8
)

// Kinds of parameter sets.
const (
	kindVPS = iota
	kindSPS
	kindPPS
)

// NAL unit types; H.264 in ITU-T H.264 table 7-1 and RFC 6184, H.265 in ITU-T H.265 table 7-1 and RFC 7798.
const (
	h264NonIDR, h264IDR           = 1, 5
	h264SPS, h264PPS, h264AUD     = 7, 8, 9
	h264StapA, h264FUA            = 24, 28
	h265FirstIRAP, h265LastIRAP   = 16, 21
	h265LastVCL                   = 31
	h265VPS, h265SPS, h265PPS     = 32, 33, 34
	h265AUD                       = 35
	h265Aggregation, h265Fragment = 48, 49
)

// name returns libavcodec's name.
func (c rtpCodec) name() string {
	return [...]string{codecH264: "h264", codecH265: "hevc", codecVP8: "vp8"}[c]
}

// depacketizer joins the packets of an access unit.
type depacketizer struct {
	decode func(*rtp.Packet) ([][]byte, error) // NAL units without start codes, or one frame
	more   func(error) bool                    // the error only says that the unit is not complete yet
}

// depacketizer makes a fresh one.
func (c rtpCodec) depacketizer() (depacketizer, error) {
	switch c {
	case codecH264:
		d := &rtph264.Decoder{PacketizationMode: 1}
		return depacketizer{d.Decode, func(err error) bool { return errors.Is(err, rtph264.ErrMorePacketsNeeded) }}, d.Init()
	case codecH265:
		d := &rtph265.Decoder{}
		return depacketizer{d.Decode, func(err error) bool { return errors.Is(err, rtph265.ErrMorePacketsNeeded) }}, d.Init()
	case codecVP8:
		d := &rtpvp8.Decoder{}
		decode := func(p *rtp.Packet) ([][]byte, error) {
			frame, err := d.Decode(p)
			return [][]byte{frame}, err
		}
		return depacketizer{decode, func(err error) bool { return errors.Is(err, rtpvp8.ErrMorePacketsNeeded) }}, d.Init()
	}
	return depacketizer{}, errors.New("unknown codec")
}

// nalType returns the type in a NAL unit's header, -1 where there is none.
func (c rtpCodec) nalType(nal []byte) int {
	switch {
	case c == codecH264 && len(nal) > 0:
		return int(nal[0] & 0x1f)
	case c == codecH265 && len(nal) > 1:
		return int(nal[0]>>1) & 0x3f
	}
	return -1
}

// parameterSet returns the kind of parameter set that nal is.
func (c rtpCodec) parameterSet(nal []byte) (kind int, ok bool) {
	t := c.nalType(nal)
	switch {
	case c == codecH264 && t == h264SPS, c == codecH265 && t == h265SPS:
		return kindSPS, true
	case c == codecH264 && t == h264PPS, c == codecH265 && t == h265PPS:
		return kindPPS, true
	case c == codecH265 && t == h265VPS:
		return kindVPS, true
	}
	return 0, false
}

// needs lists the kinds of parameter sets without which nothing can be decoded.
func (c rtpCodec) needs() []int {
	return [...][]int{codecH264: {kindSPS, kindPPS}, codecH265: {kindVPS, kindSPS, kindPPS}, codecVP8: nil}[c]
}

// inspect says whether decoding can start at the unit, and whether it carries its own SPS.
func (c rtpCodec) inspect(nals [][]byte) (key, carried bool) {
	if c == codecVP8 {
		return len(nals) > 0 && len(nals[0]) > 0 && nals[0][0]&1 == 0, true
	}
	for _, nal := range nals {
		t := c.nalType(nal)
		key = key || c == codecH264 && t == h264IDR || c == codecH265 && t >= h265FirstIRAP && t <= h265LastIRAP
		carried = carried || c == codecH264 && t == h264SPS || c == codecH265 && t == h265SPS
	}
	return key, carried
}

// join appends the unit in the form that the decoder takes.
func (c rtpCodec) join(data []byte, nals [][]byte) []byte {
	if c != codecVP8 {
		return appendAnnexB(data, nals)
	}
	for _, nal := range nals {
		data = append(data, nal...)
	}
	return data
}

// begins says whether a packet with this payload certainly is the first of an access unit.
func (c rtpCodec) begins(payload []byte) bool {
	switch c {
	case codecH264:
		return beginsH264(payload)
	case codecH265:
		return beginsH265(payload)
	default: // VP8: S bit and partition 0, RFC 7741
		return len(payload) > 0 && payload[0]&0x17 == 0x10
	}
}

func beginsH264(payload []byte) bool {
	if len(payload) < 3 {
		return false
	}
	switch payload[0] & 0x1f {
	case h264AUD, h264SPS:
		return true
	case h264NonIDR, h264IDR:
		return sliceStart(payload[1])
	case h264StapA:
		return len(payload) > 4 && beginsH264(payload[3:])
	case h264FUA:
		t := payload[1] & 0x1f
		return payload[1]&0x80 != 0 && (t == h264IDR || t == h264NonIDR) && sliceStart(payload[2])
	}
	return false
}

func beginsH265(payload []byte) bool {
	if len(payload) < 4 {
		return false
	}
	switch t := payload[0] >> 1 & 0x3f; {
	case t == h265AUD, t == h265VPS:
		return true
	case t <= h265LastVCL:
		return sliceStart(payload[2])
	case t == h265Aggregation:
		return len(payload) > 7 && beginsH265(payload[4:])
	case t == h265Fragment:
		return payload[2]&0x80 != 0 && payload[2]&0x3f <= h265LastVCL && sliceStart(payload[3])
	}
	return false
}

// completes says whether a packet with this payload ends a NAL unit (no fragment, or the last one).
func (c rtpCodec) completes(payload []byte) bool {
	switch {
	case c == codecH264 && len(payload) > 1 && payload[0]&0x1f == h264FUA:
		return payload[1]&0x40 != 0
	case c == codecH265 && len(payload) > 2 && payload[0]>>1&0x3f == h265Fragment:
		return payload[2]&0x40 != 0
	}
	return c != codecVP8
}

// sliceStart says whether the first byte of a slice header begins with first_mb_in_slice 0 (H.264) or
// first_slice_segment_in_pic_flag (H.265): either is a leading one bit.
func sliceStart(b byte) bool { return b&0x80 != 0 }
