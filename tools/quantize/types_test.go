package quantize

import (
	"testing"

	"github.com/sightline/sightline/models/graph"
	"github.com/sightline/sightline/tools/onnxgraph"
)

// TestSizesAreNotRounded: a Concat, a Mul and an Add that compute a shape stay as they are, in both modes.
func TestSizesAreNotRounded(t *testing.T) {
	m := network(1)
	g := m.Graph
	g.Inputs[0].Shape[0] = -1 // so that the shape cannot be computed beforehand
	g.Initializers["first"] = graph.NewInt64([]int64{1}, []int64{0})
	g.Initializers["one"] = graph.NewInt64([]int64{1}, []int64{1})
	g.Initializers["rest"] = graph.NewInt64([]int64{2}, []int64{8, -1})
	g.Nodes = append(g.Nodes,
		&graph.Node{Op: "Shape", Inputs: []string{"y"}, Outputs: []string{"shape"}},
		&graph.Node{Op: "Gather", Inputs: []string{"shape", "first"}, Outputs: []string{"batch"}},
		&graph.Node{Op: "Mul", Inputs: []string{"batch", "one"}, Outputs: []string{"same"}},
		&graph.Node{Op: "Concat", Inputs: []string{"same", "rest"}, Outputs: []string{"wanted"}, Attrs: map[string]graph.Attr{"axis": graph.IntAttr(0)}},
		&graph.Node{Op: "Reshape", Inputs: []string{"y", "wanted"}, Outputs: []string{"z"}})
	g.Outputs[0].Name = "z"
	if _, err := onnxgraph.Simplify(m, onnxgraph.RunOptions{}); err != nil {
		t.Fatal(err)
	}
	whole := wholeTensors(m.Graph)
	for name, want := range map[string]bool{"x": false, "y": false, "z": false, "shape": true, "batch": true, "same": true, "wanted": true, "rest": true} {
		if whole[name] != want {
			t.Errorf("%s: whole %v", name, whole[name])
		}
	}
	set := calibration(t, pictures(t, 4, nil))
	if _, report, err := Static(t.Context(), m, nil, spec, StaticOptions{Calibration: set, Threads: 1}); err != nil || report.Int8Convs < 2 {
		t.Errorf("static: %+v, %v", report, err)
	}
	if _, _, err := ForTensorRT(t.Context(), m, nil, spec, StaticOptions{Calibration: set, Threads: 1}); err != nil {
		t.Errorf("for TensorRT: %v", err)
	}
	if _, _, err := Dynamic(m, DynamicOptions{}); err != nil {
		t.Errorf("dynamic: %v", err)
	}
}
