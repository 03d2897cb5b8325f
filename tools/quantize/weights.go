package quantize

import (
	"fmt"
	"math"

	"github.com/sightline/sightline/models/graph"
)

// weights is a convolution's kernel as int8 with a scale for each output channel.
type weights struct {
	shape  []int64
	levels []int8
	scales []float32
}

// quantizeWeights takes the scale with the least squared error for each output channel. top is the highest level: 127, or 63
// where the processor's arithmetic saturates.
func quantizeWeights(t *graph.Tensor, top float64) (weights, error) {
	v, err := t.Floats()
	if err != nil {
		return weights{}, err
	}
	channels := int(t.Shape[0])
	if channels == 0 || len(v)%channels != 0 {
		return weights{}, fmt.Errorf("weights of shape %v", t.Shape)
	}
	w := weights{shape: t.Shape, levels: make([]int8, len(v)), scales: make([]float32, channels)}
	each := len(v) / channels
	for c := range channels {
		row := v[c*each : (c+1)*each]
		scale, err := weightScale(row, top)
		if err != nil {
			return w, err
		}
		w.scales[c] = scale
		for i, f := range row {
			w.levels[c*each+i] = int8(clampRound(float64(f)/float64(scale), top))
		}
	}
	return w, nil
}

func clampRound(v, top float64) float64 { return min(top, max(-top, math.RoundToEven(v))) }

// weightScale tries to clip the largest weights a little.
func weightScale(row []float32, top float64) (float32, error) {
	largest := 0.0
	for _, f := range row {
		if math.IsNaN(float64(f)) || math.IsInf(float64(f), 0) {
			return 0, fmt.Errorf("a weight is %g: the network is broken", f)
		}
		largest = max(largest, math.Abs(float64(f)))
	}
	if largest < 1e-12 {
		return 1.0 / 127, nil
	}
	best, least := 0.0, math.Inf(1)
	for share := 1.0; share > 0.7; share -= 0.02 {
		scale, sum := share*largest/top, 0.0
		for _, f := range row {
			d := float64(f) - scale*clampRound(float64(f)/scale, top)
			sum += d * d
		}
		if sum < least {
			best, least = scale, sum
		}
	}
	return float32(best), nil
}
