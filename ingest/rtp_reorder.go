package ingest

import (
	"time"

	"github.com/pion/rtp"
)

// Limits of the reordering of packets that came by UDP.
const (
	reorderPackets = 512                    // a power of two
	reorderWait    = 200 * time.Millisecond // for a lost packet to be sent again
	reorderStray   = 64                     // old packets in a row that mean the sender started anew
)

// reorder puts packets back into the order of their sequence numbers, drops doubles, and waits a moment for missing ones.
// Used from one goroutine.
type reorder struct {
	deliver func(p *rtp.Packet, arrived time.Time)

	started bool
	next    uint16 // the sequence number that is waited for
	held    int    // packets in ring
	ring    [reorderPackets]heldPacket
	since   time.Time // when the packet next was first missed
	strays  int
}

type heldPacket struct {
	packet  *rtp.Packet
	arrived time.Time
}

// push takes a packet and delivers all that is in order then. The packet is kept.
func (r *reorder) push(p *rtp.Packet, arrived time.Time) {
	if !r.started {
		r.started, r.next = true, p.SequenceNumber
	}
	ahead := int16(p.SequenceNumber - r.next) //nolint:gosec // the nearest way around the circle
	switch {
	case ahead < 0:
		if r.strays++; r.strays < reorderStray {
			return
		}
		r.restart(p.SequenceNumber)
	case ahead >= reorderPackets:
		r.restart(p.SequenceNumber)
	}
	r.strays = 0
	place := &r.ring[p.SequenceNumber%reorderPackets]
	if place.packet == nil {
		*place = heldPacket{p, arrived}
		r.held++
	}
	r.drain()
	r.giveUp(arrived)
}

// drain delivers the packets that are in order.
func (r *reorder) drain() {
	for {
		place := &r.ring[r.next%reorderPackets]
		if place.packet == nil {
			return
		}
		p := *place
		*place = heldPacket{}
		r.held--
		r.next++
		r.since = time.Time{}
		r.deliver(p.packet, p.arrived)
	}
}

// giveUp goes on without the missing packet when it was waited for long enough.
func (r *reorder) giveUp(now time.Time) {
	switch {
	case r.held == 0:
		return
	case r.since.IsZero():
		r.since = now
	case now.Sub(r.since) > reorderWait || r.held > reorderPackets/2:
		for r.ring[r.next%reorderPackets].packet == nil {
			r.next++
		}
		r.drain()
	}
}

// restart delivers what is held, gaps and all, and goes on from sequence number next.
func (r *reorder) restart(next uint16) {
	for r.held > 0 {
		for r.ring[r.next%reorderPackets].packet == nil {
			r.next++
		}
		r.drain()
	}
	r.next, r.since = next, time.Time{}
}
