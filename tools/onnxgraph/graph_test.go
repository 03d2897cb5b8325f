package onnxgraph

import (
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/sightline/sightline/detect/onnx"
	"github.com/sightline/sightline/models/graph"
)

const tiny = "../../detect/testdata/tiny.onnx"

// shared gives a real model, and skips the test where it is not there.
func shared(t testing.TB, name string) string {
	t.Helper()
	path := filepath.Join("..", "..", "..", "shared", "data", "models", name)
	if _, err := os.Stat(path); err != nil {
		t.Skip("shared/data is not here: " + path)
	}
	return path
}

func read(t testing.TB, path string) *graph.Model {
	t.Helper()
	m, err := graph.Read(path)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// ramp gives n numbers that differ.
func ramp(n int) []float32 {
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(math.Sin(float64(i)*1.7)) / 4
	}
	return v
}

// focusModel is a Focus stem over a picture of 8x8: four slices, a Concat, a convolution.
func focusModel() *graph.Model {
	m := &graph.Model{IRVersion: 7, Opsets: map[string]int64{"": 11}, Graph: &graph.Graph{Initializers: map[string]*graph.Tensor{}, Values: map[string]graph.Value{}}}
	g := m.Graph
	g.Inputs = []graph.Value{{Name: "x", Type: graph.Float, Shape: []int64{1, 3, 8, 8}}}
	g.Outputs = []graph.Value{{Name: "y", Type: graph.Float, Shape: []int64{1, 5, 4, 4}}}
	one := func(name string, v int64) { g.Initializers[name] = graph.NewInt64([]int64{1}, []int64{v}) }
	one("zero", 0)
	one("one", 1)
	one("two", 2)
	one("three", 3)
	one("end", math.MaxInt64)
	var parts []string
	for _, at := range [][2]string{{"zero", "zero"}, {"one", "zero"}, {"zero", "one"}, {"one", "one"}} {
		rows, part := "rows_"+at[0]+at[1], "part_"+at[0]+at[1]
		g.Nodes = append(g.Nodes,
			&graph.Node{Op: "Slice", Inputs: []string{"x", at[0], "end", "two", "two"}, Outputs: []string{rows}},
			&graph.Node{Op: "Slice", Inputs: []string{rows, at[1], "end", "three", "two"}, Outputs: []string{part}})
		parts = append(parts, part)
	}
	g.Initializers["w"] = graph.NewFloat([]int64{5, 12, 3, 3}, ramp(5*12*9))
	g.Initializers["b"] = graph.NewFloat([]int64{5}, ramp(5))
	g.Nodes = append(g.Nodes,
		&graph.Node{Op: "Concat", Inputs: parts, Outputs: []string{"f"}, Attrs: map[string]graph.Attr{"axis": graph.IntAttr(1)}},
		&graph.Node{Op: "Conv", Inputs: []string{"f", "w", "b"}, Outputs: []string{"y"},
			Attrs: map[string]graph.Attr{"pads": graph.IntsAttr(1, 1, 1, 1), "kernel_shape": graph.IntsAttr(3, 3), "strides": graph.IntsAttr(1, 1)}})
	return m
}

func run(t testing.TB, m *graph.Model, input onnx.Array) map[string]onnx.Array {
	t.Helper()
	out, err := runOnce(m, input, RunOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestFocusBecomesOneConvolutionThatGivesTheSame(t *testing.T) {
	before, after := focusModel(), focusModel()
	if n, err := FocusToConv(after); n != 1 || err != nil {
		t.Fatalf("rewrote %d, %v", n, err)
	}
	if len(after.Graph.Nodes) != 1 {
		t.Errorf("%d nodes are left, want the convolution", len(after.Graph.Nodes))
	}
	input := noise([]int64{1, 3, 8, 8}, 1)
	if err := sameNumbers(run(t, before, input)["y"].Data, run(t, after, input)["y"].Data); err != nil {
		t.Error(err)
	}
	again := after.Clone()
	if n, _ := FocusToConv(again); n != 0 {
		t.Error("found a Focus where there is none")
	}
}

// TestRealModelsAreSimplifiedExactly: the cut proves itself against the whole network.
func TestRealModelsAreSimplifiedExactly(t *testing.T) {
	for name, want := range map[string]struct {
		family        string
		outputs, kept int
	}{"yolox_nano.onnx": {YOLOX, 9, 346}, "yolov5n_fp32.onnx": {YOLOv5, 3, 199}, "yolov5n.onnx": {YOLOv5, 3, 199}} {
		t.Run(name, func(t *testing.T) {
			m := read(t, shared(t, name))
			before := m.Clone()
			s, err := Simplify(m, RunOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if s.Head == nil || s.Head.Family != want.family || len(m.Graph.Outputs) != want.outputs || len(m.Graph.Nodes) != want.kept {
				t.Errorf("head %+v, %d outputs, %d nodes", s.Head, len(m.Graph.Outputs), len(m.Graph.Nodes))
			}
			for i, stride := range []int{8, 16, 32} {
				if s.Head.Levels[i].Stride != stride {
					t.Errorf("level %d has stride %d", i, s.Head.Levels[i].Stride)
				}
			}
			sameHeads(t, before, m)
			if m.Opset() != 13 || len(before.Graph.Nodes) <= len(m.Graph.Nodes) {
				t.Errorf("opset %d, %d nodes of %d", m.Opset(), len(m.Graph.Nodes), len(before.Graph.Nodes))
			}
		})
	}
}

// sameHeads holds the outputs of a simplified model against the tensors of the original that they are.
func sameHeads(t *testing.T, before, after *graph.Model) {
	t.Helper()
	whole := before.Clone()
	if _, err := graph.ToFloat32(whole); err != nil {
		t.Fatal(err)
	}
	shape, err := before.InputShape()
	if err != nil {
		t.Fatal(err)
	}
	input := noise(shape, 1)
	got := run(t, after, input)
	for name, want := range run(t, withOutputs(whole, outputNames(after)), input) {
		if err := sameNumbers(want.Data, got[name].Data); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func outputNames(m *graph.Model) (names []string) {
	for _, v := range m.Graph.Outputs {
		names = append(names, v.Name)
	}
	return names
}

func TestTailOfAnotherFamilyStays(t *testing.T) {
	m := read(t, tiny) // whose outputs come of arithmetic
	nodes := len(m.Graph.Nodes)
	s, err := Simplify(m, RunOptions{})
	if err != nil || s.Head != nil {
		t.Fatalf("head %v, %v", s.Head, err)
	}
	if m.Check() != nil || len(m.Graph.Nodes) > nodes {
		t.Errorf("%d nodes of %d", len(m.Graph.Nodes), nodes)
	}
}

// TestWrittenModelRunsTheSame: what was read and written again computes the same.
func TestWrittenModelRunsTheSame(t *testing.T) {
	for _, path := range []string{tiny, "../../detect/testdata/tiny_v5.onnx"} {
		want := read(t, path)
		data, err := want.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		again, err := graph.Parse(data)
		if err != nil {
			t.Fatal(err)
		}
		input, name := noise([]int64{1, 3, 192, 192}, 255), want.Graph.Outputs[0].Name
		if err := sameNumbers(run(t, want, input)[name].Data, run(t, again, input)[name].Data); err != nil {
			t.Error(err)
		}
	}
}
