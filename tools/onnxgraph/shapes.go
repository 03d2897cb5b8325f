package onnxgraph

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"

	"github.com/sightline/sightline/detect/onnx"
	"github.com/sightline/sightline/models/graph"
)

// InferShapes finds the element type and the shape of every tensor that a node makes, by running the model, and puts them in the place
// of whatever the file says of them. A size that follows the batch is -1.
func InferShapes(m *graph.Model, o RunOptions) error {
	values, err := infer(m, o)
	if err != nil {
		return fmt.Errorf("infer shapes: %w", err)
	}
	m.Graph.Values = values
	return nil
}

func infer(m *graph.Model, o RunOptions) (map[string]graph.Value, error) {
	shape, err := m.InputShape()
	if err != nil {
		return nil, err
	}
	types, err := typesOf(m, o)
	if err != nil {
		return nil, err
	}
	sizes, err := shapesAt(m, shape, types, o)
	if err != nil {
		return nil, err
	}
	if m.Graph.Inputs[0].Shape[0] < 0 { // any batch: what differs for another one is not fixed
		shape[0]++
		other, err := shapesAt(m, shape, types, o)
		if err != nil {
			return nil, err
		}
		for name := range sizes {
			sizes[name] = common(sizes[name], other[name])
		}
	}
	values := map[string]graph.Value{}
	for name, s := range sizes {
		values[name] = graph.Value{Name: name, Type: types[name], Shape: s}
	}
	return values, nil
}

// common keeps the sizes that are the same in both shapes.
func common(a, b []int64) []int64 {
	if len(a) != len(b) {
		return nil
	}
	c := slices.Clone(a)
	for i := range c {
		if a[i] != b[i] {
			c[i] = -1
		}
	}
	return c
}

// typesOf asks onnxruntime for the element types of all that the nodes make. What is no tensor of numbers is left out.
func typesOf(m *graph.Model, o RunOptions) (map[string]graph.DataType, error) {
	c := m.Clone()
	clear(c.Graph.Values)
	c.Graph.Outputs = nil
	for _, n := range c.Graph.Nodes {
		for _, name := range n.Outputs {
			if name != "" {
				c.Graph.Outputs = append(c.Graph.Outputs, graph.Value{Name: name})
			}
		}
	}
	data, err := c.Marshal()
	if err != nil {
		return nil, err
	}
	found, err := onnx.OutputTypes(o.Library, data)
	if err != nil {
		return nil, err
	}
	types := map[string]graph.DataType{}
	for name, t := range found {
		if graph.DataType(t).Size() > 0 {
			types[name] = graph.DataType(t)
		}
	}
	return types, nil
}

// shapesAt runs the model with the shapes of all tensors as its outputs, so that no tensor is kept for longer than it is needed.
func shapesAt(m *graph.Model, input []int64, types map[string]graph.DataType, o RunOptions) (map[string][]int64, error) {
	c := m.Clone()
	clear(c.Graph.Values)
	c.Graph.Outputs = nil
	tensors := slices.Sorted(maps.Keys(types))
	asked := make([]string, len(tensors))
	for i, name := range tensors {
		asked[i] = c.Graph.Fresh(fmt.Sprintf("shape of tensor %d", i))
		c.Graph.Nodes = append(c.Graph.Nodes, &graph.Node{Op: "Shape", Inputs: []string{name}, Outputs: []string{asked[i]}})
		c.Graph.Outputs = append(c.Graph.Outputs, graph.Value{Name: asked[i], Type: graph.Int64})
	}
	size := int64(1)
	for _, n := range input {
		size *= n
	}
	out, err := runTyped(c, asked, o, onnx.Array{Shape: input, Data: make([]float32, size)})
	if err != nil {
		return nil, err
	}
	shapes := map[string][]int64{}
	for i, name := range tensors {
		shape := make([]int64, len(out[i].Data)/8)
		for k := range shape {
			shape[k] = int64(binary.LittleEndian.Uint64(out[i].Data[8*k:]))
		}
		shapes[name] = shape
	}
	return shapes, nil
}

// fixed tells whether a shape holds for every input.
func fixed(shape []int64) bool {
	return shape != nil && !slices.ContainsFunc(shape, func(n int64) bool { return n < 0 })
}

// settleShapes makes constants of what depends on shapes alone, where those are the same for every input, and lets a Resize say by how
// much it enlarges and not to which size: so it still fits when the input of the network is made smaller. It returns how many nodes
// it settled. It needs the shapes of InferShapes.
func settleShapes(m *graph.Model) int {
	g, n := m.Graph, 0
	shapes := map[string][]int64{g.Inputs[0].Name: g.Inputs[0].Shape}
	for name, v := range g.Values {
		shapes[name] = v.Shape
	}
	for _, node := range g.Nodes {
		switch {
		case node.Domain != "":
		case node.Op == "Shape" && fixed(shapes[node.Inputs[0]]) && len(node.Attrs) == 0 && !g.IsOutput(node.Output()):
			shape := shapes[node.Inputs[0]]
			name := node.Output()
			node.Outputs[0] = g.Fresh(name + "_settled")
			g.Initializers[name] = graph.NewInt64([]int64{int64(len(shape))}, shape)
			n++
		case node.Op == "Gather" && !g.IsOutput(node.Output()):
			n += settleGather(g, node, shapes)
		case node.Op == "Resize" && len(node.Inputs) == 4 && m.Opset() >= 13:
			n += settleResize(g, node, shapes[node.Inputs[0]], shapes[node.Output()])
		}
	}
	return n
}

// settleGather takes sizes out of a shape of which others may follow the batch.
func settleGather(g *graph.Graph, n *graph.Node, shapes map[string][]int64) int {
	from, index := g.Producer(n.Inputs[0]), g.Const(n.Input(1))
	if from == nil || from.Op != "Shape" || len(from.Attrs) > 0 || n.Int("axis", 0) != 0 || index == nil {
		return 0
	}
	shape := shapes[from.Inputs[0]]
	places, err := index.Int64s()
	if err != nil {
		return 0
	}
	for i, at := range places {
		if at < 0 {
			at += int64(len(shape))
		}
		if at < 0 || at >= int64(len(shape)) || shape[at] < 0 {
			return 0
		}
		places[i] = shape[at]
	}
	name := n.Output()
	n.Outputs[0] = g.Fresh(name + "_settled")
	g.Initializers[name] = graph.NewInt64(index.Shape, places)
	return 1
}

// settleResize goes by whole factors only: others round.
func settleResize(g *graph.Graph, n *graph.Node, from, to []int64) int {
	if !fixed(from) || !fixed(to) || len(from) != len(to) || n.Attrs["axes"].Ints != nil || n.Attrs["keep_aspect_ratio_policy"].Text != "" {
		return 0
	}
	factors := make([]float32, len(from))
	for i := range from {
		if from[i] == 0 || to[i]%from[i] != 0 {
			return 0
		}
		factors[i] = float32(to[i] / from[i])
	}
	name := g.Fresh(n.Output() + "_scales")
	g.Initializers[name] = graph.NewFloat([]int64{int64(len(factors))}, factors)
	n.Inputs = []string{n.Inputs[0], n.Inputs[1], name}
	return 1
}
