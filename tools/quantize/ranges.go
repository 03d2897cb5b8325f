package quantize

import "math"

// affine is how a tensor becomes uint8: value = scale * (level - zero).
type affine struct {
	scale float64
	zero  int
	// channels is set where each channel has levels of its own. Only what is made float again at once can have that: outputs of the
	// network, and what a SiLU reads. Int8 operators know one scale for a tensor.
	channels []affine
	// factors multiply each channel before it is rounded, so that one scale suits all; who reads it divides by them.
	factors []float64
}

// spanning gives the levels for values from lo to hi. Zero is always one of them: padding is zero.
func spanning(lo, hi float64) affine {
	lo, hi = min(lo, 0), max(hi, 0)
	if hi-lo < 1e-12 {
		return affine{scale: 1.0 / 255}
	}
	scale := float64(float32((hi - lo) / 255))
	return affine{scale: scale, zero: int(math.Round(min(255, max(0, -lo/scale))))}
}

func (a affine) level(v float64) int {
	return int(min(255, max(0, math.RoundToEven(v/a.scale)+float64(a.zero))))
}

func (a affine) value(level int) float64 { return a.scale * float64(level-a.zero) }

func (a affine) low() float64  { return a.value(0) }
func (a affine) high() float64 { return a.value(255) }

// of gives the levels of a channel.
func (a affine) of(channel int) affine {
	if a.channels == nil {
		return a
	}
	return a.channels[channel]
}

// siluLow is the least value of SiLU, x*sigmoid(x).
const siluLow = -0.27846455

func silu(v float64) float64 { return v / (1 + math.Exp(-v)) }

// sigmoidLevels is how the output of a sigmoid becomes uint8.
var sigmoidLevels = affine{scale: 1.0 / 256}

// search finds the range with the least error, among those that clip some of either end. after gives what matters of a value:
// the value itself, or what the next operator makes of it.
func (h *histogram) search(lows, highs []float64, exact func(float64) float64, rounded func(a affine, level int) float64) affine {
	var want [bins]float64
	for i := range want {
		want[i] = exact(h.centre(i))
	}
	best, least := spanning(h.min, h.max), math.Inf(1)
	for _, lo := range lows {
		for _, hi := range highs {
			if hi-lo <= 0 {
				continue
			}
			a := spanning(lo, hi)
			if e := h.error(a, &want, rounded, least); e < least {
				best, least = a, e
			}
		}
	}
	return best
}

// error is the sum of squared errors over the histogram; it gives up beyond limit.
func (h *histogram) error(a affine, want *[bins]float64, rounded func(a affine, level int) float64, limit float64) float64 {
	var levels [256]float64
	for i := range levels {
		levels[i] = rounded(a, i)
	}
	sum := 0.0
	for i, n := range h.counts {
		if n == 0 {
			continue
		}
		d := want[i] - levels[a.level(h.centre(i))]
		if sum += n * d * d; sum >= limit {
			return sum
		}
	}
	return sum
}

// shares gives edge, and edge times ever smaller shares of it.
func shares(edge float64, steps int, least float64) []float64 {
	list := make([]float64, steps)
	for i := range list {
		list[i] = edge * math.Pow(least, float64(i)/float64(steps-1))
	}
	return list
}

func identity(v float64) float64             { return v }
func plainLevel(a affine, level int) float64 { return a.value(level) }

// plain finds the range of a tensor for its own sake.
func (h *histogram) plain() affine {
	lows := []float64{0}
	if h.min < 0 {
		lows = shares(h.min, 16, 0.2)
	}
	return h.search(lows, shares(h.max, 24, 0.1), identity, plainLevel)
}

// ofSiLU finds the range of the output of a SiLU, whose lower end is known.
func (h *histogram) ofSiLU() affine {
	return h.search([]float64{max(h.min, siluLow)}, shares(h.max, 48, 0.05), identity, plainLevel)
}

// beforeSiLU finds the range of what a SiLU reads, by the error behind it: far below zero nothing is left of a value, and the
// levels are better spent above.
func (h *histogram) beforeSiLU() affine {
	after := func(a affine, level int) float64 {
		v := a.value(level)
		s := sigmoidLevels.level(1 / (1 + math.Exp(-v)))
		return v * sigmoidLevels.value(s)
	}
	lows := []float64{0}
	if h.min < 0 {
		lows = shares(h.min, 24, 0.05)
	}
	return h.search(lows, shares(h.max, 24, 0.1), silu, after)
}

// logitLow is the logit of a probability of 0.1 %: what lies below is no object, however far.
const logitLow = -6.9

// logit finds the range of what becomes a probability, up to the highest value that was seen: that is the surest object.
func (h *histogram) logit() affine { return spanning(max(h.min, logitLow), max(h.max, h.min+0.1)) }
