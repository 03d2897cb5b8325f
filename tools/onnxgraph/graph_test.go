package onnxgraph

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sightline/sightline/detect/onnx"
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

func read(t testing.TB, path string) *Model {
	t.Helper()
	m, err := Read(path)
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
func focusModel() *Model {
	m := &Model{IRVersion: 7, Opsets: map[string]int64{"": 11}, Graph: newGraph()}
	g := m.Graph
	g.Inputs = []Value{{"x", Float, []int64{1, 3, 8, 8}}}
	g.Outputs = []Value{{"y", Float, []int64{1, 5, 4, 4}}}
	one := func(name string, v int64) { g.Initializers[name] = NewInt64([]int64{1}, []int64{v}) }
	one("zero", 0)
	one("one", 1)
	one("two", 2)
	one("three", 3)
	one("end", math.MaxInt64)
	var parts []string
	for _, at := range [][2]string{{"zero", "zero"}, {"one", "zero"}, {"zero", "one"}, {"one", "one"}} {
		rows, part := "rows_"+at[0]+at[1], "part_"+at[0]+at[1]
		g.Nodes = append(g.Nodes,
			&Node{Op: "Slice", Inputs: []string{"x", at[0], "end", "two", "two"}, Outputs: []string{rows}},
			&Node{Op: "Slice", Inputs: []string{rows, at[1], "end", "three", "two"}, Outputs: []string{part}})
		parts = append(parts, part)
	}
	g.Initializers["w"] = NewFloat([]int64{5, 12, 3, 3}, ramp(5*12*9))
	g.Initializers["b"] = NewFloat([]int64{5}, ramp(5))
	g.Nodes = append(g.Nodes,
		&Node{Op: "Concat", Inputs: parts, Outputs: []string{"f"}, Attrs: map[string]Attr{"axis": IntAttr(1)}},
		&Node{Op: "Conv", Inputs: []string{"f", "w", "b"}, Outputs: []string{"y"},
			Attrs: map[string]Attr{"pads": IntsAttr(1, 1, 1, 1), "kernel_shape": IntsAttr(3, 3), "strides": IntsAttr(1, 1)}})
	return m
}

func run(t testing.TB, m *Model, input onnx.Array) map[string]onnx.Array {
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

func TestSameModelGivesTheSameBytes(t *testing.T) {
	for _, path := range []string{tiny, "../../detect/testdata/tiny_v5.onnx"} {
		m := read(t, path)
		first, err := m.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		again, err := Parse(first)
		if err != nil {
			t.Fatal(err)
		}
		second, err := again.Clone().Marshal()
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(first, second) {
			t.Errorf("%s: %d and %d bytes", path, len(first), len(second))
		}
		input := noise([]int64{1, 3, 192, 192}, 255)
		original, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		want, err := Parse(original)
		if err != nil {
			t.Fatal(err)
		}
		name := want.Graph.Outputs[0].Name
		if err := sameNumbers(run(t, want, input)[name].Data, run(t, again, input)[name].Data); err != nil {
			t.Error(err)
		}
	}
}

func TestDamagedFilesAreRefused(t *testing.T) {
	whole, err := os.ReadFile(tiny)
	if err != nil {
		t.Fatal(err)
	}
	for n := 0; n < len(whole); n += 97 {
		if m, err := Parse(whole[:n]); err == nil && m.Check() != nil {
			t.Errorf("%d of %d bytes give a model that is not sound", n, len(whole))
		}
	}
	for name, data := range map[string][]byte{
		"text": []byte("this is no network, but quite some text"), "empty": nil,
		"ten gigabytes": {0x3a, 0x80, 0x80, 0x80, 0x80, 0x28, 1}, // field 7 of 10 GiB
	} {
		if _, err := Parse(data); err == nil || !strings.Contains(err.Error(), "ONNX") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Read("nowhere.onnx"); err == nil || !strings.Contains(err.Error(), "nowhere.onnx") {
		t.Errorf("a missing file: %v", err)
	}
}

func TestUnsoundGraphsAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Graph)
		want   string
	}{
		"undefined": {func(g *Graph) { g.Nodes[0].Inputs[0] = "nobody" }, "nothing before it makes"},
		"twice":     {func(g *Graph) { g.Nodes[1].Outputs[0] = g.Nodes[0].Outputs[0] }, "made twice"},
		"no output": {func(g *Graph) { g.Outputs = nil }, "no outputs"},
		"lost":      {func(g *Graph) { g.Outputs[0].Name = "nobody" }, "made by nothing"},
	} {
		m := focusModel()
		c.change(m.Graph)
		if err := m.Check(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	circle := focusModel()
	circle.Graph.Nodes[0].Inputs[0] = "y"
	if err := circle.Sort(); err == nil || !strings.Contains(err.Error(), "depends on itself") {
		t.Errorf("a circle: %v", err)
	}
}

func TestSortMendsTheOrder(t *testing.T) {
	m := focusModel()
	g := m.Graph
	g.Nodes[0], g.Nodes[len(g.Nodes)-1] = g.Nodes[len(g.Nodes)-1], g.Nodes[0]
	if m.Check() == nil {
		t.Fatal("the order is not wrong")
	}
	if err := m.Sort(); err != nil {
		t.Fatal(err)
	}
	if err := m.Check(); err != nil {
		t.Error(err)
	}
}

func TestHalfPrecisionIsWidened(t *testing.T) {
	for bits, want := range map[uint16]float32{0: 0, 0x3c00: 1, 0xc000: -2, 0x3555: 0.33325195, 1: 5.9604645e-8, 0x7bff: 65504} {
		if got := halfToFloat(bits); got != want {
			t.Errorf("%#x is %g, want %g", bits, got, want)
		}
	}
	if !math.IsNaN(float64(halfToFloat(0x7e00))) || !math.IsInf(float64(halfToFloat(0x7c00)), 1) {
		t.Error("NaN or infinity is lost")
	}
}

// TestRealModelsAreSimplifiedExactly: the cut proves itself against the whole network.
func TestRealModelsAreSimplifiedExactly(t *testing.T) {
	for name, want := range map[string]struct {
		family        string
		outputs, kept int
	}{"yolox_nano.onnx": {YOLOX, 9, 346}, "yolov5n_fp32.onnx": {YOLOv5, 3, 204}, "yolov5n.onnx": {YOLOv5, 3, 204}} {
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
			if m.Opset() != 13 || len(before.Graph.Nodes) <= len(m.Graph.Nodes) {
				t.Errorf("opset %d, %d nodes of %d", m.Opset(), len(m.Graph.Nodes), len(before.Graph.Nodes))
			}
		})
	}
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

func FuzzParse(f *testing.F) {
	for _, path := range []string{tiny, "../../detect/testdata/tiny_v8.onnx"} {
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
		f.Add(data[:len(data)/3])
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := Parse(data)
		if err != nil {
			return
		}
		if _, err := m.Clone().Marshal(); err != nil {
			t.Errorf("was read but cannot be written: %v", err)
		}
	})
}
