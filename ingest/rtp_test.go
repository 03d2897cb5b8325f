package ingest

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"github.com/pion/rtp"

	"github.com/sightline/sightline/pipeline/bus"
)

var (
	testSPS = []byte{0x67, 0x42, 0xc0, 0x1e, 0xd9, 0x00, 0xa0, 0x47, 0xfe, 0x88}
	testPPS = []byte{0x68, 0xce, 0x3c, 0x80}
)

// coded is a unit as the assembler handed it out, with a copy of its data.
type coded struct {
	Unit
	data []byte
}

func collect(t *testing.T, codec rtpCodec, sets [][]byte) (*assembler, *[]coded) {
	t.Helper()
	var got []coded
	a, err := newAssembler(codec, sets, func(u *Unit) { got = append(got, coded{*u, bytes.Clone(u.Data)}) })
	if err != nil {
		t.Fatal(err)
	}
	return a, &got
}

func packet(seq uint16, timestamp uint32, marker bool, payload ...byte) *rtp.Packet {
	return &rtp.Packet{Header: rtp.Header{Version: 2, SequenceNumber: seq, Timestamp: timestamp, Marker: marker}, Payload: payload}
}

// idr and slice are whole coded pictures in one NAL unit each; n tells them apart.
func idr(n byte) []byte   { return []byte{0x65, 0x88, n} }
func slice(n byte) []byte { return []byte{0x41, 0x9a, n} }

func TestAssemblerBeginsAtAKeyFrameWithItsParameterSets(t *testing.T) {
	a, got := collect(t, codecH264, [][]byte{testSPS, testPPS})
	now := time.Now()
	a.packet(packet(1, 0, true, slice(1)...), now)
	a.packet(packet(2, 3000, true, idr(2)...), now)
	a.packet(packet(3, 6000, true, slice(3)...), now)
	if len(*got) != 2 {
		t.Fatalf("%d units, want the key frame and the one after it", len(*got))
	}
	key := (*got)[0]
	want := appendAnnexB(nil, [][]byte{testSPS, testPPS, idr(2)})
	if !key.Key || key.Lost || !bytes.Equal(key.data, want) {
		t.Errorf("first unit: key %v, lost %v, data %x, want %x", key.Key, key.Lost, key.data, want)
	}
	if next := (*got)[1]; next.Key || next.Format != key.Format || next.PTS-key.PTS != time.Second/30 || next.RTPTimestamp != 6000 {
		t.Errorf("second unit: %+v", next)
	}
	if key.Format.Codec != "h264" || !bytes.Equal(key.Format.Extradata, appendAnnexB(nil, [][]byte{testSPS, testPPS})) {
		t.Errorf("format: %+v", key.Format)
	}
}

func TestAssemblerWaitsForParameterSetsInBand(t *testing.T) {
	a, got := collect(t, codecH264, nil)
	now := time.Now()
	a.packet(packet(1, 0, true, idr(1)...), now)
	if len(*got) != 0 {
		t.Fatal("a key frame without parameter sets was handed out")
	}
	a.packet(packet(2, 3000, false, testSPS...), now)
	a.packet(packet(3, 3000, false, testPPS...), now)
	a.packet(packet(4, 3000, true, idr(2)...), now)
	a.packet(packet(5, 6000, true, idr(3)...), now)
	if len(*got) != 2 {
		t.Fatalf("%d units, want 2", len(*got))
	}
	for i, unit := range *got {
		if want := appendAnnexB(nil, [][]byte{testSPS, testPPS, idr(byte(2 + i))}); !bytes.Equal(unit.data, want) {
			t.Errorf("unit %d: %x, want the parameter sets once in front: %x", i, unit.data, want)
		}
	}
}

// A lost packet costs exactly the units it may have belonged to, and the next one says so.
func TestAssemblerDropsDamagedUnits(t *testing.T) {
	a, got := collect(t, codecH264, [][]byte{testSPS, testPPS})
	now := time.Now()
	fragments := func(seq uint16, timestamp uint32, skip int) (gap bool) {
		parts := [][]byte{{0x7c, 0x85, 0x88, 1}, {0x7c, 0x05, 2}, {0x7c, 0x45, 3}}
		for i, part := range parts {
			if i != skip {
				gap = a.packet(packet(seq+uint16(i), timestamp, i == 2, part...), now) || gap
			}
		}
		return gap
	}
	if fragments(10, 0, -1) {
		t.Error("a loss was reported where there was none")
	}
	if !fragments(13, 3000, 1) { // its middle is lost
		t.Error("the lost packet was not noticed")
	}
	a.packet(packet(16, 6000, true, slice(1)...), now)
	fragments(17, 9000, 2)                                           // its end is lost
	a.packet(packet(20, 12000, true, 0x41, 0x1a, 9), now)            // does not begin a picture: unclear what is missing
	a.packet(packet(21, 15000, true, slice(2)...), now)              //
	a.packet(packet(25, 18000, true, slice(3)...), now)              // after a gap, but certainly whole
	a.packet(packet(26, 18000+3000, true, 0x78, 0, 9, 1, 2, 3), now) // cut off aggregate
	a.packet(packet(27, 18000+6000, true, slice(4)...), now)         //
	want := []struct {
		at   uint32
		lost bool
	}{{0, false}, {6000, true}, {15000, true}, {18000, true}, {24000, true}}
	if len(*got) != len(want) {
		t.Fatalf("%d units, want %d: %+v", len(*got), len(want), *got)
	}
	for i, w := range want {
		if u := (*got)[i]; u.RTPTimestamp != w.at || u.Lost != w.lost {
			t.Errorf("unit %d: timestamp %d, lost %v, want %+v", i, u.RTPTimestamp, u.Lost, w)
		}
	}
	if a.losses != 4 {
		t.Errorf("%d losses counted, want 4", a.losses)
	}
}

// Some cameras set no markers: units are told apart by their timestamps, and keep their own.
func TestAssemblerWithoutMarkers(t *testing.T) {
	a, got := collect(t, codecH264, [][]byte{testSPS, testPPS})
	for i := range uint32(4) {
		a.packet(packet(uint16(2*i), 3000*i, false, idr(1)...), time.Now())
		a.packet(packet(uint16(2*i+1), 3000*i, false, slice(2)...), time.Now())
	}
	if len(*got) != 3 {
		t.Fatalf("%d units, want 3", len(*got))
	}
	for i, u := range *got {
		if u.RTPTimestamp != uint32(3000*i) || u.PTS != time.Duration(i)*time.Second/30 {
			t.Errorf("unit %d: timestamp %d, PTS %s", i, u.RTPTimestamp, u.PTS)
		}
	}
}

func TestAssemblerVP8AndH265(t *testing.T) {
	a, got := collect(t, codecVP8, nil)
	a.packet(packet(1, 0, true, 0x10, 0x01, 0xaa), time.Now())
	a.packet(packet(2, 3000, false, 0x10, 0x00, 0xbb), time.Now())
	a.packet(packet(3, 3000, true, 0x00, 0xcc), time.Now())
	a.packet(packet(4, 6000, true, 0x10, 0x01, 0xdd), time.Now())
	if len(*got) != 2 || !(*got)[0].Key || !bytes.Equal((*got)[0].data, []byte{0x00, 0xbb, 0xcc}) || (*got)[1].Key {
		t.Errorf("VP8: %+v", *got)
	}

	vps, sps, pps := []byte{0x40, 1, 1}, []byte{0x42, 1, 2}, []byte{0x44, 1, 3}
	a, got = collect(t, codecH265, [][]byte{vps, sps, pps})
	a.packet(packet(1, 0, true, 0x02, 1, 0x80), time.Now())
	a.packet(packet(2, 3000, false, 0x62, 1, 0x80|20, 0x80), time.Now()) // CRA in two fragments
	a.packet(packet(3, 3000, true, 0x62, 1, 0x40|20, 7), time.Now())
	if want := appendAnnexB(nil, [][]byte{vps, sps, pps, {20 << 1, 1, 0x80, 7}}); len(*got) != 1 || !bytes.Equal((*got)[0].data, want) {
		t.Errorf("H.265: %+v, want %x", *got, want)
	}
}

func TestTimestampsAreUnwrappedInBothDirections(t *testing.T) {
	var u unwrapper
	start := uint32(0xffffffff - 90000 + 1)
	for _, step := range []struct {
		timestamp uint32
		want      time.Duration
	}{
		{start, 0},
		{start + 90000, time.Second},
		{start + 180000, 2 * time.Second},
		{start + 90000, time.Second},
		{start - 9000, -100 * time.Millisecond},
	} {
		if got := u.unwrap(step.timestamp); got != step.want {
			t.Errorf("timestamp %d: %s, want %s", step.timestamp, got, step.want)
		}
	}
	if d := ticksToDuration(90000*3600*24*365*10 + 9); d != 10*365*24*time.Hour+100*time.Microsecond {
		t.Errorf("ten years: %s", d)
	}
}

func ntp(t time.Time) uint64 {
	return uint64(t.Unix()+2208988800)<<32 | uint64(t.Nanosecond())<<32/uint64(time.Second)
}

func TestCaptureClock(t *testing.T) {
	now := time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC)
	for _, test := range []struct {
		name    string
		taken   time.Duration // by the camera's clock, after now
		clock   bus.Clock
		want    time.Duration
		skewing int
	}{
		{"a fifth of a second ago", -200 * time.Millisecond, bus.ClockRTCP, -200 * time.Millisecond, 0},
		{"a little ahead", 300 * time.Millisecond, bus.ClockRTCP, 0, 0},
		{"an hour ahead", time.Hour, bus.ClockArrival, 0, 1},
		{"in 1970", -56 * 365 * 24 * time.Hour, bus.ClockArrival, 0, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			warned := 0
			c := captureClock{skewed: func(time.Duration) { warned++ }}
			if _, clock := c.at(5, now); clock != bus.ClockArrival {
				t.Errorf("before any report the clock is %s", clock)
			}
			c.report(ntp(now.Add(test.taken-time.Second)), 0xffffffff-90000+6) // a second before
			for range 2 {
				got, clock := c.at(6-1+0, now)
				if d := got.Sub(now) - test.want; clock != test.clock || d.Abs() > time.Millisecond {
					t.Errorf("%s %s, want %s %s", got.Sub(now), clock, test.want, test.clock)
				}
			}
			if warned != test.skewing {
				t.Errorf("warned %d times", warned)
			}
		})
	}
	if _, ok := ntpTime(7); ok {
		t.Error("a camera without a clock was believed")
	}
	if later, _ := ntpTime(1 << 32); later.Year() != 2036 {
		t.Errorf("after the era's end: %s", later)
	}
}

func TestReorder(t *testing.T) {
	now := time.Now()
	for _, test := range []struct {
		name string
		in   []uint16
		want []uint16
	}{
		{"in order", []uint16{65534, 65535, 0, 1}, []uint16{65534, 65535, 0, 1}},
		{"swapped and doubled", []uint16{5, 7, 7, 6, 6, 8}, []uint16{5, 6, 7, 8}},
		{"too late", []uint16{5, 6, 4, 7}, []uint16{5, 6, 7}},
		{"a jump", []uint16{5, 7, 6000, 6001}, []uint16{5, 7, 6000, 6001}},
		{"missing", []uint16{5, 7, 8}, []uint16{5}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var got []uint16
			r := &reorder{deliver: func(p *rtp.Packet, _ time.Time) { got = append(got, p.SequenceNumber) }}
			for _, seq := range test.in {
				r.push(packet(seq, 0, false), now)
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
	var got []uint16
	r := &reorder{deliver: func(p *rtp.Packet, _ time.Time) { got = append(got, p.SequenceNumber) }}
	r.push(packet(1, 0, false), now)
	r.push(packet(3, 0, false), now)
	r.push(packet(4, 0, false), now.Add(reorderWait+1))
	if !slices.Equal(got, []uint16{1, 3, 4}) {
		t.Errorf("after waiting: %v", got)
	}
	for i := range uint16(2 * reorderStray) { // the sender started anew
		r.push(packet(40000+i, 0, false), now)
	}
	if r.next != 40000+2*reorderStray || r.held != 0 {
		t.Errorf("after a new start: next %d, %d held", r.next, r.held)
	}
}

// FuzzAssembler feeds packets of any content: each is 4 bytes of header (flags, sequence, length) and its payload.
func FuzzAssembler(f *testing.F) {
	f.Add(uint8(0), append([]byte{1, 1, 0, 3}, idr(1)...))
	f.Add(uint8(0), []byte{0, 1, 0, 4, 0x7c, 0x85, 0x88, 1, 1, 2, 0, 3, 0x7c, 0x45, 3})
	f.Add(uint8(1), []byte{0, 1, 0, 4, 0x62, 1, 0x94, 0x80, 1, 3, 0, 4, 0x62, 1, 0x54, 7})
	f.Add(uint8(2), []byte{0, 1, 0, 3, 0x10, 0, 0xbb, 1, 2, 1, 2, 0, 0xcc})
	f.Fuzz(func(t *testing.T, kind uint8, data []byte) {
		codec := rtpCodec(kind % 3)
		keyed := false
		a, err := newAssembler(codec, [][]byte{testSPS, testPPS, {0x40, 1}, {0x42, 1}, {0x44, 1}}, func(u *Unit) {
			keyed = keyed || u.Key
			if !keyed || len(u.Data) == 0 {
				t.Errorf("unit before any key frame, or empty: %+v", u)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		seq, now := uint16(0), time.Now()
		order := &reorder{deliver: func(p *rtp.Packet, at time.Time) { a.packet(p, at) }}
		for len(data) >= 4 {
			seq += uint16(data[1])
			n := min(int(data[3]), len(data)-4)
			p := packet(seq, uint32(data[2])*3000, data[0]&1 == 1, data[4:4+n]...)
			if data[0]&2 == 0 {
				a.packet(p, now)
			} else {
				order.push(p, now)
			}
			data = data[4+n:]
		}
	})
}

func BenchmarkAssembler(b *testing.B) {
	a, err := newAssembler(codecH264, [][]byte{testSPS, testPPS}, func(*Unit) {})
	if err != nil {
		b.Fatal(err)
	}
	payload := append([]byte{0x65, 0x88}, make([]byte, 1400)...)
	p, now := packet(0, 0, true, payload...), time.Now()
	b.ReportAllocs()
	for b.Loop() {
		p.SequenceNumber++
		p.Timestamp += 3600
		a.packet(p, now)
	}
}
