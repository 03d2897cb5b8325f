package onnx

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func graphOptions(t testing.TB) GraphOptions {
	t.Helper()
	model, err := os.ReadFile(tiny)
	if err != nil {
		t.Fatal(err)
	}
	return GraphOptions{Model: model, Inputs: []string{"images"}, Outputs: []string{"output0"}}
}

func openGraph(t testing.TB, o GraphOptions) *GraphSession {
	t.Helper()
	s, err := OpenGraph(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// picture is a batch of rectangles for the tiny network.
func picture(batch int) Array {
	a := Array{Shape: []int64{int64(batch), 3, side, side}, Data: make([]float32, batch*3*side*side)}
	for i := range batch {
		rectangles[i].paint(a.Data[i*3*side*side:][:3*side*side], "bgr", 255)
	}
	return a
}

// TestGraphsRunAsSessionsDo: at every level of optimisation, with any batch, bit by bit where the level is the session's.
func TestGraphsRunAsSessionsDo(t *testing.T) {
	session := openTiny(t, 2)
	in := picture(2)
	copy(session.Input(), in.Data)
	if err := session.Run(2); err != nil {
		t.Fatal(err)
	}
	want := session.Outputs()[0]
	for _, level := range []Optimisation{OptimiseAll, OptimiseExtended, OptimiseNothing} {
		o := graphOptions(t)
		o.Level = level
		s := openGraph(t, o)
		for batch := 1; batch <= 2; batch++ {
			out, err := s.Run(picture(batch))
			if err != nil {
				t.Fatal(err)
			}
			if len(out) != 1 || !slices.Equal(out[0].Shape, []int64{int64(batch), 756, 8}) || len(out[0].Data) != batch*756*8 {
				t.Fatalf("level %d: %d outputs, the first is %v", level, len(out), out[0].Shape)
			}
			if level == OptimiseAll && !sameBits(out[0].Data, want[:len(out[0].Data)]) {
				t.Error("it differs from a session's")
			}
			for i, v := range out[0].Data {
				if d := v - want[i]; d > 1e-3 || d < -1e-3 { // the logarithm of nothing differs from itself
					t.Fatalf("level %d: number %d is %v, want %v", level, i, v, want[i])
				}
			}
		}
	}
}

// TestArraysAreTheCallers: later runs and the end of the session do not change them.
func TestArraysAreTheCallers(t *testing.T) {
	s := openGraph(t, graphOptions(t))
	var kept, copies [][]float32
	for i := range 12 {
		in := picture(4)
		out, err := s.Run(Array{[]int64{1, 3, side, side}, in.Data[i%4*3*side*side:][:3*side*side]})
		if err != nil {
			t.Fatal(err)
		}
		kept, copies = append(kept, out[0].Data), append(copies, slices.Clone(out[0].Data))
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	for i := range kept {
		if !sameBits(kept[i], copies[i]) || !sameBits(kept[i], kept[i%4]) || i%4 > 0 && sameBits(kept[i], kept[0]) {
			t.Errorf("the result of run %d is another one now", i)
		}
	}
}

// TestLevelsOptimiseMoreOrLess: each level writes another network.
func TestLevelsOptimiseMoreOrLess(t *testing.T) {
	size := func(level Optimisation) int64 {
		o := graphOptions(t)
		o.Level, o.Optimised = level, filepath.Join(t.TempDir(), "optimised.onnx")
		openGraph(t, o)
		info, err := os.Stat(o.Optimised)
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	all, extended, nothing := size(OptimiseAll), size(OptimiseExtended), size(OptimiseNothing)
	if all == extended || extended == nothing || all == nothing {
		t.Errorf("%d bytes of all, %d extended, %d without", all, extended, nothing)
	}
}

func TestOptimisedNetworkIsWrittenAndRuns(t *testing.T) {
	o := graphOptions(t)
	o.Optimised = filepath.Join(t.TempDir(), "optimised.onnx")
	want, err := openGraph(t, o).Run(picture(1))
	if err != nil {
		t.Fatal(err)
	}
	model, err := os.ReadFile(o.Optimised)
	if err != nil || bytes.Equal(model, o.Model) {
		t.Fatalf("%v, or the network is as before", err)
	}
	got, err := openGraph(t, GraphOptions{Model: model, Inputs: o.Inputs, Outputs: o.Outputs, Level: OptimiseNothing}).Run(picture(1))
	if err != nil || !sameBits(got[0].Data, want[0].Data) {
		t.Errorf("%v, or the written network computes something else", err)
	}
}

func TestGraphsThatCannotRunAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*GraphOptions)
		want   string
	}{
		"empty":   {func(o *GraphOptions) { o.Model = nil }, ""},
		"half":    {func(o *GraphOptions) { o.Model = o.Model[:len(o.Model)/2] }, "parsing"},
		"library": {func(o *GraphOptions) { o.Library = "/nowhere/lib.so" }, "/nowhere/lib.so"},
		"nowhere": {func(o *GraphOptions) { o.Optimised = filepath.Join(t.TempDir(), "no", "folder.onnx") }, "folder.onnx"},
	} {
		o := graphOptions(t)
		c.change(&o)
		if s, err := OpenGraph(o); err == nil || s != nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	s := openGraph(t, graphOptions(t))
	for name, c := range map[string]struct {
		in   []Array
		want string
	}{
		"no input": {nil, "input"},
		"rank":     {[]Array{{[]int64{3, side, side}, make([]float32, 3*side*side)}}, "Invalid rank"},
		"size":     {[]Array{{[]int64{1, 3, 32, 32}, make([]float32, 3*32*32)}}, "Expected: 192"},
		"short":    {[]Array{{[]int64{1, 3, side, side}, make([]float32, 7)}}, "7"},
		"negative": {[]Array{{[]int64{1, -3, side, side}, make([]float32, 7)}}, "-3"},
		"nothing":  {[]Array{{}}, ""},
	} {
		if out, err := s.Run(c.in...); err == nil || !strings.HasPrefix(err.Error(), "run network: ") || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, %v, want %q", name, out, err, c.want)
		}
	}
	if _, err := s.Run(picture(1)); err != nil {
		t.Errorf("after all that: %v", err)
	}
}

func TestGraphIsClosedOnce(t *testing.T) {
	s := openGraph(t, graphOptions(t))
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err == nil || !strings.Contains(err.Error(), "closed already") {
		t.Errorf("twice: %v", err)
	}
	if _, err := s.Run(picture(1)); err == nil || !strings.Contains(err.Error(), "closed") {
		t.Errorf("run after close: %v", err)
	}
}
