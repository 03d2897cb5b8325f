package graph

import (
	"bytes"
	"math"
	"os"
	"strings"
	"testing"
)

const tiny = "../../detect/testdata/tiny.onnx"

func read(t testing.TB, path string) *Model {
	t.Helper()
	m, err := Read(path)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// chain is three operators, one after the other.
func chain() *Model {
	m := &Model{IRVersion: 7, Opsets: map[string]int64{"": 13}, Graph: newGraph()}
	g := m.Graph
	g.Inputs = []Value{{"x", Float, []int64{1, 3, 8, 8}}}
	g.Outputs = []Value{{"y", Float, []int64{1, 3, 8, 8}}}
	g.Nodes = []*Node{
		{Op: "Relu", Inputs: []string{"x"}, Outputs: []string{"a"}},
		{Op: "Sigmoid", Inputs: []string{"a"}, Outputs: []string{"b"}},
		{Op: "Mul", Inputs: []string{"a", "b"}, Outputs: []string{"y"}},
	}
	return m
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
		m := chain()
		c.change(m.Graph)
		if err := m.Check(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	circle := chain()
	circle.Graph.Nodes[0].Inputs[0] = "y"
	if err := circle.Sort(); err == nil || !strings.Contains(err.Error(), "depends on itself") {
		t.Errorf("a circle: %v", err)
	}
}

func TestSortMendsTheOrder(t *testing.T) {
	m := chain()
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
