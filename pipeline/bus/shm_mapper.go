package bus

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"sync"
	"syscall"
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

// mappedRing is a ring that this process reads. The mapper's mutex protects it.
type mappedRing struct {
	m     *mapping
	fd    int
	views int
	gone  bool // the mapper forgot it: the last view unmaps
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
		var err error
		if ring, err = openRing(filepath.Join(m.dir, name)); err != nil {
			return nil, err
		}
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
		var st syscall.Stat_t
		if syscall.Fstat(ring.fd, &st) != nil || st.Nlink == 0 {
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

// tidy unmaps a forgotten ring that nobody reads.
func (r *mappedRing) tidy() {
	if r.gone && r.views == 0 && r.m != nil {
		r.m.unmap()
		r.m = nil
		_ = syscall.Close(r.fd)
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

// openRing maps a ring's file after checking that it is one: a plain file of the user in its name, of the size that its
// header asks for.
func openRing(path string) (*mappedRing, error) {
	fd, err := syscall.Open(path, syscall.O_RDWR|syscall.O_CLOEXEC|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if errors.Is(err, syscall.ENOENT) {
		return nil, ErrStale
	}
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	m, err := mapChecked(fd)
	if err != nil {
		_ = syscall.Close(fd)
		return nil, fmt.Errorf("ring %s: %w", path, err)
	}
	return &mappedRing{m: m, fd: fd}, nil
}

func mapChecked(fd int) (*mapping, error) {
	var st syscall.Stat_t
	if err := syscall.Fstat(fd, &st); err != nil {
		return nil, err
	}
	if st.Mode&syscall.S_IFMT != syscall.S_IFREG || st.Mode&0o077 != 0 {
		return nil, errors.New("must be a plain file that its owner alone may use")
	}
	head := make([]byte, ringEntry)
	if n, err := syscall.Pread(fd, head, 0); err != nil || n < len(head) {
		return nil, errors.Join(errors.New("the file is too short"), err)
	}
	g, err := readHeader(head, st.Size)
	if err != nil {
		return nil, err
	}
	return mapRing(fd, g, syscall.PROT_READ)
}
