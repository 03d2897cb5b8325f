package onnx

import (
	"encoding/binary"
	"slices"

	"github.com/sightline/sightline/models/graph"
)

// fuseStem makes the first convolution one operator, from the levels of a picture, a unit of which is so large a number, to levels
// with channels last. It tells whether it did: the convolution must be quantised, and this processor able to run it. The optimiser cancels
// the transposition behind it.
func fuseStem(m *graph.Model, unit float32) (bool, error) {
	g, x := m.Graph, m.Graph.Index()
	if unit == 0 || len(g.Inputs) != 1 || !stemSupported() {
		return false, nil
	}
	s, ok := readStem(g, x, g.Inputs[0].Name)
	if !ok {
		return false, nil
	}
	s.become(g, unit)
	g.RemoveDead()
	g.Inputs[0].Type = graph.Uint8
	m.Opsets[kernelDomain] = 1
	return true, m.Sort()
}

// stem is the first convolution of a network, with everything around it that rounds.
type stem struct {
	from, to string // the picture, and the levels that are made of it
	conv     *graph.Node
	picture  levels
	output   levels
	kernel   *graph.Tensor // int8 [outputs, channels, height, width]
	scales   []float64     // of each output's kernel
	bias     []float64     // of each output, as a number
}

// readStem expects QuantizeLinear, DequantizeLinear, Conv, QuantizeLinear behind a picture.
func readStem(g *graph.Graph, x graph.Index, picture string) (s stem, ok bool) {
	s.from = picture
	q := onlyReader(g, x, picture)
	if q == nil || q.Op != "QuantizeLinear" {
		return s, false
	}
	if s.picture, ok = levelsAt(g, q, 1); !ok {
		return s, false
	}
	d := onlyReader(g, x, q.Output())
	if d == nil || d.Op != "DequantizeLinear" {
		return s, false
	}
	if s.conv = onlyReader(g, x, d.Output()); s.conv == nil || s.conv.Op != "Conv" || !s.readWeights(g, x) || !s.fits() {
		return s, false
	}
	if q = onlyReader(g, x, s.conv.Output()); q == nil || q.Op != "QuantizeLinear" {
		return s, false
	}
	s.to = q.Output()
	s.output, ok = levelsAt(g, q, 1)
	return s, ok
}

// readWeights reads the kernel, int8 without zero points, and the bias, int32 or none.
func (s *stem) readWeights(g *graph.Graph, x graph.Index) bool {
	kernel, scales, ok := dequantised(g, x, s.conv.Input(1))
	if !ok || kernel.Type != graph.Int8 || len(kernel.Shape) != 4 || len(scales) != int(kernel.Shape[0]) {
		return false
	}
	s.kernel, s.scales, s.bias = kernel, scales, make([]float64, len(scales))
	if s.conv.Input(2) == "" {
		return true
	}
	bias, steps, ok := dequantised(g, x, s.conv.Input(2))
	if !ok || bias.Type != graph.Int32 || bias.Len() != len(scales) || len(steps) != len(scales) {
		return false
	}
	for c := range s.bias {
		s.bias[c] = steps[c] * float64(int32(binary.LittleEndian.Uint32(bias.Data[4*c:])))
	}
	return true
}

// dequantised reads the constants behind a DequantizeLinear of weights, whose zero points must be 0.
func dequantised(g *graph.Graph, x graph.Index, name string) (*graph.Tensor, []float64, bool) {
	d := x.Producer[name]
	if d == nil || d.Op != "DequantizeLinear" {
		return nil, nil, false
	}
	q, scale, zero := g.Const(d.Input(0)), g.Const(d.Input(1)), g.Const(d.Input(2))
	if q == nil || scale == nil || scale.Type != graph.Float {
		return nil, nil, false
	}
	if zero != nil {
		for _, b := range zero.Data {
			if b != 0 {
				return nil, nil, false
			}
		}
	}
	v, err := scale.Floats()
	list := make([]float64, len(v))
	for c := range list {
		list[c] = float64(v[c])
	}
	return q, list, err == nil
}

// fits tells whether the operator can run such a convolution.
func (s *stem) fits() bool {
	outputs, channels, h, w := s.kernel.Shape[0], s.kernel.Shape[1], s.kernel.Shape[2], s.kernel.Shape[3]
	for _, d := range s.conv.Ints("dilations") {
		if d != 1 {
			return false
		}
	}
	pad := s.conv.Attrs["auto_pad"].Text
	return outputs%16 == 0 && channels >= 1 && channels <= 3 && h <= stemKernel && w <= stemKernel && s.conv.Int("group", 1) == 1 &&
		(pad == "" || pad == "NOTSET") && (s.picture.zero == 0 || !slices.ContainsFunc(s.conv.Ints("pads"), func(n int64) bool { return n != 0 }))
}

// become puts the operator into the graph.
func (s *stem) become(g *graph.Graph, unit float32) {
	name := func(what string) string { return g.Fresh(s.to + "_stem_" + what) }
	weights, parameters, geometry, table, made := name("weights"), name("parameters"), name("geometry"), name("table"), name("last")
	g.Initializers[weights] = graph.NewInt8([]int64{int64(len(s.packed()))}, s.packed())
	v := s.parameters()
	g.Initializers[parameters] = graph.NewFloat([]int64{int64(len(v))}, v)
	g.Initializers[geometry] = graph.NewInt64([]int64{9}, s.geometry())
	g.Initializers[table] = graph.NewUint8([]int64{256}, s.table(unit))
	for _, n := range g.Nodes {
		if n.Outputs[0] == s.to {
			n.Outputs[0] = g.Fresh(s.to + "_unused")
		}
	}
	s.declare(g, made)
	g.InsertAfter(nil,
		&graph.Node{Op: "Stem", Domain: kernelDomain, Inputs: []string{s.from, weights, parameters, geometry, table}, Outputs: []string{made}},
		&graph.Node{Op: "Transpose", Inputs: []string{made}, Outputs: []string{s.to}, Attrs: map[string]graph.Attr{"perm": graph.IntsAttr(0, 3, 1, 2)}})
}

// packed is the kernel as the operator reads it: [outputs/16][height][width][16][4].
func (s *stem) packed() []int8 {
	outputs, channels, area := int(s.kernel.Shape[0]), int(s.kernel.Shape[1]), int(s.kernel.Shape[2]*s.kernel.Shape[3])
	packed := make([]int8, outputs*area*4)
	for o := range outputs {
		for c := range channels {
			for at := range area {
				packed[((o/16*area+at)*16+o%16)*4+c] = int8(s.kernel.Data[(o*channels+c)*area+at])
			}
		}
	}
	return packed
}

// table has the network's own level of each level of a picture.
func (s *stem) table(unit float32) []uint8 {
	t := table(levels{scale: float64(unit)}, s.picture, func(v float64) float64 { return v })
	return t[:]
}

// parameters are, for each output, what a sum is multiplied with, then what is added to give a level.
func (s *stem) parameters() []float32 {
	n := len(s.scales)
	size := len(s.kernel.Data) / n
	v := make([]float32, 2*n)
	for c := range n {
		sum := 0.0 // of the kernel: what comes of the picture's zero point
		for _, w := range s.kernel.Data[c*size:][:size] {
			sum += float64(int8(w))
		}
		factor := s.picture.scale * s.scales[c] / s.output.scale
		v[c] = float32(factor)
		v[n+c] = float32(s.bias[c]/s.output.scale + s.output.zero - factor*sum*s.picture.zero)
	}
	return v
}

// geometry is kernel, strides, pads (top, left, bottom, right) and outputs.
func (s *stem) geometry() []int64 {
	list := []int64{s.kernel.Shape[2], s.kernel.Shape[3]}
	for _, a := range []struct {
		name      string
		n         int
		otherwise int64
	}{{"strides", 2, 1}, {"pads", 4, 0}} {
		v := s.conv.Ints(a.name)
		for i := range a.n {
			if i < len(v) {
				list = append(list, v[i])
			} else {
				list = append(list, a.otherwise)
			}
		}
	}
	return append(list, s.kernel.Shape[0])
}

// declare tells the optimiser the shape of what is made, where that of the picture is known: without it, it leaves everything behind
// in a slower layout.
func (s *stem) declare(g *graph.Graph, made string) {
	picture := g.Inputs[0].Shape
	if len(picture) != 4 || picture[2] < 0 || picture[3] < 0 {
		return
	}
	height, width := s.size(picture)
	g.Values[made] = graph.Value{Name: made, Type: graph.Uint8, Shape: []int64{picture[0], height, width, s.kernel.Shape[0]}}
}

// size is that of what is made of a picture.
func (s *stem) size(picture []int64) (height, width int64) {
	v := s.geometry()
	one := func(i int) int64 { return (picture[2+i]+v[4+i]+v[6+i]-v[i])/v[2+i] + 1 }
	return one(0), one(1)
}
