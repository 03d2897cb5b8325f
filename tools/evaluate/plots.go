package evaluate

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
)

const (
	plotWidth = 960.0
	colours   = 8 // that can be told apart; more models share the last, and their names tell them apart
)

func colour(model int) string { return "c" + strconv.Itoa(min(model, colours-1)) }

// spot is a model in the plane of time and accuracy.
type spot struct {
	model       int
	x, y        float64
	dominated   bool
	name, notes string
	low, high   float64 // y of the ends of its interval
}

// tradeOff draws AP against the time of whole detection. Times follow from the ratios: medians of milliseconds may contradict them.
func (r Report) tradeOff() drawing {
	d := drawing{Width: plotWidth, Height: 440, Label: "AP against time: up and to the left is better"}
	if len(r.Models) == 0 {
		return d
	}
	times, aps := []float64{}, []float64{}
	base := r.Models[0]
	for _, m := range r.Models {
		times = append(times, base.Whole.Milliseconds/m.Whole.Faster)
		aps = append(aps, 100*m.AP, 100*(base.AP+m.Difference.Low), 100*(base.AP+m.Difference.High))
	}
	x := axis{0, 1.12 * slices.Max(times), 64, d.Width - 20}
	if least := slices.Min(times); least > 0.4*slices.Max(times) { // dots need no zero, and would crowd at the right
		x.low = 0.8 * least
	}
	y := spanning(aps, d.Height-56, 16)
	y.low = math.Max(0, y.low)
	d.grid(x, y, "ms for one picture, one thread", "AP")
	d.text("hint", "start", x.from+10, y.to+12, "↖ faster and better")
	var spots []spot
	for i, m := range r.Models {
		spots = append(spots, spot{
			model: i, x: x.at(times[i]), y: y.at(100 * m.AP), dominated: m.DominatedBy != "", name: m.Name, notes: m.tip(i == 0),
			low: y.at(math.Max(y.low, 100*(base.AP+m.Difference.Low))), high: y.at(100 * (base.AP + m.Difference.High)),
		})
	}
	line := d.frontier(spots, x.to)
	for _, s := range spots {
		class := colour(s.model)
		if s.dominated {
			class = "dominated"
		}
		if s.model > 0 {
			d.line("whisker "+class, s.x, s.low, s.x, s.high)
		}
		d.dot("mark "+class, s.x, s.y, 7, s.notes)
	}
	d.nameSpots(spots, line, rectangle{x.from, y.to, d.Width, y.from})
	return d
}

// tip tells a model's figures in a line.
func (m ModelReport) tip(first bool) string {
	if first {
		return fmt.Sprintf("%s: AP %s, %s ms", m.Name, points(m.AP), decimal(m.Whole.Milliseconds, 1))
	}
	return fmt.Sprintf("%s: AP %s (%s, 95 %%: %s), %s as fast (quartiles %s)", m.Name, points(m.AP), signed(m.Difference.Mean), m.Difference.text(),
		m.Whole.factor(), m.Whole.quartiles())
}

// frontier is the line that no model is above or left of.
func (d *drawing) frontier(spots []spot, end float64) (line [][2]float64) {
	var best []spot
	for _, s := range spots {
		if !s.dominated {
			best = append(best, s)
		}
	}
	slices.SortStableFunc(best, func(a, b spot) int { return cmp.Compare(a.x, b.x) })
	for i, s := range best {
		if i > 0 {
			line = append(line, [2]float64{s.x, best[i-1].y})
		}
		line = append(line, [2]float64{s.x, s.y})
	}
	if len(best) > 0 {
		line = append(line, [2]float64{end, best[len(best)-1].y})
		d.path("frontier", line)
	}
	return line
}

// rectangle is taken room: left, top, right, bottom.
type rectangle [4]float64

func (a rectangle) meets(b rectangle) bool {
	return a[0] < b[2] && b[0] < a[2] && a[1] < b[3] && b[1] < a[3]
}

// nameSpots writes the names beside the dots, where there is room, the best models first.
func (d *drawing) nameSpots(spots []spot, line [][2]float64, frame rectangle) {
	const size = 13
	var taken []rectangle
	for i := 1; i < len(line); i++ {
		a, b := line[i-1], line[i]
		taken = append(taken, rectangle{min(a[0], b[0]), min(a[1], b[1]) - 1, max(a[0], b[0]), max(a[1], b[1]) + 1})
	}
	for _, s := range spots {
		taken = append(taken, rectangle{s.x - 8, s.y - 8, s.x + 8, s.y + 8})
		if s.model > 0 {
			taken = append(taken, rectangle{s.x - 2, s.high, s.x + 2, s.low})
		}
	}
	spots = slices.Clone(spots)
	slices.SortStableFunc(spots, func(a, b spot) int { return cmp.Compare(bit(a.dominated), bit(b.dominated)) })
	for _, s := range spots {
		room, anchor, at := roomFor(s, textWidth(s.name, size), taken, frame)
		taken = append(taken, room)
		class := "label"
		if s.dominated {
			class = "label faint"
		}
		middle := (room[1] + room[3]) / 2
		if math.Abs(middle-s.y) > 20 { // too far away to be taken for this dot's name
			d.line("leader", s.x, s.y, at, middle)
		}
		d.text(class, anchor, at, middle, s.name)
	}
}

// roomFor tries places around a dot and takes the first that is free, else the one to its right.
func roomFor(s spot, width float64, taken []rectangle, frame rectangle) (room rectangle, anchor string, at float64) {
	const height, gap = 16, 12
	fits := func(r rectangle) bool {
		inside := r[0] >= frame[0] && r[2] <= frame[2] && r[1] >= frame[1] && r[3] <= frame[3]
		return inside && !slices.ContainsFunc(taken, r.meets)
	}
	for _, dy := range []float64{0, -18, 18, -34, 34, -50, 50, -66, 66} {
		top := s.y + dy - height/2
		if right := (rectangle{s.x + gap, top, s.x + gap + width, top + height}); fits(right) {
			return right, "start", right[0]
		}
		if left := (rectangle{s.x - gap - width, top, s.x - gap, top + height}); fits(left) {
			return left, "end", left[2]
		}
	}
	room = rectangle{s.x + gap, s.y - height/2, s.x + gap + width, s.y + height/2}
	return room, "start", room[0]
}

// bySize draws AP of small, medium and large objects, a column for each model.
func (r Report) bySize() drawing {
	d := drawing{Width: plotWidth, Height: 280, Label: "AP by the size of objects"}
	groups := []struct {
		name string
		of   func(ModelReport) float64
	}{
		{"small: below 32² pixels", func(m ModelReport) float64 { return m.Small }},
		{"medium", func(m ModelReport) float64 { return m.Medium }},
		{"large: above 96² pixels", func(m ModelReport) float64 { return m.Large }},
	}
	most := 0.01
	for _, g := range groups {
		for _, m := range r.Models {
			most = max(most, g.of(m))
		}
	}
	y := axis{0, 115 * most, d.Height - 36, 8}
	values, decimals := y.ticks(4)
	for _, v := range values {
		d.line("grid", 44, y.at(v), d.Width-8, y.at(v))
		d.text("tick", "end", 38, y.at(v), decimal(v, decimals))
	}
	each := (d.Width - 52) / float64(len(groups))
	width := min(56, (each-40)/float64(max(1, len(r.Models))))
	for k, g := range groups {
		middle := 44 + each*(float64(k)+0.5)
		d.text("name", "middle", middle, y.from+20, g.name)
		left := middle - width*float64(len(r.Models))/2
		for i, m := range r.Models {
			v := g.of(m)
			at := left + width*float64(i)
			d.box("mark "+colour(i), at+1, y.at(100*max(0, v)), width-2, y.from-y.at(100*max(0, v)), m.Name+": "+points(v))
			if width >= 28 {
				d.text("value", "middle", at+width/2, y.at(100*max(0, v))-9, points(v))
			}
		}
	}
	d.line("axis", 44, y.from, d.Width-8, y.from)
	return d
}
