package onnxgraph

import (
	"slices"
	"strings"
	"testing"

	"github.com/sightline/sightline/models/graph"
)

const tinyGrid = "../../detect/testdata/tiny_grid.onnx"

func withHead(t testing.TB, path string) (*graph.Model, *Head) {
	t.Helper()
	m := read(t, path)
	s, err := Simplify(m, RunOptions{})
	if err != nil || s.Head == nil {
		t.Fatalf("head %v, %v", s.Head, err)
	}
	return m, s.Head
}

func TestSizes(t *testing.T) {
	for text, want := range map[string]Size{"576": {576, 576}, "640x384": {640, 384}, "32": {32, 32}, "8192x32": {8192, 32}} {
		if got, err := ParseSize(text); got != want || err != nil {
			t.Errorf("%s is %v, %v", text, got, err)
		}
	}
	if s := (Size{640, 384}).String(); s != "640x384" {
		t.Error(s)
	}
	for text, want := range map[string]string{
		"": "no size", "big": "no size", "640x": "no size", "x384": "no size", "640×384": "no size", "-32": "no size", "640x384x3": "no size", "999999": "no size",
		"0": "multiples of 32", "600": "multiples of 32", "640x380": "multiples of 32", "8224": "up to 8192",
	} {
		if got, err := ParseSize(text); err == nil || got != (Size{}) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is %v, %v, want %q", text, got, err, want)
		}
	}
}

// TestNetworkLooksAtAnotherSize: grids follow, and where the same is seen, the same is said.
func TestNetworkLooksAtAnotherSize(t *testing.T) {
	for _, size := range []Size{{320, 192}, {96, 128}, {32, 32}} {
		m, head := withHead(t, tinyGrid)
		before := m.Clone()
		if err := SetInput(m, head, size, RunOptions{}); err != nil {
			t.Fatal(err)
		}
		if got := m.Graph.Inputs[0].Shape; !slices.Equal(got, []int64{1, 3, int64(size.Height), int64(size.Width)}) {
			t.Errorf("input %v, want %s", got, size)
		}
		if err := SetInput(m, head, Size{192, 192}, RunOptions{}); err != nil {
			t.Fatal(err)
		}
		want, got := run(t, before, noise([]int64{1, 3, 192, 192}, 255)), run(t, m, noise([]int64{1, 3, 192, 192}, 255))
		for name, a := range want {
			if err := sameNumbers(a.Data, got[name].Data); err != nil {
				t.Errorf("there and back, %s: %v", name, err)
			}
		}
	}
}

func TestResizeToASizeBecomesAFactor(t *testing.T) {
	m, head := withHead(t, tinyGrid)
	for _, n := range m.Graph.Nodes {
		if n.Op == "Resize" {
			m.Graph.Initializers["fixed"] = graph.NewInt64([]int64{4}, []int64{1, 8, 12, 12})
			n.Inputs = []string{n.Inputs[0], "", "", "fixed"}
		}
	}
	if err := SetInput(m, head, Size{320, 192}, RunOptions{}); err != nil {
		t.Fatal(err)
	}
	if m.Graph.Initializers["fixed"] != nil {
		t.Error("the fixed size is still there")
	}
}

func TestWhatIsBoundToASizeIsRefused(t *testing.T) {
	tail := read(t, tiny) // of no known family
	if _, err := Simplify(tail, RunOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := SetInput(tail, nil, Size{320, 192}, RunOptions{}); err == nil || !strings.Contains(err.Error(), "export it with 320x192") {
		t.Errorf("a tail: %v", err)
	}
	if err := SetInput(tail, nil, Size{192, 192}, RunOptions{}); err != nil {
		t.Errorf("the size that it has: %v", err)
	}
	bound, head := withHead(t, tinyGrid)
	bound.Graph.Initializers["place"] = graph.NewFloat([]int64{1, 8, 24, 24}, ramp(8*24*24))
	stem := bound.Graph.Producer("down8")
	bound.Graph.Replace("down8", "placed")
	bound.Graph.InsertAfter(stem, &graph.Node{Op: "Add", Inputs: []string{"down8", "place"}, Outputs: []string{"placed"}})
	data, err := bound.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	err = SetInput(bound, head, Size{320, 192}, RunOptions{})
	if err == nil || !strings.Contains(err.Error(), "bound to another size") || !strings.Contains(err.Error(), "export it") {
		t.Errorf("a constant for each place: %v", err)
	}
	if after, _ := bound.Marshal(); !slices.Equal(data, after) {
		t.Error("a refused size changed the network")
	}
}

func TestOpenSizesAreFixed(t *testing.T) {
	m := read(t, tinyGrid)
	m.Graph.Inputs[0].Shape = []int64{-1, 3, -1, 192}
	FixInput(m, Size{160, 96})
	if got := m.Graph.Inputs[0].Shape; !slices.Equal(got, []int64{-1, 3, 96, 192}) {
		t.Errorf("input %v", got)
	}
}

// TestCutNetworkIsTheSameEachTime: outputs too come in one order, the finest grid first.
func TestCutNetworkIsTheSameEachTime(t *testing.T) {
	for range 8 {
		m, head := withHead(t, tinyGrid)
		var names []string
		for _, v := range m.Graph.Outputs {
			names = append(names, v.Name)
		}
		if !slices.Equal(names, slices.Concat(head.Levels[0].Outputs, head.Levels[1].Outputs, head.Levels[2].Outputs)) || head.Levels[0].Stride != 8 {
			t.Fatalf("outputs %v of %+v", names, head)
		}
	}
}

// TestEveryFamilyTakesAnotherSize: a YOLOv8 too, whose cells lie in constants of its tail.
func TestEveryFamilyTakesAnotherSize(t *testing.T) {
	m := yolov8Model(testClasses, true, false)
	s, err := Simplify(m, RunOptions{})
	if err != nil || s.Head == nil {
		t.Fatalf("head %v, %v", s.Head, err)
	}
	if err := SetInput(m, s.Head, Size{96, 160}, RunOptions{}); err != nil {
		t.Fatal(err)
	}
	out := run(t, m, noise([]int64{1, 3, 160, 96}, 1))
	for _, l := range s.Head.Levels {
		if got := out[l.Outputs[0]].Shape; got[2] != int64(160/l.Stride) || got[3] != int64(96/l.Stride) {
			t.Errorf("stride %d: shape %v", l.Stride, got)
		}
	}
}
