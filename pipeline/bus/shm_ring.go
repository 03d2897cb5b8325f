package bus

import (
	"errors"
	"fmt"
	"sync"
	"syscall"
	"time"
)

// ErrRingFull is returned when readers hold every slot of a ring: the frame is dropped, the next one may find a slot.
var ErrRingFull = errors.New("every slot of the ring is held by readers")

// ErrStale is returned when the pixels of a reference are gone: the frame is dropped, a newer one will come.
var ErrStale = errors.New("the slot was used again or its ring is gone")

// Lease is how long after its commit readers may hold a slot against a writer that finds no free one.
const Lease = 3 * time.Second

// Planes are the pixels of one frame in shared memory, I420 as in picture.I420: chroma planes are (Width+1)/2 by
// (Height+1)/2, strides are bytes. Capacities reach over the rows below the picture that decoders want room for. Who gave
// them out says how long they are valid.
type Planes struct {
	Width, Height    int
	Y, U, V          []byte
	StrideY, StrideC int
	Matrix           uint8
	FullRange        bool
}

// Ring is the owner's side of shared frames: slots of one size in a file that readers of this host map. A slot that
// readers hold is not written into, unless its Lease is over and no other is free: then its generation moves on and
// the readers find out by View.Valid. So a reader that died blocks nothing for ever, and nobody uses a torn frame.
//
// A ring is safe for use by several goroutines, a Slot belongs to one.
type Ring struct {
	name  string
	mu    sync.Mutex // protects everything below and the writer's steps of the slots' states
	file  ringFile
	m     *mapping
	slots []Slot
	turn  uint64 // counts the ends of writing
	open  int    // slots being written, and slots kept
	done  bool
	lease time.Duration
}

// Slot is a place for one frame that its owner writes into.
type Slot struct {
	ring     *Ring
	index    int
	gen      uint64
	writing  bool
	kept     bool
	turn     uint64    // when it was last committed, 0 where it holds no frame: the oldest is used again first
	deadline time.Time // of its readers; kept by the owner alone, so no reader can move it
	planes   Planes
}

// NewRing makes a ring for frames of width by height pixels in the host's shared memory, and first removes what dead
// owners left there. The memory is claimed at once: an error names the bytes that are missing.
func NewRing(camera string, slots, width, height int) (*Ring, error) {
	g := geometry{slots, width, height}
	if err := errors.Join(ValidateCamera(camera), g.validate()); err != nil {
		return nil, fmt.Errorf("make ring: %w", err)
	}
	dir := ringDir()
	removeLeftovers(dir)
	file, err := createRingFile(dir, camera, int64(g.fileSize()))
	if err != nil {
		return nil, fmt.Errorf("make ring for camera %s: %w", camera, err)
	}
	m, err := mapRing(file.fd, g, syscall.PROT_READ|syscall.PROT_WRITE)
	if err != nil {
		file.remove()
		return nil, fmt.Errorf("make ring for camera %s: %w", camera, err)
	}
	m.writeHeader()
	r := &Ring{name: file.name, file: file, m: m, slots: make([]Slot, slots), lease: Lease}
	for i := range r.slots {
		r.slots[i].ring, r.slots[i].index = r, i
		m.point(&r.slots[i].planes, i)
	}
	return r, nil
}

// Acquire gives the free slot that was written longest ago, for the caller to fill and to Commit or Abort. It never
// waits: ErrRingFull is returned when there is none.
func (r *Ring) Acquire() (*Slot, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.done {
		return nil, fmt.Errorf("acquire slot of %s: the ring is closed", r.name)
	}
	s := r.take(func(s *Slot, readers uint64) bool { return readers == 0 })
	if s == nil {
		now := time.Now()
		s = r.take(func(s *Slot, _ uint64) bool { return now.After(s.deadline) })
	}
	if s == nil {
		return nil, ErrRingFull
	}
	s.writing = true
	s.planes.Matrix, s.planes.FullRange = 0, false
	r.open++
	return s, nil
}

// take claims the oldest slot that may be taken, or none. A reader that comes between look and claim wins the slot.
func (r *Ring) take(may func(s *Slot, readers uint64) bool) *Slot {
	for {
		var oldest *Slot
		var state uint64
		for i := range r.slots {
			s := &r.slots[i]
			now := r.m.word(i, wordState).Load()
			if !s.writing && !s.kept && (oldest == nil || s.turn < oldest.turn) && may(s, now&readersMask) {
				oldest, state = s, now
			}
		}
		if oldest == nil {
			return nil
		}
		gen := (oldest.gen + 1) | 1 // odd: nobody may read
		if r.m.word(oldest.index, wordState).CompareAndSwap(state, gen<<16) {
			oldest.gen = gen
			return oldest
		}
	}
}

// Planes is where the pixels go, until Commit or Abort. Set Matrix and FullRange before Commit.
func (s *Slot) Planes() *Planes { return &s.planes }

// Commit lets readers in and returns the reference that names this frame.
func (s *Slot) Commit() string {
	r := s.ring
	r.mu.Lock()
	defer r.mu.Unlock()
	if !s.writing {
		return ""
	}
	s.gen++
	format := uint64(s.planes.Matrix)
	if s.planes.FullRange {
		format |= formatFull
	}
	r.m.word(s.index, wordFormat).Store(format)
	r.m.word(s.index, wordState).Store(s.gen << 16)
	s.deadline = time.Now().Add(r.lease)
	text := ref{r.name, s.index, s.gen}.String()
	r.leave(s)
	return text
}

// Abort gives the slot back without letting anybody read it. After Commit it does nothing.
func (s *Slot) Abort() {
	s.ring.mu.Lock()
	defer s.ring.mu.Unlock()
	if s.writing {
		s.ring.leave(s)
		s.turn = 0 // nothing in it is worth keeping: it goes before any frame that can still be read
	}
}

// Keep lets the writer go on reading a slot that it has acquired, such as a decoder that refers to it: until Release
// nobody gets it to write into, committed or not.
func (s *Slot) Keep() {
	s.ring.mu.Lock()
	defer s.ring.mu.Unlock()
	if s.writing && !s.kept {
		s.kept = true
		s.ring.open++
	}
}

// Release ends Keep.
func (s *Slot) Release() {
	s.ring.mu.Lock()
	defer s.ring.mu.Unlock()
	if s.kept {
		s.kept = false
		s.ring.shut()
	}
}

// leave ends the writing of a slot; the mutex is held.
func (r *Ring) leave(s *Slot) {
	s.writing = false
	r.turn++
	s.turn = r.turn
	r.shut()
}

// shut counts that a slot is written or kept no more; the mutex is held.
func (r *Ring) shut() {
	r.open--
	if r.done && r.open == 0 {
		r.m.unmap()
	}
}

// Close removes the ring's name at once; readers keep what they have open. The memory goes when the last slot that is
// being written was committed or aborted, the last that is kept released, and the last reader gone.
func (r *Ring) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.done {
		return nil
	}
	r.done = true
	err := r.file.remove()
	if r.open == 0 {
		r.m.unmap()
	}
	return err
}
