package prune

import (
	"math"

	"github.com/sightline/sightline/detect/onnx"
	"github.com/sightline/sightline/tools/prune/gradient"
)

const (
	boxWeight = 4    // of a field of YOLOv5's boxes, of which a sigmoid is taken, against a score
	unlikely  = 0.01 // objectness below which boxes and classes do not count
	few       = 5    // the sum of objectness of a crop in which little is seen
)

// lossesOf: logits by their sigmoids, YOLOX's boxes and outputs of unknown meaning as they are.
func lossesOf(c *channel) []gradient.Loss {
	var list []gradient.Loss
	if c.o.Head == nil {
		for _, v := range c.whole.Graph.Outputs {
			list = append(list, gradient.Loss{Output: v.Name})
		}
		return list
	}
	for _, l := range c.o.Head.Levels {
		for i, name := range l.Outputs {
			list = append(list, gradient.Loss{Output: name, Sigmoid: len(l.Outputs) == 1 || i > 0})
		}
	}
	return list
}

// targets are what the whole network says, and holds inside.
func (t *tuner) targets(out map[string]onnx.Array) []gradient.Target {
	list := t.outputTargets(out)
	for _, in := range t.inside {
		list = append(list, in.target(out[in.name]))
	}
	return list
}

// outputTargets are what the whole network says, and how much it counts: objectness everywhere, boxes and classes where there is an object.
func (t *tuner) outputTargets(out map[string]onnx.Array) []gradient.Target {
	var list []gradient.Target
	if t.c.o.Head == nil {
		for _, l := range lossesOf(t.c) {
			list = append(list, plainTarget(out[l.Output].Data))
		}
		return list
	}
	objectness := float32(0)
	for _, l := range t.c.o.Head.Levels {
		if len(l.Anchors) > 0 {
			target, objects := anchorTarget(out[l.Outputs[0]], len(l.Anchors))
			list, objectness = append(list, target), objectness+objects
			continue
		}
		objects := out[l.Outputs[1]].Data
		objectness += sum(sigmoids(objects))
		list = append(list,
			gradient.Target{Want: out[l.Outputs[0]].Data, Weight: weights(objects, 4, 1)},
			gradient.Target{Want: sigmoids(objects), Weight: ones(len(objects))},
			gradient.Target{Want: sigmoids(out[l.Outputs[2]].Data), Weight: weights(objects, len(out[l.Outputs[2]].Data)/len(objects), 1)})
	}
	return even(list, objectness)
}

func sum(v []float32) (total float32) {
	for _, f := range v {
		total += f
	}
	return total
}

func plainTarget(v []float32) gradient.Target {
	square := 0.0
	for _, f := range v {
		square += float64(f) * float64(f)
	}
	w := make([]float32, len(v))
	for i := range w {
		w[i] = float32(1 / max(square, 1e-12))
	}
	return gradient.Target{Want: v, Weight: w}
}

// even scales weights so that a crop with many objects counts as much as one with few.
func even(list []gradient.Target, objects float32) []gradient.Target {
	for _, t := range list {
		for i := range t.Weight {
			t.Weight[i] /= few + objects
		}
	}
	return list
}

func anchorTarget(a onnx.Array, anchors int) (target gradient.Target, seen float32) {
	each := len(a.Data) / anchors
	cells := int(a.Shape[2] * a.Shape[3])
	target.Want = sigmoids(a.Data)
	for i := range anchors {
		objects := a.Data[i*each+4*cells : i*each+5*cells]
		target.Weight = append(target.Weight, weights(objects, 4, boxWeight)...)
		target.Weight = append(target.Weight, ones(cells)...)
		target.Weight = append(target.Weight, weights(objects, each/cells-5, 1)...)
		seen += sum(sigmoids(objects))
	}
	return target, seen
}

// weights repeats the objectness of all cells for each of so many fields.
func weights(objects []float32, fields int, share float32) []float32 {
	p := sigmoids(objects)
	for i := range p {
		if p[i] *= share; p[i] < unlikely*share {
			p[i] = 0
		}
	}
	var all []float32
	for range fields {
		all = append(all, p...)
	}
	return all
}

func ones(n int) []float32 {
	v := make([]float32, n)
	for i := range v {
		v[i] = 1
	}
	return v
}

func sigmoids(v []float32) []float32 {
	s := make([]float32, len(v))
	for i, f := range v {
		s[i] = float32(1 / (1 + math.Exp(-float64(f))))
	}
	return s
}
