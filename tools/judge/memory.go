package judge

import (
	"github.com/sightline/sightline/detect/onnx"
	"github.com/sightline/sightline/tools/onnxgraph"
)

// faint is the objectness below which a cell's class and box count for nothing in either measure: only that it is background is remembered.
const faint = 0.002

// background is the logit of a class in a cell of which nothing else is remembered.
const background = -30

// memory holds what the original says to many pictures. Nearly all cells are background, so that most of it need not be kept.
type memory struct {
	levels []onnxgraph.Level // whose outputs are kept cell by cell
	shapes map[string][]int64
	whole  []map[string]onnx.Array // outputs that are kept as they are
	grids  [][]grid                // of each picture
	shown  map[string]onnx.Array   // the last picture that was asked for
}

// grid is what is kept of cells.
type grid struct {
	object []float32
	at     []int32
	fields []float32 // boxes and classes of the cells at
}

// newMemory knows which levels of a head have an objectness.
func newMemory(head *onnxgraph.Head) *memory {
	m := &memory{shapes: map[string][]int64{}}
	if head == nil {
		return m
	}
	for _, l := range head.Levels {
		if l.Bins == 0 {
			m.levels = append(m.levels, l)
		}
	}
	return m
}

// add remembers the outputs for the next picture.
func (m *memory) add(out map[string]onnx.Array) {
	var grids []grid
	for _, l := range m.levels {
		for _, c := range cellsOf(l, out) {
			grids = append(grids, gridOf(c))
		}
		for _, name := range l.Outputs {
			m.shapes[name] = out[name].Shape
		}
	}
	whole := map[string]onnx.Array{}
	for name, a := range out {
		if m.shapes[name] == nil {
			whole[name] = a
		}
	}
	m.grids, m.whole = append(m.grids, grids), append(m.whole, whole)
}

func gridOf(c cells) grid {
	g := grid{object: append([]float32{}, c.object...)}
	for i, o := range c.object {
		if sigmoid(o) < faint {
			continue
		}
		g.at = append(g.at, int32(i))
		for j := i; j < len(c.boxes); j += len(c.object) {
			g.fields = append(g.fields, c.boxes[j])
		}
		for j := i; j < len(c.classes); j += len(c.object) {
			g.fields = append(g.fields, c.classes[j])
		}
	}
	return g
}

// of gives the outputs for picture i, valid until another is asked for.
func (m *memory) of(i int) map[string]onnx.Array {
	if m.shown == nil {
		m.shown = map[string]onnx.Array{}
		for name, shape := range m.shapes {
			size := int64(1)
			for _, d := range shape {
				size *= d
			}
			m.shown[name] = onnx.Array{Shape: shape, Data: make([]float32, size)}
		}
	}
	for name, a := range m.whole[i] {
		m.shown[name] = a
	}
	grids := m.grids[i]
	for _, l := range m.levels {
		for _, c := range cellsOf(l, m.shown) {
			grids[0].show(c)
			grids = grids[1:]
		}
	}
	return m.shown
}

func (g grid) show(c cells) {
	copy(c.object, g.object)
	clear(c.boxes)
	for i := range c.classes {
		c.classes[i] = background
	}
	fields := g.fields
	for _, i := range g.at {
		for j := int(i); j < len(c.boxes); j += len(c.object) {
			c.boxes[j], fields = fields[0], fields[1:]
		}
		for j := int(i); j < len(c.classes); j += len(c.object) {
			c.classes[j], fields = fields[0], fields[1:]
		}
	}
}
