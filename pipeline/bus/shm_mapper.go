package bus

import (
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"
)

// sweepEvery is how often a mapper looks for rings whose owner is gone.
const sweepEvery = time.Second

// Mapper is the readers' side of shared frames: it maps rings as references name them and keeps the mappings. It is
// safe for use by several goroutines.
type Mapper struct {
	dir    string
	mu     sync.Mutex // protects everything below
	rings  map[string]*mappedRing
	swept  time.Time
	closed bool
}

// mappedRing is a ring that a mapper reads. The mapper's mutex protects it.
type mappedRing struct {
	*openedRing
	views int
	gone  bool // the mapper forgot it: the last view gives it back
}

// View is a reader's hold on one frame. It belongs to one goroutine; its planes must not be touched after Release.
type View struct {
	mapper *Mapper
	ring   *mappedRing
	slot   int
	gen    uint64
	planes Planes
}

// NewMapper makes an empty mapper; close it when its last view was released.
func NewMapper() *Mapper {
	return &Mapper{dir: ringDir(), rings: map[string]*mappedRing{}}
}

// Open takes hold of the frame that a reference names, so that its slot is not written into before Release or the end
// of the Lease. ErrStale is returned when the slot was used again or the ring is gone; other errors name what is wrong
// with the reference or the ring.
func (m *Mapper) Open(text string) (*View, error) {
	at, err := parseRef(text)
	if err != nil {
		return nil, fmt.Errorf("open frame: %w", err)
	}
	ring, err := m.hold(at.name)
	if err != nil {
		return nil, fmt.Errorf("open frame %s: %w", text, err)
	}
	if err := ring.enter(at); err != nil {
		m.leave(ring)
		return nil, fmt.Errorf("open frame %s: %w", text, err)
	}
	v := &View{mapper: m, ring: ring, slot: at.slot, gen: at.gen}
	ring.m.point(&v.planes, at.slot)
	format := ring.m.word(at.slot, wordFormat).Load()
	v.planes.Matrix, v.planes.FullRange = uint8(format), format&formatFull != 0
	return v, nil
}

// hold finds or maps a ring and keeps it mapped until leave.
func (m *Mapper) hold(name string) (*mappedRing, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil, errors.New("the mapper is closed")
	}
	m.sweep()
	ring := m.rings[name]
	if ring == nil {
		opened, err := openRing(filepath.Join(m.dir, name))
		if err != nil {
			return nil, err
		}
		ring = &mappedRing{openedRing: opened}
		m.rings[name] = ring
	}
	ring.views++
	return ring, nil
}

func (m *Mapper) leave(ring *mappedRing) {
	m.mu.Lock()
	defer m.mu.Unlock()
	ring.views--
	ring.tidy()
}

// sweep forgets rings whose file is gone, once in a while; the mutex is held.
func (m *Mapper) sweep() {
	if time.Since(m.swept) < sweepEvery {
		return
	}
	m.swept = time.Now()
	for name, ring := range m.rings {
		if ring.unlinked() {
			delete(m.rings, name)
			ring.gone = true
			ring.tidy()
		}
	}
}

// Close forgets all rings. What views still hold is unmapped with the last Release.
func (m *Mapper) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	for name, ring := range m.rings {
		delete(m.rings, name)
		ring.gone = true
		ring.tidy()
	}
	return nil
}

// tidy gives a forgotten ring back that nobody reads.
func (r *mappedRing) tidy() {
	if r.gone && r.views == 0 && r.openedRing != nil {
		r.openedRing.giveBack()
		r.openedRing = nil
	}
}

// enter counts a reader in if the slot still holds what the reference means.
func (r *mappedRing) enter(at ref) error {
	if at.slot >= r.m.slots {
		return fmt.Errorf("slot %d: the ring has %d", at.slot, r.m.slots)
	}
	word := r.m.word(at.slot, wordState)
	for {
		state := word.Load()
		if state>>16 != at.gen {
			return ErrStale
		}
		if state&readersMask == readersMask {
			return errors.New("the slot has as many readers as can be counted")
		}
		if word.CompareAndSwap(state, state+1) {
			return nil
		}
	}
}

// Planes are the pixels, to be read only. Ask Valid after reading and throw the result away where it says no.
func (v *View) Planes() *Planes { return &v.planes }

// Valid turns false when the owner took the slot back because the lease was over.
func (v *View) Valid() bool {
	if v.ring == nil {
		return false
	}
	// An addition of nothing, not a load: it keeps the reads of pixels before it in front of it on every processor.
	return v.ring.m.word(v.slot, wordState).Add(0)>>16 == v.gen
}

// Release lets the owner write into the slot again. A second call does nothing.
func (v *View) Release() {
	if v.ring == nil {
		return
	}
	word := v.ring.m.word(v.slot, wordState)
	for state := word.Load(); state>>16 == v.gen && state&readersMask > 0; state = word.Load() {
		if word.CompareAndSwap(state, state-1) {
			break
		}
	}
	ring := v.ring
	v.ring, v.planes = nil, Planes{}
	v.mapper.leave(ring)
}
