package judge

import "math"

// seen is the objectness from which a cell counts. Nearly all cells are background, and a mean over them would be about nothing else.
const seen = 0.02

// What a score that is off by 1 and a box that is lost count. Precision is a mean over thresholds of 0.5 to 0.95 of IoU, so half of a box
// is worth as much as all of it; and scores that are all too low by the same share cost nothing.
const (
	scoreShare = 0.5
	boxShare   = 2
)

func (s *sums) level(want, got []cells) {
	low := float32(math.Log(seen / (1 - seen)))
	for a := range want {
		w, g := want[a], got[a]
		for i, o := range w.object {
			if o < low && g.object[i] < low {
				continue
			}
			if g.object[i] != g.object[i] { // not a number
				s.off = math.NaN()
				return
			}
			off, best := scoresOff(w, g, i)
			s.off += scoreShare*off + boxShare*best*(1-iou(w.box(i), g.box(i)))
			s.weight += best
		}
	}
}

// scoresOff is the sum over classes of how far the scores are from each other, and the best score of the original.
func scoresOff(w, g cells, i int) (off, best float64) {
	p, q := sigmoid(w.object[i]), sigmoid(g.object[i])
	for c := i; c < len(w.classes); c += len(w.object) {
		if w.classes[c] < -6 && g.classes[c] < -6 {
			continue
		}
		s := p * sigmoid(w.classes[c])
		off += math.Abs(s - q*sigmoid(g.classes[c]))
		best = max(best, s)
	}
	return off, best
}
