package picture

// #include "planes.h"
import "C"

import (
	"fmt"
	"math"
	"time"
)

// MotionCell is the side of the squares that Motion tells apart, in pixels of the picture.
const MotionCell = 16

const (
	motionThreshold = 8               // levels of luma, of 256, that a cell must differ by from what it used to be
	motionMemory    = 2 * time.Second // after which a thing that stays belongs to the background by two thirds
)

// Motion finds where a camera's picture changes (see Clusters): each cell of MotionCell by MotionCell pixels against the mean of what it was in the
// last seconds. A change of the whole picture, as when a lamp is lit or the camera corrects its exposure, is no motion. It
// belongs to one goroutine and makes no memory in steady state.
type Motion struct {
	columns, rows int
	small         []byte    // mean luma of each cell
	background    []float32 // what it used to be
	changed       []bool    // cells that differ
	moving        []bool    // those of them that are not alone
	left          []bool    // those of them that Clusters has not seen yet
	stack         []int     // of Clusters
	clusters      []Rect
	shifts        [511]int // histogram of differences, -255 to 255
}

// Update takes in the next picture, some time after the one before. The first of a size, and one smaller than a cell, shows no
// motion.
func (m *Motion) Update(p *I420, after time.Duration) error {
	if err := p.check(); err != nil {
		return fmt.Errorf("find motion: %w", err)
	}
	columns, rows := p.Width/MotionCell, p.Height/MotionCell
	if columns == 0 || rows == 0 {
		m.resize(0, 0)
		return nil
	}
	fresh := columns != m.columns || rows != m.rows
	if fresh {
		m.resize(columns, rows)
	}
	C.sl_cell_means(u8(p.Y), C.int(p.StrideY), C.int(columns), C.int(rows), u8(m.small))
	if fresh {
		for i, v := range m.small {
			m.background[i] = float32(v)
		}
		return nil
	}
	m.compare(after)
	m.together()
	return nil
}

func (m *Motion) resize(columns, rows int) {
	n := columns * rows
	m.columns, m.rows = columns, rows
	m.small, m.background = make([]byte, n), make([]float32, n)
	m.changed, m.moving, m.left = make([]bool, n), make([]bool, n), make([]bool, n)
}

// compare finds the cells that differ by more than the picture as a whole, and lets the background follow.
func (m *Motion) compare(after time.Duration) {
	shift := m.shift()
	follow := float32(1 - math.Exp(-max(after.Seconds(), 0)/motionMemory.Seconds()))
	C.sl_cell_changes(u8(m.small), (*C.float)(&m.background[0]), (*C.bool)(&m.changed[0]), C.int(len(m.small)), C.float(shift), motionThreshold, C.float(follow))
}

// shiftEvery is how many cells are passed over for one that shift counts; no multiple of usual numbers of columns, so that all are seen.
const shiftEvery = 7

// shift is the median difference of cells all over the picture.
func (m *Motion) shift() float32 {
	m.shifts = [len(m.shifts)]int{}
	for i := 0; i < len(m.small); i += shiftEvery {
		m.shifts[int(float32(m.small[i])-m.background[i]+255.5)]++ // rounded: what is cut off is never below 0
	}
	left := (len(m.small) + shiftEvery - 1) / shiftEvery / 2
	for d, n := range m.shifts {
		if left -= n; left < 0 {
			return float32(d - 255)
		}
	}
	return 0
}

// together keeps the changed cells that have a changed neighbour: one alone is noise.
func (m *Motion) together() {
	at := func(x, y int) bool {
		return x >= 0 && y >= 0 && x < m.columns && y < m.rows && m.changed[y*m.columns+x]
	}
	for i, changed := range m.changed {
		m.moving[i] = false
		if changed {
			x, y := i%m.columns, i/m.columns
			m.moving[i] = at(x-1, y) || at(x+1, y) || at(x, y-1) || at(x, y+1)
		}
	}
}
