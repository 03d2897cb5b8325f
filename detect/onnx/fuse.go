package onnx

import (
	"math"
	"os"
	"path/filepath"

	"github.com/sightline/sightline/models/graph"
)

// kernelDomain is that of the operators of our own.
const kernelDomain = "sightline"

// fuse gives a quantised network as onnxruntime runs it, with its int8 SiLUs in one operator each; nil for a network that has none. It
// tells whether that takes levels of a picture instead of numbers.
// onnxruntime itself makes three passes of a SiLU, of which two are not vectorised, and they take as long as the convolutions.
// What comes out is for this processor and this release of the library alone.
func fuse(r recipe) (network []byte, levels bool, err error) {
	if !r.quantised() {
		return nil, false, nil // a float network: nothing to do
	}
	whole, err := graph.Parse(r.model)
	if err != nil || whole.Opsets[kernelDomain] != 0 {
		// What cannot be read here, the library may still run; our own operators trust what they are given, so no file may name them.
		return nil, false, nil //nolint:nilerr // as above
	}
	levels, err = fuseStem(whole, r.unit)
	if err != nil {
		return nil, false, err
	}
	own, err := fuseChannels(whole)
	if err != nil {
		return nil, false, err
	}
	m, err := optimise(whole, r)
	if err != nil {
		return nil, false, err
	}
	if fuseTables(m)+own == 0 && !levels {
		return nil, false, nil // no function of one tensor
	}
	if r.anySize { // not before: the optimiser wants to know sizes
		freeSize(m)
	}
	network, err = m.Marshal()
	return network, levels, err
}

// optimise has the library rewrite a network and reads what it wrote.
func optimise(whole *graph.Model, r recipe) (*graph.Model, error) {
	dir, err := os.MkdirTemp("", "sightline-*")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a left-over in a temporary folder
	if r.model, err = whole.Marshal(); err != nil {
		return nil, err
	}
	r.path, r.kernels, r.written = "", true, filepath.Join(dir, "optimised.onnx")
	r.inputs, r.outputs = valueNames(whole.Graph.Inputs), valueNames(whole.Graph.Outputs)
	session, err := r.open()
	if err != nil {
		return nil, err
	}
	if err := session.Destroy(); err != nil {
		return nil, err
	}
	return graph.Read(r.written)
}

func valueNames(values []graph.Value) []string {
	names := make([]string, len(values))
	for i, v := range values {
		names[i] = v.Name
	}
	return names
}

// fuseTables puts a Lookup in the place of every function of one uint8 tensor, and returns how many it put. SiLUs come first: a
// sigmoid inside one is not needed any more.
func fuseTables(m *graph.Model) int {
	fused := 0
	for _, recognise := range []recogniser{siluTable, unaryTable} {
		x := m.Graph.Index()
		for _, n := range m.Graph.Nodes {
			if from, t, ok := recognise(m.Graph, x, n); ok {
				become(m.Graph, n, from, t)
				fused++
			}
		}
		m.Graph.RemoveDead()
	}
	if fused > 0 {
		m.Opsets[kernelDomain] = 1
	}
	return fused
}

// become makes a node a Lookup.
func become(g *graph.Graph, n *graph.Node, from string, t [256]uint8) {
	name := g.Fresh(n.Outputs[0] + "_table")
	g.Initializers[name] = graph.NewUint8([]int64{256}, t[:])
	n.Op, n.Domain, n.Inputs, n.Attrs = "Lookup", kernelDomain, []string{from, name}, map[string]graph.Attr{}
}

// levels are the numbers that the 256 values of a uint8 tensor stand for: scale*(value-zero).
type levels struct{ scale, zero float64 }

// levelsAt reads two inputs of a node, scale and zero point of uint8.
func levelsAt(g *graph.Graph, n *graph.Node, at int) (levels, bool) {
	scale, zero := g.Const(n.Input(at)), g.Const(n.Input(at+1))
	if scale == nil || zero == nil || zero.Type != graph.Uint8 || len(zero.Data) != 1 || scale.Type != graph.Float || scale.Len() != 1 {
		return levels{}, false
	}
	v, err := scale.Floats()
	return levels{float64(v[0]), float64(zero.Data[0])}, err == nil
}

// table gives what becomes of the values of one tensor as values of another one.
func table(from, to levels, f func(float64) float64) (t [256]uint8) {
	for i := range t {
		v := f(from.scale*(float64(i)-from.zero))/to.scale + to.zero
		t[i] = uint8(min(255, max(0, math.RoundToEven(v))))
	}
	return t
}

func sigmoid(v float64) float64 { return 1 / (1 + math.Exp(-v)) }

func silu(v float64) float64 { return v * sigmoid(v) }

// recogniser tells whether a node is a function of one uint8 tensor, of which, and what it makes of each value.
type recogniser func(*graph.Graph, graph.Index, *graph.Node) (from string, t [256]uint8, ok bool)

// siluTable recognises products of a tensor and its own sigmoid.
func siluTable(g *graph.Graph, x graph.Index, n *graph.Node) (from string, t [256]uint8, ok bool) {
	if n.Op != "QLinearMul" || len(n.Inputs) != 8 {
		return "", t, false
	}
	for _, at := range [][2]int{{0, 3}, {3, 0}} {
		from := n.Inputs[at[0]]
		if s := x.Producer[n.Inputs[at[1]]]; s != nil && s.Op == "QLinearSigmoid" && s.Inputs[0] == from {
			in, known := levelsAt(g, n, at[0]+1)
			out, also := levelsAt(g, n, 6)
			return from, table(in, out, silu), known && also
		}
	}
	return "", t, false
}

// unaryTable recognises the functions that onnxruntime has an operator for.
func unaryTable(g *graph.Graph, _ graph.Index, n *graph.Node) (from string, t [256]uint8, ok bool) {
	f := sigmoid
	switch n.Op {
	case "QLinearSigmoid":
	case "QLinearLeakyRelu":
		slope := 0.01
		if a, given := n.Attrs["alpha"]; given {
			slope = float64(a.Float)
		}
		f = func(v float64) float64 { return max(v, 0) + slope*min(v, 0) }
	default:
		return "", t, false
	}
	in, known := levelsAt(g, n, 1)
	out, also := levelsAt(g, n, 3)
	return n.Inputs[0], table(in, out, f), known && also
}
