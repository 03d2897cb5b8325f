package picture

// clusterGap is how many cells may lie between cells that move together: a plain shirt changes at its edges only.
const clusterGap = 1

// Clusters gives the rectangles, in pixels of the picture, around cells that move together, each of at least so many cells, in
// the order of their first cell, row by row; valid until the next call. A gap of one cell does not part them.
func (m *Motion) Clusters(least int) []Rect {
	copy(m.left, m.moving)
	m.clusters = m.clusters[:0]
	for i := range m.left {
		if m.left[i] {
			if r, cells := m.spread(i); cells >= least {
				m.clusters = append(m.clusters, r)
			}
		}
	}
	return m.clusters
}

// spread follows moving cells from one to the next and gives the rectangle around all, and their number.
func (m *Motion) spread(from int) (Rect, int) {
	x1, y1, x2, y2, cells := m.columns, m.rows, 0, 0, 0
	m.left[from] = false
	m.stack = append(m.stack[:0], from)
	for len(m.stack) > 0 {
		i := m.stack[len(m.stack)-1]
		m.stack = m.stack[:len(m.stack)-1]
		x, y := i%m.columns, i/m.columns
		x1, y1, x2, y2, cells = min(x1, x), min(y1, y), max(x2, x+1), max(y2, y+1), cells+1
		m.push(x, y)
	}
	return Rect{X: x1 * MotionCell, Y: y1 * MotionCell, W: (x2 - x1) * MotionCell, H: (y2 - y1) * MotionCell}, cells
}

// push puts the moving neighbours of a cell on the stack that were not seen yet.
func (m *Motion) push(x, y int) {
	const near = 1 + clusterGap
	left, right := max(x-near, 0), min(x+near, m.columns-1)
	for v := max(y-near, 0); v <= min(y+near, m.rows-1); v++ {
		from := v*m.columns + left
		row := m.left[from : v*m.columns+right+1]
		for u, moving := range row {
			if moving {
				row[u] = false
				m.stack = append(m.stack, from+u)
			}
		}
	}
}
