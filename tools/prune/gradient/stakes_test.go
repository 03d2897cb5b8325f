package gradient

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/sightline/sightline/detect/onnx"
	"github.com/sightline/sightline/tools/onnxgraph"
)

// TestStakesAreSquaresOfGradients: of an output the gradient is known, and each input adds its own.
func TestStakesAreSquaresOfGradients(t *testing.T) {
	shape := []int64{1, 3, side, side}
	s, err := OpenStakes(network(), shape, []Loss{{"y", false}}, []string{"y", "a"}, onnxgraph.RunOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	session, err := onnxgraph.Open(network(), []string{"y"}, onnxgraph.RunOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	r := rand.New(rand.NewPCG(3, 3))
	sums := map[string][]float64{}
	want := make([]float64, 4)
	for range 2 {
		input := random(r, 3*side*side)
		out, err := session.Run(onnx.Array{Shape: shape, Data: input})
		if err != nil {
			t.Fatal(err)
		}
		y := out["y"]
		target := Target{random(r, int64(len(y.Data))), random(r, int64(len(y.Data)))}
		for i, v := range y.Data {
			want[i*4/len(y.Data)] += math.Pow(float64(target.Weight[i]*(v-target.Want[i])), 2)
		}
		if err := s.Add(input, []Target{target}, sums); err != nil {
			t.Fatal(err)
		}
	}
	for c, v := range sums["y"] {
		if math.Abs(v-want[c]) > 1e-3*want[c] {
			t.Errorf("channel %d: %g is at stake, want %g", c, v, want[c])
		}
	}
	if len(sums["y"]) != 4 || len(sums["a"]) != 6 {
		t.Errorf("stakes of %d and %d channels, want 4 and 6", len(sums["y"]), len(sums["a"]))
	}
}
