package testcam

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/bluenviron/gortsplib/v5/pkg/description"
	"github.com/bluenviron/gortsplib/v5/pkg/format"
	"github.com/bluenviron/gortsplib/v5/pkg/ntp"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"

	"github.com/sightline/sightline/ingest/decode"
)

// firstTimestamp lies two seconds before the 32-bit wrap, so that every reader meets it.
const firstTimestamp = math.MaxUint32 - 2*90000

// payloadType is the first of the dynamic ones.
const payloadType = 96

// video is the file as the RTP stream that it becomes.
type video struct {
	demuxer *decode.Demuxer
	media   *description.Media
	encode  func(nals [][]byte) ([]*rtp.Packet, error)
	lengths int // bytes before each NAL unit; 0 = Annex B
}

// openVideo opens the file and finds its parameter sets.
func openVideo(ctx context.Context, file string) (*video, error) {
	// The demuxer watches the context it is opened with for as long as it is open: the camera's life, not this call's.
	demuxer, err := decode.OpenFile(ctx, file)
	if err != nil {
		return nil, err
	}
	v := &video{demuxer: demuxer}
	if err := v.describe(demuxer.Parameters()); err != nil {
		demuxer.Close()
		return nil, fmt.Errorf("serve %s: %w", file, err)
	}
	return v, nil
}

func (v *video) close() { v.demuxer.Close() }

// describe makes the description of the stream and the packetizer.
func (v *video) describe(p *decode.Parameters) error {
	sets, lengths, err := parameterSets(p)
	if err != nil {
		return err
	}
	v.lengths = lengths
	var f format.Format
	switch p.Codec {
	case "h264":
		h264 := &format.H264{PayloadTyp: payloadType, PacketizationMode: 1}
		h264.SPS, h264.PPS = pick(sets, 0x1f, 0, 7), pick(sets, 0x1f, 0, 8)
		encoder, err := h264.CreateEncoder()
		if err != nil {
			return err
		}
		v.encode, f = encoder.Encode, h264
	case "hevc":
		h265 := &format.H265{PayloadTyp: payloadType}
		h265.VPS, h265.SPS, h265.PPS = pick(sets, 0x3f, 1, 32), pick(sets, 0x3f, 1, 33), pick(sets, 0x3f, 1, 34)
		encoder, err := h265.CreateEncoder()
		if err != nil {
			return err
		}
		v.encode, f = encoder.Encode, h265
	default:
		return fmt.Errorf("it holds %s; convert it to H.264: ffmpeg -i IN -c:v libx264 -bf 0 OUT.mp4", p.Codec)
	}
	v.media = &description.Media{Type: description.MediaTypeVideo, Formats: []format.Format{f}}
	return nil
}

// pick returns the first NAL unit of a type; the type lies in the first byte, shifted and masked.
func pick(nals [][]byte, mask byte, shift, want int) []byte {
	for _, nal := range nals {
		if len(nal) > 0 && int(nal[0]>>shift&mask) == want {
			return nal
		}
	}
	return nil
}

// parameterSets takes them out of avcC, hvcC or Annex B, and says how many bytes stand before each NAL unit of a packet.
func parameterSets(p *decode.Parameters) (sets [][]byte, lengths int, err error) {
	x := p.Extradata
	switch {
	case len(x) < 7 || x[0] != 1:
		return splitAnnexB(x), 0, nil
	case p.Codec == "h264":
		sets, err = avcSets(x)
		return sets, int(x[4]&3) + 1, err
	case len(x) < 23:
		return nil, 0, errCut
	}
	sets, err = hevcSets(x)
	return sets, int(x[21]&3) + 1, err
}

var errCut = errors.New("its parameter sets are cut off")

// avcSets reads the SPS and PPS of an AVCDecoderConfigurationRecord, ISO/IEC 14496-15.
func avcSets(x []byte) (sets [][]byte, err error) {
	rest := x[5:]
	for _, mask := range []byte{0x1f, 0xff} {
		if len(rest) < 1 {
			return nil, errCut
		}
		n := int(rest[0] & mask)
		rest = rest[1:]
		for range n {
			var nal []byte
			if nal, rest, err = counted(rest, 2); err != nil {
				return nil, err
			}
			sets = append(sets, nal)
		}
	}
	return sets, nil
}

// hevcSets reads all arrays of an HEVCDecoderConfigurationRecord, ISO/IEC 14496-15.
func hevcSets(x []byte) (sets [][]byte, err error) {
	rest := x[23:]
	for range x[22] {
		if len(rest) < 3 {
			return nil, errCut
		}
		n := binary.BigEndian.Uint16(rest[1:])
		rest = rest[3:]
		for range n {
			var nal []byte
			if nal, rest, err = counted(rest, 2); err != nil {
				return nil, err
			}
			sets = append(sets, nal)
		}
	}
	return sets, nil
}

// counted cuts a NAL unit off that stands behind its length of the given number of bytes.
func counted(b []byte, lengths int) (nal, rest []byte, err error) {
	if len(b) < lengths {
		return nil, nil, errCut
	}
	n := 0
	for _, digit := range b[:lengths] {
		n = n<<8 | int(digit)
	}
	if n > len(b)-lengths {
		return nil, nil, errCut
	}
	return b[lengths : lengths+n], b[lengths+n:], nil
}

// split returns the NAL units of a packet.
func (v *video) split(data []byte) (nals [][]byte, err error) {
	if v.lengths == 0 {
		return splitAnnexB(data), nil
	}
	for len(data) > 0 {
		var nal []byte
		if nal, data, err = counted(data, v.lengths); err != nil {
			return nil, err
		}
		if len(nal) > 0 {
			nals = append(nals, nal)
		}
	}
	return nals, nil
}

// splitAnnexB returns what stands between start codes.
func splitAnnexB(data []byte) (nals [][]byte) {
	for _, nal := range bytes.Split(data, []byte{0, 0, 1}) {
		if nal = bytes.TrimRight(nal, "\x00"); len(nal) > 0 {
			nals = append(nals, nal)
		}
	}
	return nals
}

// play sends the file again and again; it returns only an error, or when ctx is done.
func (c *Camera) play(ctx context.Context) error {
	start := time.Now()
	var origin time.Duration // of this round on the stream's time line
	for {
		end, err := c.round(ctx, start, origin)
		if err != nil {
			return err
		}
		if end <= origin {
			return errors.New("the file holds no pictures")
		}
		origin = end
		c.count(func(s *Stats) { s.Loops++ })
		if err := c.video.demuxer.Rewind(ctx); err != nil {
			return err
		}
	}
}

// round sends the file once, each access unit at its decoding time, and returns where the next round begins.
func (c *Camera) round(ctx context.Context, start time.Time, origin time.Duration) (end time.Duration, err error) {
	interval := c.video.demuxer.Interval()
	if interval <= 0 {
		interval = time.Second / 25
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	first := decode.NoTime
	for n := 0; ; n++ {
		var p decode.Packet
		more, err := c.video.demuxer.Read(ctx, &p)
		if !more || err != nil {
			return end, err
		}
		pts, dts := times(&p, time.Duration(n)*interval)
		if first == decode.NoTime {
			first = dts
		}
		pts, dts = origin+pts-first, origin+dts-first
		end = max(end, pts+interval)
		timer.Reset(time.Until(start.Add(dts)))
		select {
		case <-timer.C:
		case <-ctx.Done():
			return end, ctx.Err()
		}
		if p.Key {
			if err := c.report(pts, start.Add(pts+c.options.ClockOffset)); err != nil {
				return end, err
			}
		}
		if err := c.send(p.Data, pts); err != nil {
			return end, err
		}
	}
}

// times fills in what the container does not say.
func times(p *decode.Packet, otherwise time.Duration) (pts, dts time.Duration) {
	pts, dts = p.PTS, p.DTS
	switch {
	case pts == decode.NoTime && dts == decode.NoTime:
		return otherwise, otherwise
	case pts == decode.NoTime:
		pts = dts
	case dts == decode.NoTime:
		dts = pts
	}
	return pts, dts
}

// report tells all readers which timestamp belongs to which time of the camera's clock.
func (c *Camera) report(pts time.Duration, taken time.Time) error {
	stream, v := c.current(), c.video
	return stream.WritePacketRTCP(v.media, &rtcp.SenderReport{
		SSRC:    stream.Stats().Medias[v.media].Formats[v.media.Formats[0]].LocalSSRC,
		NTPTime: ntp.Encode(taken),
		RTPTime: timestamp(pts),
	})
}

// timestamp is the RTP timestamp of a picture.
func timestamp(pts time.Duration) uint32 {
	ticks := int64(pts/time.Millisecond)*90 + int64(pts%time.Millisecond)*90/int64(time.Millisecond)
	return firstTimestamp + uint32(ticks) //nolint:gosec // it wraps
}

// send sends one access unit to all readers.
func (c *Camera) send(data []byte, pts time.Duration) error {
	nals, err := c.video.split(data)
	if err != nil || len(nals) == 0 {
		return err
	}
	packets, err := c.video.encode(nals)
	if err != nil {
		return err
	}
	stream := c.current()
	for _, packet := range packets {
		packet.Timestamp = timestamp(pts)
		if err := stream.WritePacketRTP(c.video.media, packet); err != nil {
			return err
		}
	}
	return nil
}
