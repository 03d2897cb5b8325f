package sinks

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/rtp/codecs"
	"github.com/sightline/sightline/pipeline/picture"
	"github.com/sightline/sightline/sinks/encode"
)

// maxPayload keeps RTP packets with SRTP, UDP and a VPN's headers below 1280 bytes.
const maxPayload = 1188

// accessUnit is one coded picture as RTP packets, shared by all viewers, who only read it. SSRC and payload type are
// filled in by each viewer's track.
type accessUnit struct {
	packets []rtp.Packet
	key     bool
}

// stream makes one camera's coded stream. It belongs to one goroutine.
type stream struct {
	name     string // encoder that is wanted; "" = any
	encoder  *encode.Encoder
	coded    []byte
	splitter codecs.H264Payloader
	sequence uint16
	offset   uint32 // of RTP timestamps
	clock    mediaClock
}

func newStream(encoder string) *stream {
	return &stream{name: encoder, sequence: uint16(rand.Uint32()), offset: rand.Uint32()}
}

// encode makes the access unit of pic; a picture of another size than before starts with a key frame. The unit is nil
// when the encoder skipped the picture.
func (s *stream) encode(pic *picture.I420, capturedAt time.Time, forceKey bool) (*accessUnit, error) {
	if s.encoder != nil && !s.encoder.Fits(pic) {
		s.close()
	}
	if s.encoder == nil {
		e, err := encode.Open(encode.Config{Width: pic.Width, Height: pic.Height, Matrix: pic.Matrix, Encoder: s.name})
		if err != nil {
			return nil, err
		}
		s.encoder = e
	}
	at := s.clock.at(capturedAt)
	coded, key, err := s.encoder.Encode(pic, at, forceKey, s.coded[:0])
	s.coded = coded
	if err != nil {
		s.close() // a new one starts clean with the next picture
		return nil, fmt.Errorf("annotate: %w", err)
	}
	if len(coded) == 0 {
		return nil, nil // documented: skipped
	}
	return &accessUnit{packets: s.split(coded, s.offset+uint32(at*9/100000)), key: key}, nil
}

func (s *stream) split(coded []byte, timestamp uint32) []rtp.Packet {
	payloads := s.splitter.Payload(maxPayload, coded)
	packets := make([]rtp.Packet, len(payloads))
	for i, p := range payloads {
		packets[i] = rtp.Packet{Payload: p, Header: rtp.Header{Version: 2, Marker: i == len(payloads)-1, SequenceNumber: s.sequence, Timestamp: timestamp}}
		s.sequence++
	}
	return packets
}

func (s *stream) close() {
	if s.encoder != nil {
		s.encoder.Close()
		s.encoder = nil
	}
}

// mediaClock turns capture times into rising timestamps. They keep the distances of capture times, except where those
// step back or leap: a camera's new session may have another clock.
type mediaClock struct {
	started bool
	origin  time.Time // capture time of timestamp zero
	last    time.Duration
}

const (
	clockTick = time.Millisecond      // between a picture and the same picture shown again
	clockStep = 40 * time.Millisecond // across a change of clocks
	clockLeap = time.Minute           // no camera that is watched is silent for so long
)

func (c *mediaClock) at(captured time.Time) time.Duration {
	if !c.started {
		c.started, c.origin = true, captured
		return 0
	}
	d := captured.Sub(c.origin)
	switch {
	case d > c.last+clockLeap || d < c.last-time.Second:
		d = c.last + clockStep
		c.origin = captured.Add(-d)
	case d <= c.last:
		d = c.last + clockTick
	}
	c.last = d
	return d
}
