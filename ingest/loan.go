package ingest

import (
	"github.com/sightline/sightline/ingest/decode"
	"github.com/sightline/sightline/pipeline/bus"
	"github.com/sightline/sightline/pipeline/picture"
)

// mostKept bounds the slots that a camera has for pictures that its decoder keeps: few streams refer to more.
const mostKept = 6

// slotsKept is how many slots are added for what the decoder keeps, and for the picture that it decodes.
func slotsKept(d *decode.Decoder) int { return min(d.Keeps(), mostKept) + 1 }

// loan lends a decoder slots of shared memory, so that pictures are decoded where their readers find them and need not be copied. Where
// it finds none the decoder takes memory of its own. It belongs to the owner.
type loan struct {
	ring  *bus.Ring // whose slots are lent from now on
	most  int       // of them that the decoder may have at once: readers get the others
	count int       // of ring that the decoder has
	slots [decode.Places]lentSlot
}

// lentSlot is what lies in one of the decoder's places; none where slot is nil.
type lentSlot struct {
	ring *bus.Ring
	slot *bus.Slot
}

// use lends from a ring from now on: as many slots as were added, and the one that is being published.
func (l *loan) use(d *decode.Decoder, ring *bus.Ring) {
	if ring == l.ring {
		return
	}
	d.Recall()
	l.ring, l.most, l.count = ring, slotsKept(d)+1, 0
}

// refill takes back what the decoder needs no more, and lends it anew.
func (l *loan) refill(d *decode.Decoder) {
	for place, ok := d.Back(); ok; place, ok = d.Back() {
		l.back(place)
	}
	if l.ring == nil {
		return
	}
	for d.Lent() == 0 && l.count < l.most {
		slot, err := l.ring.Acquire()
		if err != nil {
			return // readers have them; the next picture may find one
		}
		planes := viewOf(slot)
		place, ok := d.Lend(&planes)
		if !ok {
			slot.Abort()
			return
		}
		slot.Keep()
		l.slots[place] = lentSlot{l.ring, slot}
		l.count++
	}
}

// back ends the loan of a place.
func (l *loan) back(place int) {
	lent := l.slots[place]
	if lent.slot == nil {
		return
	}
	lent.slot.Abort() // unless it was published
	lent.slot.Release()
	l.slots[place] = lentSlot{}
	if lent.ring == l.ring {
		l.count--
	}
}

// slot is what a picture was decoded into, nil where that is no slot of the ring at hand.
func (l *loan) slot(p decode.Picture) *bus.Slot {
	if p.Place < 0 || l.slots[p.Place].ring != l.ring {
		return nil
	}
	return l.slots[p.Place].slot
}

// end takes everything back from a decoder that is closed.
func (l *loan) end() {
	for place := range l.slots {
		l.back(place)
	}
}

// viewOf shows the pixels of a slot.
func viewOf(s *bus.Slot) picture.I420 {
	p := s.Planes()
	return picture.I420{Width: p.Width, Height: p.Height, Y: p.Y, U: p.U, V: p.V, StrideY: p.StrideY, StrideC: p.StrideC}
}
