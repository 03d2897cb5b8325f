package detect

import (
	"errors"
	"fmt"
	"math"
	"sync"

	"github.com/sightline/sightline/pipeline/picture"
)

// canarySamples are kept of each output: spread evenly, they cost little memory, and a session that is ill is not ill in one number.
const canarySamples = 1 << 14

// canaryTolerance is how far an answer may be from the one that is remembered: this much, and this share of its size. A
// processor gives the same bits each time; devices add up in other orders.
const canaryTolerance = 0.02

// canaryPicture is what sessions are asked about to see whether they are well: slopes and blocks, nothing black and nothing white.
var canaryPicture = sync.OnceValue(func() *picture.I420 {
	p := picture.New(160, 96)
	for y := range p.Height {
		for x := range p.Width {
			p.Y[y*p.StrideY+x] = uint8(40 + x/2 + y + 40*((x/16+y/16)%2))
		}
	}
	for y := range (p.Height + 1) / 2 {
		for x := range (p.Width + 1) / 2 {
			p.U[y*p.StrideC+x], p.V[y*p.StrideC+x] = uint8(64+x), uint8(176-2*y)
		}
	}
	return p
})

// answer is what a session gave for the canary: samples of each output, and how many numbers of all were none.
type answer struct {
	samples [][]float32
	nans    int
}

func answerOf(outputs [][]float32) (a answer) {
	for _, o := range outputs {
		step := max(1, len(o)/canarySamples)
		kept := make([]float32, 0, len(o)/step+1)
		for i, v := range o {
			if v != v {
				a.nans++
			}
			if i%step == 0 {
				kept = append(kept, v)
			}
		}
		a.samples = append(a.samples, kept)
	}
	return a
}

// errOtherAnswer begins what is said of a session that does not answer as it did.
var errOtherAnswer = errors.New("the session answers a known picture otherwise than when it was new")

// compare tells in what another answer differs from this one; nil for nothing that matters.
func (a answer) compare(b answer) error {
	if a.nans == 0 && b.nans > 0 {
		return fmt.Errorf("%w: %d numbers are NaN", errOtherAnswer, b.nans)
	}
	for i, output := range a.samples {
		for k, want := range output {
			got := b.samples[i][k]
			if far := math.Abs(float64(got) - float64(want)); far > canaryTolerance*(1+math.Abs(float64(want))) {
				return fmt.Errorf("%w: output %d gives %g instead of %g", errOtherAnswer, i, got, want)
			}
		}
	}
	return nil
}
