package onnx

import (
	"slices"

	ort "github.com/yalue/onnxruntime_go"

	"github.com/sightline/sightline/models/graph"
)

// freed opens a network as its file has it, without the sizes in it that shall be left open.
func (r recipe) freed() (*ort.DynamicAdvancedSession, error) {
	if !r.anySize && r.batch == 0 {
		return r.open()
	}
	m, err := graph.Parse(r.model)
	if err != nil {
		return nil, err
	}
	if r.anySize {
		freeSize(m)
	}
	if r.batch > 0 {
		setBatch(m, r.batch)
	}
	if r.model, err = m.Marshal(); err != nil {
		return nil, err
	}
	r.path = ""
	return r.open()
}

// freeSize leaves height and width of the input open, and forgets what followed from them.
func freeSize(m *graph.Model) {
	for i, v := range m.Graph.Inputs {
		if len(v.Shape) == 4 {
			m.Graph.Inputs[i].Shape = []int64{v.Shape[0], v.Shape[1], -1, -1}
		}
	}
	kept := map[string]graph.Value{}
	for _, n := range m.Graph.Nodes {
		// How many dimensions there are the library finds out again for all but this one.
		if v := m.Graph.Values[n.Output()]; n.Op == "Stem" && n.Domain == kernelDomain && len(v.Shape) == 4 {
			v.Shape = []int64{v.Shape[0], -1, -1, v.Shape[3]} // channels last
			kept[v.Name] = v
		}
	}
	forgetShapes(m, kept)
}

// setBatch makes a network for so many pictures, and forgets what followed from another number. Where a Reshape says one first, it takes
// what comes instead. Whether the network then computes each picture apart must be tried.
func setBatch(m *graph.Model, n int) {
	for i, v := range m.Graph.Inputs {
		if len(v.Shape) == 4 {
			m.Graph.Inputs[i].Shape = append([]int64{int64(n)}, v.Shape[1:]...)
		}
	}
	for _, node := range m.Graph.Nodes {
		if node.Op == "Reshape" && node.Domain == "" && node.Int("allowzero", 0) == 0 {
			freeReshape(m.Graph, node)
		}
	}
	forgetShapes(m, map[string]graph.Value{})
}

// freeReshape gives a node a shape of its own, as other nodes may read the same.
func freeReshape(g *graph.Graph, n *graph.Node) {
	t := g.Const(n.Input(1))
	if t == nil {
		return
	}
	shape, err := t.Int64s()
	if err != nil || len(shape) < 2 || shape[0] != 1 {
		return
	}
	shape = slices.Clone(shape)
	shape[0] = 0 // as many as there are
	name := g.Fresh(n.Input(1))
	g.Initializers[name] = graph.NewInt64([]int64{int64(len(shape))}, shape)
	n.Inputs[1] = name
}

func forgetShapes(m *graph.Model, but map[string]graph.Value) {
	for i := range m.Graph.Outputs {
		m.Graph.Outputs[i].Shape = nil
	}
	m.Graph.Values = but
}
