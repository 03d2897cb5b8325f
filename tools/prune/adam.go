package prune

import (
	"math"
	"slices"

	"github.com/sightline/sightline/models/graph"
	"github.com/sightline/sightline/tools/prune/gradient"
)

// adam is the state of Adam for one parameter.
type adam struct {
	mean, square []float32
	steps        int
}

func newAdam(n int) *adam { return &adam{mean: make([]float32, n), square: make([]float32, n)} }

// step gives how far to go.
func (a *adam) step(gradient []float32, rate float64) []float32 {
	const keep, keepSquare = 0.9, 0.99
	a.steps++
	scale := float32(rate * math.Sqrt(1-math.Pow(keepSquare, float64(a.steps))) / (1 - math.Pow(keep, float64(a.steps))))
	v := make([]float32, len(gradient))
	for i, g := range gradient {
		a.mean[i] += (1 - keep) * (g - a.mean[i])
		a.square[i] += (1 - keepSquare) * (g*g - a.square[i])
		v[i] = -scale * a.mean[i] / (float32(math.Sqrt(float64(a.square[i]))) + 1e-8)
	}
	return v
}

// average is of parameters over the last steps, about a tenth of all: it is nearer to where they are heading than any one step.
type average struct {
	of     []*gradient.Parameter
	values [][]float32
	steps  int
}

func newAverage(of []*gradient.Parameter) *average {
	a := &average{of: of}
	for _, p := range of {
		a.values = append(a.values, slices.Clone(p.Value))
	}
	return a
}

// add takes the parameters as they are now.
func (a *average) add() {
	fade := float32(a.steps) / float32(a.steps+10)
	a.steps++
	for i, p := range a.of {
		for j, v := range p.Value {
			a.values[i][j] = fade*a.values[i][j] + (1-fade)*v
		}
	}
}

func (a *average) clone() *average {
	other := *a
	other.values = nil
	for _, v := range a.values {
		other.values = append(other.values, slices.Clone(v))
	}
	return &other
}

// write puts the values into a network.
func (a *average) write(m *graph.Model) {
	for i, p := range a.of {
		m.Graph.Initializers[p.Name] = graph.NewFloat(p.Shape, a.values[i])
	}
}
