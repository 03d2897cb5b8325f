package track

import "math"

// pair is one allowed pairing of a row with a column.
type pair struct {
	column int
	cost   float64
}

// assigner pairs rows with columns so that the sum of cost - limit over all pairs is least: as many good pairs as can be, and
// no greedy choice that spoils a better whole. Only pairs that were allowed are looked at, by shortest augmenting paths, so the
// work is that of each group of rows and columns that compete, not of all. It keeps its memory between uses.
type assigner struct {
	pairs   []pair
	starts  []int // of each row's pairs
	columns int

	// Columns 1..columns are real; column columns+1+row leaves the row alone, at the cost limit; column 0 is the root.
	rowPrice, columnPrice []float64 // dual variables
	owner                 []int     // row+1 of a column, 0 when free
	from                  []int     // the column before it on the path
	reach                 []float64 // length of the shortest path to it
	settled               []bool
	touched               []int
	result                []int
}

// reset begins a new problem. Rows are then added by row, each with its pairs by allow.
func (a *assigner) reset(columns int) {
	a.pairs, a.starts, a.columns = a.pairs[:0], a.starts[:0], columns
}

func (a *assigner) row() { a.starts = append(a.starts, len(a.pairs)) }

// allow lets the last row have a column, 0 ≤ column < columns, at a cost of 0 ≤ cost < limit.
func (a *assigner) allow(column int, cost float64) {
	a.pairs = append(a.pairs, pair{column + 1, cost})
}

// solve returns the column of each row, -1 for none. The result is valid until the next solve.
func (a *assigner) solve(limit float64) []int {
	rows := len(a.starts)
	all := 1 + a.columns + rows
	a.starts = append(a.starts, len(a.pairs))
	a.rowPrice, a.columnPrice, a.reach = zeroed(a.rowPrice, rows+1), zeroed(a.columnPrice, all), zeroed(a.reach, all)
	a.owner, a.from, a.settled = zeroed(a.owner, all), zeroed(a.from, all), zeroed(a.settled, all)
	for j := range a.reach {
		a.reach[j] = math.Inf(1)
	}
	for row := range rows {
		a.augment(row, limit)
	}
	a.result = zeroed(a.result, rows)
	for row := range a.result {
		a.result[row] = -1
	}
	for j := 1; j <= a.columns; j++ {
		if a.owner[j] != 0 {
			a.result[a.owner[j]-1] = j - 1
		}
	}
	return a.result
}

// augment gives row a column along the cheapest path of exchanges.
func (a *assigner) augment(row int, limit float64) {
	a.touched = append(a.touched[:0], 0)
	a.owner[0], a.reach[0] = row+1, 0
	at := 0
	for a.owner[at] != 0 {
		a.settled[at] = true
		a.relax(at, limit)
		next := a.nearest()
		a.advance(a.reach[next])
		at = next
	}
	for at != 0 {
		a.owner[at] = a.owner[a.from[at]]
		at = a.from[at]
	}
	for _, j := range a.touched {
		a.settled[j], a.reach[j] = false, math.Inf(1)
	}
}

// relax looks at the columns that the owner of column at may have.
func (a *assigner) relax(at int, limit float64) {
	row := a.owner[at] - 1
	for _, p := range a.pairs[a.starts[row]:a.starts[row+1]] {
		a.offer(at, p.column, p.cost-a.rowPrice[row+1]-a.columnPrice[p.column])
	}
	alone := 1 + a.columns + row
	a.offer(at, alone, limit-a.rowPrice[row+1]-a.columnPrice[alone])
}

func (a *assigner) offer(at, column int, reduced float64) {
	if a.settled[column] || reduced >= a.reach[column] {
		return
	}
	if math.IsInf(a.reach[column], 1) {
		a.touched = append(a.touched, column)
	}
	a.reach[column], a.from[column] = reduced, at
}

// nearest is never called in vain: the column that leaves a row alone is always there.
func (a *assigner) nearest() int {
	best := -1
	for _, j := range a.touched {
		if !a.settled[j] && (best < 0 || a.reach[j] < a.reach[best]) {
			best = j
		}
	}
	return best
}

// advance moves prices so that the nearest column costs nothing more.
func (a *assigner) advance(step float64) {
	for _, j := range a.touched {
		if a.settled[j] {
			a.rowPrice[a.owner[j]] += step
			a.columnPrice[j] -= step
		} else {
			a.reach[j] -= step
		}
	}
}

// zeroed returns a slice of n zeros in the memory of s where it is enough.
func zeroed[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n, 2*n)
	}
	s = s[:n]
	clear(s)
	return s
}
