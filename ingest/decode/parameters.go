// Package decode turns access units into I420 pictures with libavcodec, and opens local video files with libavformat.
package decode

import (
	"bytes"
	"math"
	"time"
)

// NoTime is the time of a packet whose time is not known.
const NoTime = time.Duration(math.MinInt64)

// Limits on the pictures that are decoded, checked before memory is taken for them.
const (
	MaxSide   = 16384
	MaxPixels = 40_000_000
)

// Parameters describe a coded video stream. All but Codec may be left zero where it is not known.
type Parameters struct {
	// Codec is libavcodec's name: h264, hevc (h265 is taken too), vp8, vp9, av1, mjpeg, mpeg4, or another that it decodes.
	Codec string
	// Extradata is the codec's configuration: for H.264 and H.265 parameter sets in Annex B (as from an SDP), or avcC and
	// hvcC, in which case the packets are length-prefixed as in MP4.
	Extradata []byte
	// Width and Height are what the container or the SDP declares, pixels.
	Width, Height int

	container container
}

// container is what only a container knows about its stream, in libavcodec's own numbers.
type container struct {
	known                    bool
	tag                      uint32
	bits, delay              int
	pixelFormat, blockAlign  int
	colourRange, colourSpace int
	profile, level           int
}

// Equal says whether p and q describe the same stream, so that one decoder serves both.
func (p *Parameters) Equal(q *Parameters) bool {
	return p.Codec == q.Codec && bytes.Equal(p.Extradata, q.Extradata) && p.Width == q.Width && p.Height == q.Height &&
		p.container == q.container
}
