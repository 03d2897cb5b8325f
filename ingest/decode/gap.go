package decode

import (
	"bytes"

	"github.com/bluenviron/mediacommon/v2/pkg/bits"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"
)

// gapFinder finds out that H.264 reference pictures are missing, by the numbers that they carry (frame_num, ITU-T H.264
// 7.4.3). libavcodec covers such gaps with copies of older pictures and does not flag what comes of it; cameras leave
// pictures out when their network is busy, also over TCP.
type gapFinder struct {
	prefix   int    // bytes of the length in front of each NAL unit; 0 = Annex B start codes
	sps      []byte // the parameter set in use
	usable   bool   // sps was understood and allows no gaps
	bits     int    // of frame_num
	known    bool   // previous is valid
	previous uint64 // frame_num of the last reference picture
}

// NAL unit types.
const (
	nalSlice = 1
	nalIDR   = 5
	nalSPS   = 7
)

// newGapFinder takes the parameter sets and the packet format from a stream's extradata: avcC, Annex B or none.
func newGapFinder(extradata []byte) *gapFinder {
	g := &gapFinder{}
	if len(extradata) < 7 || extradata[0] != 1 {
		g.missing(extradata)
		return g
	}
	g.prefix = int(extradata[4]&3) + 1
	rest := extradata[6:]
	for range extradata[5] & 31 {
		if len(rest) < 2 {
			break
		}
		n := int(rest[0])<<8 | int(rest[1])
		if rest = rest[2:]; n > len(rest) {
			break
		}
		g.parameters(rest[:n])
		rest = rest[n:]
	}
	return g
}

// missing looks at the next access unit and says whether reference pictures are missing before it.
func (g *gapFinder) missing(unit []byte) bool {
	for len(unit) > 0 {
		var nal []byte
		if nal, unit = g.cut(unit); len(nal) < 2 {
			continue
		}
		switch nal[0] & 31 {
		case nalSPS:
			g.parameters(nal)
		case nalSlice, nalIDR:
			return g.slice(nal) // all slices of a picture have the same number
		}
	}
	return false
}

// cut takes the first NAL unit off.
func (g *gapFinder) cut(unit []byte) (nal, rest []byte) {
	if g.prefix > 0 {
		n := 0
		for i := range min(g.prefix, len(unit)) {
			n = n<<8 | int(unit[i])
		}
		unit = unit[min(g.prefix, len(unit)):]
		n = min(n, len(unit))
		return unit[:n], unit[n:]
	}
	start := bytes.Index(unit, startCode)
	if start < 0 {
		return nil, nil
	}
	unit = unit[start+len(startCode):]
	if len(unit) == 0 {
		return nil, nil
	}
	if kind := unit[0] & 31; kind == nalSlice || kind == nalIDR {
		return unit, nil // the first slice is all that is looked at: no search through its data
	}
	end := bytes.Index(unit, startCode)
	if end < 0 {
		return unit, nil
	}
	return unit[:end], unit[end:]
}

var startCode = []byte{0, 0, 1}

// parameters reads a sequence parameter set.
func (g *gapFinder) parameters(nal []byte) {
	nal = bytes.TrimRight(nal, "\x00")
	if bytes.Equal(nal, g.sps) {
		return
	}
	g.sps, g.known = bytes.Clone(nal), false
	var sps h264.SPS
	err := sps.Unmarshal(g.sps)
	g.usable = err == nil && !sps.GapsInFrameNumValueAllowedFlag && !sps.SeparateColourPlaneFlag
	g.bits = int(sps.Log2MaxFrameNumMinus4) + 4
	g.usable = g.usable && g.bits <= 16
}

// slice reads the picture's number from a slice's header.
func (g *gapFinder) slice(nal []byte) bool {
	number, ok := g.number(nal)
	if !g.usable || !ok {
		g.known = false
		return false
	}
	next := (g.previous + 1) & (1<<g.bits - 1)
	gap := g.known && nal[0]&31 != nalIDR && number != g.previous && number != next
	if reference := nal[0]>>5&3 != 0; reference || gap {
		g.known, g.previous = true, number
	}
	return gap
}

// number returns frame_num.
func (g *gapFinder) number(nal []byte) (uint64, bool) {
	var header [24]byte
	plain, pos := unescape(header[:0], nal[1:]), 0
	for range 3 { // first macroblock, slice type, picture parameter set
		if _, err := bits.ReadGolombUnsigned(plain, &pos); err != nil {
			return 0, false
		}
	}
	n, err := bits.ReadBits(plain, &pos, g.bits)
	return n, err == nil
}

// unescape fills dst up to its capacity with src less the emulation prevention bytes.
func unescape(dst, src []byte) []byte {
	zeros := 0
	for _, b := range src {
		if len(dst) == cap(dst) {
			break
		}
		if zeros >= 2 && b == 3 {
			zeros = 0
			continue
		}
		if b == 0 {
			zeros++
		} else {
			zeros = 0
		}
		dst = append(dst, b)
	}
	return dst
}
