package graph

// HasSubgraph tells whether a node runs a graph of its own (If, Loop, Scan), which may read any tensor around it by name.
func (n *Node) HasSubgraph() bool {
	for _, a := range n.Attrs {
		if a.Kind == AttrGraph {
			return true
		}
	}
	return false
}

// reads lists what a node depends on: its inputs, and whatever its subgraphs name.
func (n *Node) reads() []string {
	if !n.HasSubgraph() {
		return n.Inputs
	}
	names := append([]string{}, n.Inputs...)
	for _, a := range n.Attrs {
		names = append(names, a.names(0)...)
	}
	return names
}

// maxDepth is more than any exporter nests.
const maxDepth = 8

// names lists every tensor that a subgraph reads, also those that it makes itself: too many do no harm. What cannot be read names
// nothing; onnxruntime refuses it.
func (a Attr) names(depth int) (names []string) {
	if a.Kind != AttrGraph || depth > maxDepth {
		return nil
	}
	inner := newGraph()
	if eachField(a.Graph, inner.field) != nil {
		return nil
	}
	for _, n := range inner.Nodes {
		names = append(names, n.Inputs...)
		for _, deeper := range n.Attrs {
			names = append(names, deeper.names(depth+1)...)
		}
	}
	for _, v := range inner.Outputs {
		names = append(names, v.Name)
	}
	return names
}
