package bus

import (
	"encoding/binary"
	"fmt"
	"sync/atomic"
	"syscall"
	"unsafe"
)

// A ring's file: one table (a header of 64 bytes, then 64 bytes a slot, filled up to whole pages), then the slots'
// pixels, whole pages each. Readers map the table for writing, since they count themselves there, and the pixels for
// reading only.
const (
	ringMagic    = "SLRING02"
	ringPage     = 4096
	ringEntry    = 64  // a line of cache a slot, so that readers of different slots do not meet
	strideAlign  = 128 // bytes; lets rows of every plane be read by whole vectors
	slotPadding  = 128 // bytes behind the last plane, for code that reads whole vectors
	wordState    = 0   // generation<<16 | readers; an odd generation is not readable
	wordFormat   = 1   // matrix | full range<<8
	formatFull   = 1 << 8
	headerFields = 3
)

// geometry follows from what the header holds.
type geometry struct{ slots, width, height int }

func (g geometry) strideY() int   { return roundUp(g.width, strideAlign) }
func (g geometry) strideC() int   { return g.strideY() / 2 }
func (g geometry) heightC() int   { return (g.height + 1) / 2 }
func (g geometry) roomY() int     { return g.strideY() * decoderRows(g.height) }
func (g geometry) roomC() int     { return g.strideC() * decoderRows(g.height) / 2 }
func (g geometry) tableSize() int { return roundUp((g.slots+1)*ringEntry, ringPage) }
func (g geometry) fileSize() int  { return g.tableSize() + g.slots*g.slotSize() }

func (g geometry) slotSize() int {
	return roundUp(g.roomY()+2*g.roomC()+slotPadding, ringPage)
}

// decoderRows is how many rows of luma libavcodec wants for a picture that it decodes, which it does in whole blocks (see
// avcodec_align_dimensions2): so pictures can be decoded where readers find them.
func decoderRows(height int) int { return roundUp(height, 32) + 4 }

func (g geometry) validate() error {
	if g.slots < 1 || g.slots > maxSlots {
		return fmt.Errorf("%d slots: must be 1 to %d", g.slots, maxSlots)
	}
	return validateSize(g.width, g.height)
}

func roundUp(n, unit int) int { return (n + unit - 1) / unit * unit }

// mapping is a ring's file in this process's memory.
type mapping struct {
	geometry
	table  []byte
	pixels []byte
}

func mapRing(fd int, g geometry, pixelAccess int) (*mapping, error) {
	table, err := syscall.Mmap(fd, 0, g.tableSize(), syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map table: %w", err)
	}
	pixels, err := syscall.Mmap(fd, int64(g.tableSize()), g.slots*g.slotSize(), pixelAccess, syscall.MAP_SHARED)
	if err != nil {
		_ = syscall.Munmap(table)
		return nil, fmt.Errorf("map pixels: %w", err)
	}
	return &mapping{g, table, pixels}, nil
}

func (m *mapping) unmap() {
	_ = syscall.Munmap(m.pixels)
	_ = syscall.Munmap(m.table)
	m.table, m.pixels = nil, nil
}

// word is one of a slot's atomic words. The table begins on a page, so every word is aligned.
func (m *mapping) word(slot, word int) *atomic.Uint64 {
	return (*atomic.Uint64)(unsafe.Pointer(&m.table[(slot+1)*ringEntry+8*word]))
}

// point lets the planes show a slot's pixels. It allocates nothing.
func (m *mapping) point(p *Planes, slot int) {
	sizeY, sizeC := m.strideY()*m.height, m.strideC()*m.heightC()
	data := m.pixels[slot*m.slotSize():]
	p.Width, p.Height, p.StrideY, p.StrideC = m.width, m.height, m.strideY(), m.strideC()
	p.Y, data = data[:sizeY:m.roomY()], data[m.roomY():]
	p.U, data = data[:sizeC:m.roomC()], data[m.roomC():]
	p.V = data[:sizeC:m.roomC()]
}

func (m *mapping) writeHeader() {
	copy(m.table, ringMagic)
	for i, v := range [headerFields]int{m.slots, m.width, m.height} {
		binary.LittleEndian.PutUint32(m.table[len(ringMagic)+4*i:], uint32(v))
	}
}

// readHeader checks the first bytes of a file before anything is mapped by what they say.
func readHeader(head []byte, size int64) (geometry, error) {
	if len(head) < ringEntry || string(head[:len(ringMagic)]) != ringMagic {
		return geometry{}, fmt.Errorf("the file does not begin with %s", ringMagic)
	}
	var v [headerFields]int
	for i := range v {
		v[i] = int(binary.LittleEndian.Uint32(head[len(ringMagic)+4*i:]))
	}
	g := geometry{v[0], v[1], v[2]}
	if err := g.validate(); err != nil {
		return geometry{}, err
	}
	if int64(g.fileSize()) != size {
		return geometry{}, fmt.Errorf("the file has %d bytes, its header asks for %d", size, g.fileSize())
	}
	return g, nil
}
