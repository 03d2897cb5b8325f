// Package onnxgraph rewrites networks into the form that the model tools work on, and proves that they still give the same.
package onnxgraph

import (
	"slices"

	"github.com/sightline/sightline/models/graph"
)

// FocusToConv turns a stem that slices a picture into four and puts a convolution over them (YOLOX, early YOLOv5) into one
// convolution with stride 2 that gives the same, and returns how often it did.
func FocusToConv(m *graph.Model) (int, error) {
	g, n := m.Graph, 0
	for _, concat := range slices.Clone(g.Nodes) {
		x := g.Index()
		readers := x.Consumers[concat.Outputs[0]]
		if concat.Op != "Concat" || len(concat.Inputs) != 4 || concat.Int("axis", 0) != 1 || len(readers) != 1 {
			continue
		}
		conv := readers[0]
		source, offsets, ok := focus(g, x, concat)
		if !ok || !plainConv(g, conv) {
			continue
		}
		if err := widenKernel(g, conv, source, offsets); err != nil {
			return n, err
		}
		n++
	}
	if n > 0 {
		g.RemoveDead()
	}
	return n, nil
}

// focus tells whether every input of a Concat is each second row and column of one tensor, and from where each starts.
func focus(g *graph.Graph, x graph.Index, concat *graph.Node) (source string, offsets [4][2]int, ok bool) {
	for i, name := range concat.Inputs {
		at := [2]int{-1, -1}
		for range 2 {
			axis, start, from, ok := everySecond(g, x.Producer[name])
			if !ok || at[axis] >= 0 {
				return "", offsets, false
			}
			at[axis], name = start, from
		}
		if source == "" {
			source = name
		}
		if name != source {
			return "", offsets, false
		}
		offsets[i] = at
	}
	return source, offsets, true
}

// everySecond reads a Slice with step 2 along rows (axis 0 here) or columns (1) that starts at 0 or 1 and goes to the end.
func everySecond(g *graph.Graph, n *graph.Node) (axis, start int, from string, ok bool) {
	if n == nil || n.Op != "Slice" || len(n.Inputs) != 5 {
		return 0, 0, "", false
	}
	var v [4]int64 // start, end, axis, step
	for i := range v {
		t := g.Const(n.Inputs[i+1])
		if t == nil {
			return 0, 0, "", false
		}
		list, err := t.Int64s()
		if err != nil || len(list) != 1 {
			return 0, 0, "", false
		}
		v[i] = list[0]
	}
	ok = v[3] == 2 && v[1] > 1<<20 && (v[0] == 0 || v[0] == 1) && (v[2] == 2 || v[2] == 3)
	return int(v[2]) - 2, int(v[0]), n.Inputs[0], ok
}

// plainConv tells whether a node is a convolution with constant weights, stride 1, one group, no dilation and even padding.
func plainConv(g *graph.Graph, n *graph.Node) bool {
	if n.Op != "Conv" || g.Initializers[n.Input(1)] == nil || len(g.Initializers[n.Input(1)].Shape) != 4 || n.Int("group", 1) != 1 {
		return false
	}
	for _, name := range []string{"strides", "dilations"} {
		if slices.ContainsFunc(n.Ints(name), func(v int64) bool { return v != 1 }) {
			return false
		}
	}
	pads := n.Ints("pads")
	return len(pads) == 4 && pads[0] == pads[1] && pads[1] == pads[2] && pads[2] == pads[3]
}

// widenKernel spreads the weights of a convolution over four pictures onto one picture: what looked at row u of the picture that
// starts at dy looks at row 2u+dy.
func widenKernel(g *graph.Graph, conv *graph.Node, source string, offsets [4][2]int) error {
	t := g.Initializers[conv.Inputs[1]]
	w, err := t.Floats()
	if err != nil {
		return err
	}
	out, in, kh, kw := int(t.Shape[0]), int(t.Shape[1])/4, int(t.Shape[2]), int(t.Shape[3])
	wide := make([]float32, len(w))
	for o := range out {
		for q, offset := range offsets {
			for c := range in {
				for u := range kh {
					for v := range kw {
						from := ((o*4*in+q*in+c)*kh+u)*kw + v
						to := ((o*in+c)*2*kh+2*u+offset[0])*2*kw + 2*v + offset[1]
						wide[to] = w[from]
					}
				}
			}
		}
	}
	pad := 2 * conv.Ints("pads")[0]
	conv.Attrs["pads"] = graph.IntsAttr(pad, pad, pad, pad)
	conv.Attrs["strides"] = graph.IntsAttr(2, 2)
	conv.Attrs["kernel_shape"] = graph.IntsAttr(int64(2*kh), int64(2*kw))
	name := g.Fresh(conv.Inputs[1] + "_wide")
	g.Initializers[name] = graph.NewFloat([]int64{int64(out), int64(in), int64(2 * kh), int64(2 * kw)}, wide)
	conv.Inputs[0], conv.Inputs[1] = source, name
	return nil
}
