package evaluate

import (
	"context"
	"math/rand/v2"
	"runtime"
	"slices"

	"golang.org/x/sync/errgroup"
)

// Difference is how far two figures are apart, with the range that holds 95 % of what other pictures of the same kind would give.
type Difference struct {
	Mean float64 `json:"mean"`
	Low  float64 `json:"low"`
	High float64 `json:"high"`
}

// draws are choices of pictures with replacement, the same for all models: by choice and picture, how often it counts.
type draws [][]int32

// draw makes the same choices whenever it is asked for as many of as many pictures.
func draw(choices, pictures int) draws {
	random := rand.New(rand.NewPCG(20, 26))
	d := make(draws, choices)
	for i := range d {
		d[i] = make([]int32, pictures)
		for range pictures {
			d[i][random.IntN(pictures)]++
		}
	}
	return d
}

// score gives the AP of every choice.
func (d draws) score(ctx context.Context, s *scorer) ([]float64, error) {
	all := s.rank(0)
	list := make([]float64, len(d))
	group, ctx := errgroup.WithContext(ctx)
	workers := runtime.GOMAXPROCS(0)
	for w := range workers {
		group.Go(func() error {
			var c curve
			for i := w; i < len(d) && ctx.Err() == nil; i += workers {
				list[i] = averagePrecisionOf(all, &c, d[i])
			}
			return ctx.Err()
		})
	}
	return list, group.Wait()
}

// interval holds 95 % of the differences that the choices give. Choices without any object say nothing and are left out.
func interval(first, other []float64, difference float64) Difference {
	d := Difference{Mean: difference, Low: difference, High: difference}
	list := make([]float64, 0, len(first))
	for i := range first {
		if first[i] >= 0 && other[i] >= 0 {
			list = append(list, other[i]-first[i])
		}
	}
	if len(list) == 0 {
		return d
	}
	slices.Sort(list)
	d.Low, d.High = quantile(list, 0.025), quantile(list, 0.975)
	return d
}

// quantile of a sorted list that is not empty, between its neighbours in proportion.
func quantile(sorted []float64, share float64) float64 {
	at := share * float64(len(sorted)-1)
	below := int(at)
	above := min(below+1, len(sorted)-1)
	return sorted[below] + (at-float64(below))*(sorted[above]-sorted[below])
}
