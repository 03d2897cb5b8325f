package evaluate

import (
	"cmp"
	"math"
	"slices"
)

// Accuracy is average precision as COCO defines it, 0 to 1; -1 where no object was marked.
type Accuracy struct {
	AP     float64 `json:"ap" yaml:"ap"` // mean over IoU 0.50 to 0.95
	AP50   float64 `json:"ap50" yaml:"ap50"`
	AP75   float64 `json:"ap75" yaml:"ap75"`
	Small  float64 `json:"ap_small" yaml:"ap_small"` // objects below 32x32 pixels
	Medium float64 `json:"ap_medium" yaml:"ap_medium"`
	Large  float64 `json:"ap_large" yaml:"ap_large"` // objects above 96x96 pixels
}

const (
	thresholds  = 10 // IoU 0.50, 0.55 … 0.95
	recallSteps = 101
	maxPerImage = 100 // the best that count, of each class of a picture
)

// recallStep is numpy's: its multiples are what pycocotools compares with, to the last bit.
var recallStep = 1 / float64(recallSteps-1)

// areas are what small, medium and large mean, in square pixels; the first is all.
var areas = [4][2]float64{{0, 1e10}, {0, 32 * 32}, {32 * 32, 96 * 96}, {96 * 96, 1e10}}

// Score holds results against what people marked, as pycocotools does.
func Score(in Instances, results []Result) Accuracy {
	return newScorer(in, results, maxPerImage).accuracy(nil)
}

// key is one class in one picture.
type key struct{ image, category int64 }

// scorer matches the results of one model with what was marked, once; accuracies of any choice of pictures follow from that.
type scorer struct {
	images     []int64
	categories []int64
	matches    [len(areas)]map[key]matched
}

// matched is what became of the results of one class in one picture, the best first.
type matched struct {
	scores []float32
	hits   [thresholds][]int8 // 1: an object; 0: none; -1: does not count
	marked int                // objects that count
}

func newScorer(in Instances, results []Result, limit int) *scorer {
	s := &scorer{}
	truth, found := map[key][]Annotation{}, map[key][]Result{}
	for _, a := range in.Annotations {
		truth[key{a.ImageID, a.CategoryID}] = append(truth[key{a.ImageID, a.CategoryID}], a)
	}
	for _, r := range results {
		found[key{r.ImageID, r.CategoryID}] = append(found[key{r.ImageID, r.CategoryID}], r)
	}
	for _, image := range in.Images {
		s.images = append(s.images, image.ID)
	}
	for _, c := range in.Categories {
		s.categories = append(s.categories, c.ID)
	}
	slices.Sort(s.images)
	for k, list := range found {
		slices.SortStableFunc(list, func(a, b Result) int { return cmp.Compare(b.Score, a.Score) })
		found[k] = list[:min(limit, len(list))]
	}
	for area := range areas {
		s.matches[area] = map[key]matched{}
		for _, image := range s.images {
			for _, category := range s.categories {
				k := key{image, category}
				if len(truth[k])+len(found[k]) > 0 {
					s.matches[area][k] = match(truth[k], found[k], areas[area])
				}
			}
		}
	}
	return s
}

// match gives every result the object that it overlaps most, the best result first, at every threshold.
func match(truth []Annotation, found []Result, area [2]float64) matched {
	m := matched{scores: make([]float32, len(found))}
	truth = slices.Clone(truth)
	ignored := func(a Annotation) bool { return a.Crowd != 0 || a.Area < area[0] || a.Area > area[1] }
	slices.SortStableFunc(truth, func(a, b Annotation) int { return cmp.Compare(bit(ignored(a)), bit(ignored(b))) })
	for _, a := range truth {
		m.marked += 1 - bit(ignored(a))
	}
	overlaps := make([][]float64, len(found))
	for i, r := range found {
		m.scores[i] = r.Score
		for _, a := range truth {
			overlaps[i] = append(overlaps[i], overlap(r.Box, a))
		}
	}
	for t := range thresholds {
		taken := make([]bool, len(truth))
		for i, r := range found {
			best := bestMatch(truth, overlaps[i], taken, ignored, 0.5+0.05*float64(t))
			hit := int8(0)
			size := float64(r.Box[2]) * float64(r.Box[3])
			switch {
			case best >= 0:
				taken[best] = true
				hit = 1
				if ignored(truth[best]) {
					hit = -1
				}
			case size < area[0] || size > area[1]:
				hit = -1
			}
			m.hits[t] = append(m.hits[t], hit)
		}
	}
	return m
}

// bestMatch looks among objects that count first; those that do not are only for results that match none of the others.
func bestMatch(truth []Annotation, overlaps []float64, taken []bool, ignored func(Annotation) bool, least float64) int {
	best := -1
	for i, a := range truth {
		if taken[i] && a.Crowd == 0 {
			continue
		}
		if best >= 0 && !ignored(truth[best]) && ignored(a) {
			break
		}
		if overlaps[i] < least {
			continue
		}
		least, best = overlaps[i], i
	}
	return best
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}

// overlap is intersection over union, and over the result's own area where the annotation is a crowd.
func overlap(box [4]float32, a Annotation) float64 {
	x, y, w, h := float64(box[0]), float64(box[1]), float64(box[2]), float64(box[3])
	iw := min(x+w, a.Box[0]+a.Box[2]) - max(x, a.Box[0])
	ih := min(y+h, a.Box[1]+a.Box[3]) - max(y, a.Box[1])
	if iw <= 0 || ih <= 0 {
		return 0
	}
	union := w * h
	if a.Crowd == 0 {
		union += a.Box[2]*a.Box[3] - iw*ih
	}
	return iw * ih / union
}

// accuracy scores the pictures of a choice, by their places in s.images and as often as they stand there; nil is all of them once.
func (s *scorer) accuracy(choice []int) Accuracy {
	if choice == nil {
		for i := range s.images {
			choice = append(choice, i)
		}
	}
	var by [len(areas)][thresholds]float64
	for area := range areas {
		by[area] = s.precision(area, choice)
	}
	return Accuracy{mean(by[0]), by[0][0], by[0][5], mean(by[1]), mean(by[2]), mean(by[3])}
}

// precision is the mean over classes at every threshold.
func (s *scorer) precision(area int, choice []int) (sums [thresholds]float64) {
	classes := 0.0
	for _, category := range s.categories {
		var all []matched
		marked := 0
		for _, i := range choice {
			if m, ok := s.matches[area][key{s.images[i], category}]; ok {
				all = append(all, m)
				marked += m.marked
			}
		}
		if marked == 0 {
			continue
		}
		classes++
		order := byFallingScore(all)
		for t := range thresholds {
			sums[t] += averagePrecision(all, order, t, marked)
		}
	}
	for t := range sums {
		if sums[t] /= classes; classes == 0 {
			sums[t] = -1
		}
	}
	return sums
}

// place is a result among those of all pictures.
type place struct{ picture, at int }

func byFallingScore(all []matched) []place {
	var order []place
	for i, m := range all {
		for at := range m.scores {
			order = append(order, place{i, at})
		}
	}
	slices.SortStableFunc(order, func(a, b place) int {
		return cmp.Compare(all[b.picture].scores[b.at], all[a.picture].scores[a.at])
	})
	return order
}

// averagePrecision is the mean of the best precision at or beyond each of 101 recalls.
func averagePrecision(all []matched, order []place, t, marked int) float64 {
	var recalls, precisions []float64
	hits, misses := 0.0, 0.0
	for _, p := range order {
		switch all[p.picture].hits[t][p.at] {
		case 1:
			hits++
		case 0:
			misses++
		}
		recalls = append(recalls, hits/float64(marked))
		precisions = append(precisions, hits/(hits+misses+math.SmallestNonzeroFloat64))
	}
	for i := len(precisions) - 2; i >= 0; i-- {
		precisions[i] = max(precisions[i], precisions[i+1])
	}
	sum, at := 0.0, 0
	for step := range recallSteps {
		for at < len(recalls) && recalls[at] < float64(step)*recallStep {
			at++
		}
		if at < len(precisions) {
			sum += precisions[at]
		}
	}
	return sum / recallSteps
}

func mean(v [thresholds]float64) float64 {
	sum := 0.0
	for _, x := range v {
		sum += x
	}
	return sum / thresholds
}
