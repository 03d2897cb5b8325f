package evaluate

import "math"

// ClassScore is what a model reaches in one class.
type ClassScore struct {
	Name    string  `json:"name"`
	Objects int     `json:"objects"` // marked in the pictures, crowds left out
	AP      float64 `json:"ap"`      // mean over IoU 0.50 to 0.95
	AP50    float64 `json:"ap50"`
	Recall  float64 `json:"recall"` // share of the objects that are found at all, mean over IoU 0.50 to 0.95: COCO's AR
}

// ranking is all results of one class, the best first, with what became of each. It scores pictures that count several times
// or not at all without sorting again: bootstraps ask for that a thousand times.
type ranking struct {
	pictures []int32            // by result: its picture, by place in scorer.images
	hits     [thresholds][]int8 // as in matched
	marked   []markedIn
}

// markedIn is the number of objects that count in one picture.
type markedIn struct{ picture, objects int32 }

// rank gives the rankings of all classes, in the order of s.categories.
func (s *scorer) rank(area int) []ranking {
	all := make([]ranking, len(s.categories))
	for c, category := range s.categories {
		r := &all[c]
		var parts []matched
		var from []int32
		for i, image := range s.images {
			m, ok := s.matches[area][key{image, category}]
			if !ok {
				continue
			}
			parts, from = append(parts, m), append(from, int32(i))
			if m.marked > 0 {
				r.marked = append(r.marked, markedIn{int32(i), int32(m.marked)})
			}
		}
		for _, p := range byFallingScore(parts) {
			r.pictures = append(r.pictures, from[p.picture])
			for t := range thresholds {
				r.hits[t] = append(r.hits[t], parts[p.picture].hits[t][p.at])
			}
		}
	}
	return all
}

// once counts every picture one time.
func (s *scorer) once() []int32 {
	times := make([]int32, len(s.images))
	for i := range times {
		times[i] = 1
	}
	return times
}

// curve is scratch of averages: precision and recall after each hit.
type curve struct{ precision, recall []float64 }

// objects is how many objects the pictures hold, each as often as times says.
func (r *ranking) objects(times []int32) (n int) {
	for _, m := range r.marked {
		n += int(times[m.picture]) * int(m.objects)
	}
	return n
}

// score gives average precision and final recall at one threshold, of pictures that count as often as times says and hold so
// many objects, more than none. The result is that of averagePrecision over a list in which pictures stand as often.
func (r *ranking) score(c *curve, threshold int, times []int32, objects int) (precision, recall float64) {
	c.precision, c.recall = c.precision[:0], c.recall[:0]
	hits, shown := 0, 0
	list := r.hits[threshold]
	for i, picture := range r.pictures {
		n := int(times[picture])
		if n == 0 || list[i] < 0 {
			continue
		}
		shown += n
		if list[i] > 0 {
			hits += n
			c.recall = append(c.recall, float64(hits)/float64(objects))
			c.precision = append(c.precision, float64(hits)/(float64(shown)+math.SmallestNonzeroFloat64))
		}
	}
	for i := len(c.precision) - 2; i >= 0; i-- {
		c.precision[i] = max(c.precision[i], c.precision[i+1])
	}
	at := 0
	for step := range recallSteps {
		for at < len(c.recall) && c.recall[at] < float64(step)*recallStep {
			at++
		}
		if at == len(c.recall) {
			break
		}
		precision += c.precision[at]
	}
	return precision / recallSteps, float64(hits) / float64(objects)
}

// averagePrecisionOf is AP over all classes of pictures that count as often as times says; -1 without objects.
func averagePrecisionOf(all []ranking, c *curve, times []int32) float64 {
	sum, classes := 0.0, 0
	for i := range all {
		objects := all[i].objects(times)
		if objects == 0 {
			continue
		}
		classes++
		for t := range thresholds {
			precision, _ := all[i].score(c, t, times, objects)
			sum += precision
		}
	}
	if classes == 0 {
		return -1
	}
	return sum / float64(thresholds*classes)
}

// classes scores every class that has objects, by the order of the data.
func (s *scorer) classes(names []Category) []ClassScore {
	var list []ClassScore
	var c curve
	times := s.once()
	for i, r := range s.rank(0) {
		score := ClassScore{Name: names[i].Name, Objects: r.objects(times)}
		if score.Objects == 0 {
			continue
		}
		for t := range thresholds {
			precision, recall := r.score(&c, t, times, score.Objects)
			score.AP += precision / thresholds
			score.Recall += recall / thresholds
			if t == 0 {
				score.AP50 = precision
			}
		}
		list = append(list, score)
	}
	return list
}

// meanRecall is COCO's AR: the mean over classes; -1 without objects.
func meanRecall(classes []ClassScore) float64 {
	if len(classes) == 0 {
		return -1
	}
	sum := 0.0
	for _, c := range classes {
		sum += c.Recall
	}
	return sum / float64(len(classes))
}
