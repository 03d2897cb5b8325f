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
	counts []float32 // what each of them counts
	weight []float32 // of each element
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
			in.counts = append(in.counts, float32(share/(s.covariance.At(c, c)+0.01*mean)))
		}
		t.inside = append(t.inside, in)
		t.losses = append(t.losses, gradient.Loss{Output: name})
	}
}

// weigh shares out what channels count among their elements.
func (t *tuner) weigh() {
	for i := range t.inside {
		in := &t.inside[i]
		shape := t.workers[0].net.Shape(in.name)
		cells := int(shape[2] * shape[3])
		for _, count := range in.counts {
			in.weight = append(in.weight, slices.Repeat([]float32{count / float32(cells)}, cells)...)
		}
	}
}

// target is what the whole network holds there.
func (in inside) target(a onnx.Array) gradient.Target {
	cells := int(a.Shape[2] * a.Shape[3])
	want := make([]float32, 0, len(in.weight))
	for _, c := range in.keep {
		want = append(want, a.Data[c*cells:(c+1)*cells]...)
	}
	return gradient.Target{Want: want, Weight: in.weight}
}
