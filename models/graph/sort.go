package graph

import (
	"errors"
	"fmt"
)

// Sort brings the nodes into topological order and otherwise leaves them where they are; some exporters do not.
func (m *Model) Sort() error {
	g := m.Graph
	x := g.Index()
	missing := make(map[*Node]int, len(g.Nodes)) // inputs that are not made yet
	for _, n := range g.Nodes {
		missing[n] = 0
	}
	waiting := map[string][]*Node{}
	for name, readers := range x.Consumers {
		if x.Producer[name] == nil {
			continue
		}
		waiting[name] = readers
		for _, n := range readers {
			missing[n]++
		}
	}
	sorted := make([]*Node, 0, len(g.Nodes))
	done := map[*Node]bool{}
	ready := func(n *Node) {
		if done[n] || missing[n] > 0 {
			return
		}
		done[n] = true
		sorted = append(sorted, n)
		for _, name := range n.Outputs {
			for _, reader := range waiting[name] {
				missing[reader]--
			}
		}
	}
	for len(sorted) < len(g.Nodes) {
		before := len(sorted)
		for _, n := range g.Nodes {
			ready(n)
		}
		if len(sorted) == before {
			return cycle(g, done)
		}
	}
	g.Nodes = sorted
	return nil
}

func cycle(g *Graph, done map[*Node]bool) error {
	for _, n := range g.Nodes {
		if !done[n] {
			return fmt.Errorf("node %.60q (%.40s) depends on itself: the file is broken, export the model again", n.Name, n.Op)
		}
	}
	return errors.New("the graph has a circle")
}
