package gradient

import (
	"github.com/sightline/sightline/models/graph"
	"github.com/sightline/sightline/tools/onnxgraph"
)

// Stakes tells how much the losses of a network depend on tensors inside. It belongs to one goroutine.
type Stakes struct{ net *Network }

// OpenStakes is for inputs of one shape and for tensors that nodes of the network make.
func OpenStakes(m *graph.Model, shape []int64, losses []Loss, tensors []string, o onnxgraph.RunOptions) (*Stakes, error) {
	watch := map[string]bool{}
	for _, name := range tensors {
		watch[name] = true
	}
	net, err := openWatching(m, shape, losses, map[string]bool{}, watch, o)
	return &Stakes{net}, err
}

// Add adds, for every channel of every tensor, the squares of its gradient at all places for one input.
func (s *Stakes) Add(input []float32, targets []Target, sums map[string][]float64) error {
	out, err := s.net.run(input, targets)
	if err != nil {
		return err
	}
	for i, name := range s.net.watched {
		squares := out[len(s.net.losses)+i].Data
		if sums[name] == nil {
			sums[name] = make([]float64, len(squares))
		}
		for c, v := range squares {
			sums[name][c] += float64(v)
		}
	}
	return nil
}

// Close frees the network.
func (s *Stakes) Close() error { return s.net.Close() }
