package ingest

import (
	"time"

	"github.com/pion/rtp"

	"github.com/sightline/sightline/ingest/decode"
)

// rtpClockRate is the rate of the timestamps of every video codec that is taken from RTP.
const rtpClockRate = 90000

// assembler makes access units from the RTP packets of one video track, in the order of their sequence numbers (see reorder
// for transports that mix them up). It hands out nothing before the first key frame whose parameter sets are known, and no
// access unit that misses a packet: the one after it says Lost. Used from one goroutine.
type assembler struct {
	codec  rtpCodec
	depack depacketizer
	format *decode.Parameters
	clock  *captureClock
	emit   func(*Unit)

	started bool
	lost    bool // the next unit follows a gap
	seen    bool // a packet came; next is the sequence number after it
	next    uint16

	skipping bool   // what belongs to skip is incomplete and not wanted
	skip     uint32 // RTP timestamp

	buffered   bool // the depacketizer holds finished parts of a unit of this timestamp
	bufferedAt uint32

	time unwrapper
	sets parameterSets
	data []byte // of the unit being handed out; reused

	losses uint64 // gaps and undecodable packets
}

// newAssembler makes an assembler; sets are the parameter sets known beforehand (from an SDP), without start codes.
func newAssembler(codec rtpCodec, sets [][]byte, emit func(*Unit)) (*assembler, error) {
	a := &assembler{codec: codec, clock: new(captureClock), emit: emit}
	if err := a.reset(); err != nil {
		return nil, err
	}
	a.sets.learn(codec, sets)
	a.format = &decode.Parameters{Codec: codec.name(), Extradata: a.sets.prepend(nil)}
	return a, nil
}

func (a *assembler) reset() (err error) {
	a.depack, err = a.codec.depacketizer()
	a.buffered = false
	return err
}

// packet takes the next packet; arrived is when it came. The packet is kept until its unit was handed out.
// It says whether something was lost, so that a key frame can be asked for.
func (a *assembler) packet(p *rtp.Packet, arrived time.Time) (gap bool) {
	gap = a.seen && p.SequenceNumber != a.next
	a.seen, a.next = true, p.SequenceNumber+1
	if gap {
		a.damaged(p)
	}
	if a.skipping && p.Timestamp == a.skip {
		return gap
	}
	a.skipping = false
	if len(p.Payload) == 0 {
		return gap // padding, which some use to probe the bandwidth
	}
	nals, err := a.depack.decode(p)
	switch {
	case err == nil:
		a.finish(nals, a.timestamp(p), arrived)
	case a.depack.more(err):
		if a.codec.completes(p.Payload) {
			a.buffered, a.bufferedAt = true, p.Timestamp
		}
	default:
		a.damaged(nil)
		a.skipping, a.skip = true, p.Timestamp
		return true
	}
	return gap
}

// damaged forgets the unit in progress, and the one that p belongs to unless p clearly is its first packet: nobody knows
// what else of it is missing.
func (a *assembler) damaged(p *rtp.Packet) {
	a.losses++
	a.lost = true
	a.reset() //nolint:errcheck // it worked before
	if p != nil && !a.codec.begins(p.Payload) {
		a.skipping, a.skip = true, p.Timestamp
	}
}

// timestamp is that of the unit which the depacketizer just gave out on p: where markers are missing, it is the unit before
// p's and p is held back.
func (a *assembler) timestamp(p *rtp.Packet) uint32 {
	if a.buffered && a.bufferedAt != p.Timestamp {
		before := a.bufferedAt
		a.bufferedAt = p.Timestamp
		return before
	}
	a.buffered = false
	return p.Timestamp
}

// finish hands out one access unit.
func (a *assembler) finish(nals [][]byte, timestamp uint32, arrived time.Time) {
	key, carried := a.codec.inspect(nals)
	a.sets.learn(a.codec, nals)
	since := a.time.unwrap(timestamp)
	if !a.started && (!key || !a.sets.complete(a.codec)) {
		return
	}
	a.data = a.data[:0]
	if key && !carried {
		a.data = a.sets.prepend(a.data)
	}
	a.data = a.codec.join(a.data, nals)
	if len(a.data) == 0 {
		return
	}
	captured, clock := a.clock.at(timestamp, arrived)
	a.emit(&Unit{
		Format:       a.format,
		Data:         a.data,
		PTS:          since,
		RTPTimestamp: timestamp,
		CapturedAt:   captured,
		Clock:        clock,
		Key:          key,
		Lost:         a.lost && a.started,
	})
	a.started, a.lost = true, false
}

// unwrapper turns 32-bit RTP timestamps into the time since the first one, across the wrap and in both directions.
type unwrapper struct {
	seen  bool
	last  uint32
	ticks int64
}

func (u *unwrapper) unwrap(timestamp uint32) time.Duration {
	if u.seen {
		u.ticks += int64(int32(timestamp - u.last)) //nolint:gosec // the nearest way around the circle
	}
	u.seen, u.last = true, timestamp
	return ticksToDuration(u.ticks)
}

// ticksToDuration keeps the precision for years of ticks.
func ticksToDuration(ticks int64) time.Duration {
	seconds, rest := ticks/rtpClockRate, ticks%rtpClockRate
	return time.Duration(seconds)*time.Second + time.Duration(rest)*time.Second/rtpClockRate
}

var startCode = [4]byte{0, 0, 0, 1}

// appendAnnexB appends NAL units, each behind a start code.
func appendAnnexB(data []byte, nals [][]byte) []byte {
	for _, nal := range nals {
		if len(nal) > 0 {
			data = append(append(data, startCode[:]...), nal...)
		}
	}
	return data
}

// maxParameterSets bounds what is remembered of each kind; more than one is rare.
const (
	maxParameterSets    = 8
	maxParameterSetSize = 4096
)

// parameterSets remembers the newest parameter sets of each kind: VPS, SPS, PPS.
type parameterSets [3][][]byte

// learn takes the parameter sets among nals; those of a kind replace the ones known of that kind.
func (s *parameterSets) learn(codec rtpCodec, nals [][]byte) {
	var fresh [3]bool
	for _, nal := range nals {
		kind, ok := codec.parameterSet(nal)
		if !ok || len(nal) > maxParameterSetSize {
			continue
		}
		if !fresh[kind] && len(s[kind]) == 1 && string(s[kind][0]) == string(nal) {
			fresh[kind] = true // the same again, as in most streams: nothing to copy
			continue
		}
		if !fresh[kind] {
			s[kind] = s[kind][:0]
			fresh[kind] = true
		}
		if len(s[kind]) < maxParameterSets {
			s[kind] = append(s[kind], append([]byte(nil), nal...))
		}
	}
}

// complete says whether a decoder can start with what is known.
func (s *parameterSets) complete(codec rtpCodec) bool {
	for _, kind := range codec.needs() {
		if len(s[kind]) == 0 {
			return false
		}
	}
	return true
}

// prepend appends all of them in the order that decoders expect.
func (s *parameterSets) prepend(data []byte) []byte {
	for _, sets := range s {
		data = appendAnnexB(data, sets)
	}
	return data
}
