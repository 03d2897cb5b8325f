package prune

import (
	"slices"

	"gonum.org/v1/gonum/mat"

	"github.com/sightline/sightline/detect/onnx"
	"github.com/sightline/sightline/tools/prune/gradient"
)

// insideWeight is what tensors inside count beside the outputs. Every place of every picture says something there, and of the outputs
// only those with objects do: with few pictures it is the inside that tells the way.
const insideWeight = 200

// inside is a tensor that convolutions read, and that should hold what it holds in the whole network.
type inside struct {
	name   string
	keep   []int     // channels of the whole network
	weight []float32 // of an element of each of them, times the elements of a channel
}

// lookInside finds the tensors that change, and adds their losses: the mean square by which channels are off, each in the measure of its
// variance.
func (t *tuner) lookInside(gone map[int]bool, changed map[string]bool) {
	var names []string
	for _, name := range t.c.observed() {
		if changed[name] && t.c.stats[name] != nil {
			names = append(names, name)
		}
	}
	for _, name := range names {
		s := t.c.stats[name]
		in := inside{name: name, keep: t.c.x.Kept(name, gone)}
		mean := mat.Trace(s.covariance) / float64(len(s.mean))
		for _, c := range in.keep {
			share := 2 * insideWeight / float64(len(names)*len(in.keep))
			in.weight = append(in.weight, float32(share/(s.covariance.At(c, c)+0.01*mean)))
		}
		t.inside = append(t.inside, in)
		t.losses = append(t.losses, gradient.Loss{Output: name})
	}
}

// target is what the whole network holds there.
func (in inside) target(a onnx.Array) gradient.Target {
	cells := int(a.Shape[2] * a.Shape[3])
	t := gradient.Target{Want: make([]float32, 0, len(in.keep)*cells), Weight: make([]float32, 0, len(in.keep)*cells)}
	for i, c := range in.keep {
		t.Want = append(t.Want, a.Data[c*cells:(c+1)*cells]...)
		t.Weight = append(t.Weight, slices.Repeat([]float32{in.weight[i] / float32(cells)}, cells)...)
	}
	return t
}
