package ingest

import (
	"errors"
	"testing"

	"github.com/sightline/sightline/ingest/decode"
	"github.com/sightline/sightline/ingest/decode/testclip"
	"github.com/sightline/sightline/pipeline/bus"
)

// ringOf makes a ring that goes with the test.
func ringOf(t *testing.T, slots, width, height int) *bus.Ring {
	t.Helper()
	ring, err := bus.NewRing("gate", slots, width, height)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ring.Close() })
	return ring
}

// TestPicturesAreDecodedIntoSlots where there are free ones, and beside them where readers hold all; a change of the ring is followed.
func TestPicturesAreDecodedIntoSlots(t *testing.T) {
	path := testclip.Counter(t, "clip.mp4", 60, 25, "-c:v libx264 -qp 0 -g 12 -bf 2 -pix_fmt yuv420p")
	demuxer, err := decode.OpenFile(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer demuxer.Close()
	decoder, err := decode.Open(demuxer.Parameters(), 1)
	if err != nil {
		t.Fatal(err)
	}
	var l loan
	defer l.end()
	defer decoder.Close()
	w, h := demuxer.Parameters().Width, demuxer.Parameters().Height
	slots := 12
	ring, mapper := ringOf(t, slots, w, h), bus.NewMapper()
	defer mapper.Close()
	var held []*bus.View
	shown, placed := 0, 0
	step := func() {
		for {
			p, ok, err := decoder.Receive()
			if err != nil {
				t.Fatal(err)
			}
			if !ok {
				return
			}
			if slot := l.slot(p); slot != nil {
				placed++
				view, err := mapper.Open(slot.Commit())
				if err != nil {
					t.Fatal(err)
				}
				held = append(held, view)
				planes := view.Planes()
				if n := testclip.CounterOf(planes.Y[h/2*planes.StrideY+w/2]); n != shown%48 {
					t.Errorf("picture %d shows %d", shown, n)
				}
			}
			shown++
		}
	}
	release := func() {
		for _, v := range held {
			v.Release()
		}
		held = nil
	}
	var packet decode.Packet
	parts := []struct {
		until  int  // pictures
		let    bool // whether readers let go
		change bool // whether the ring is another one from here on
		least  int  // of the pictures that lie in slots
		most   int
	}{{20, true, false, 15, 20}, {40, false, false, 4, slots}, {60, true, true, 12, 20}}
	for _, part := range parts {
		if part.change {
			if err := ring.Close(); err != nil {
				t.Fatal(err)
			}
			ring = ringOf(t, slots, w, h)
		}
		release()
		placed = 0
		for shown < part.until {
			if part.let {
				release()
			}
			ok, err := demuxer.Read(t.Context(), &packet)
			if err != nil || !ok && decoder.Drain() != nil {
				t.Fatal(err)
			}
			if shown > 0 { // what it keeps is known
				l.use(decoder, ring)
			}
			l.refill(decoder)
			if ok {
				if err := decoder.Send(packet.Data, packet.PTS.Microseconds()); err != nil {
					t.Fatal(err)
				}
			}
			step()
		}
		if placed < part.least || placed > part.most {
			t.Errorf("up to picture %d: %d lie in slots, want %d to %d", part.until, placed, part.least, part.most)
		}
	}
	release()
}

// TestLentSlotsComeBack when the decoder is closed: the ring has all of them again.
func TestLentSlotsComeBack(t *testing.T) {
	decoder, err := decode.Open(&decode.Parameters{Codec: "h264"}, 1)
	if err != nil {
		t.Fatal(err)
	}
	const slots = 3
	ring := ringOf(t, slots, 64, 48)
	var l loan
	l.use(decoder, ring)
	l.refill(decoder)
	if n := decoder.Lent(); n != 1 {
		t.Fatalf("%d are lent", n)
	}
	decoder.Close()
	l.end()
	for i := range slots {
		if _, err := ring.Acquire(); err != nil {
			t.Fatalf("slot %d: %v", i, err)
		}
	}
	if _, err := ring.Acquire(); !errors.Is(err, bus.ErrRingFull) {
		t.Errorf("one slot too many: %v", err)
	}
	if (&loan{}).slot(decode.Picture{Place: -1}) != nil {
		t.Error("a picture that lies in no place has a slot")
	}
}
