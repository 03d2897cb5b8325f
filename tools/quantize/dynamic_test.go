package quantize

import (
	"bytes"
	"math"
	"strings"
	"testing"

	"github.com/sightline/sightline/models/graph"
	"github.com/sightline/sightline/tools/judge"
	"github.com/sightline/sightline/tools/onnxgraph"
)

// withMatrices puts a Gemm and a MatMul behind the small network, and a convolution with few weights.
func withMatrices(seed uint64) *graph.Model {
	m := network(seed)
	g := m.Graph
	ramp := func(shape ...int64) *graph.Tensor {
		n := int64(1)
		for _, d := range shape {
			n *= d
		}
		v := make([]float32, n)
		for i := range v {
			v[i] = float32(math.Sin(float64(i)*1.7)) / 8
		}
		return graph.NewFloat(shape, v)
	}
	g.Initializers["k"], g.Initializers["kb"], g.Initializers["w"] = ramp(24, side), ramp(24), ramp(24, 10)
	g.Initializers["flat"] = graph.NewInt64([]int64{2}, []int64{-1, side})
	g.Initializers["few"] = ramp(8, 1, 3, 3)
	g.Nodes = append(g.Nodes,
		&graph.Node{Op: "Conv", Inputs: []string{"y", "few"}, Outputs: []string{"depthwise"}, Attrs: map[string]graph.Attr{
			"group": graph.IntAttr(8), "pads": graph.IntsAttr(1, 1, 1, 1)}},
		&graph.Node{Op: "Reshape", Inputs: []string{"depthwise", "flat"}, Outputs: []string{"rows"}},
		&graph.Node{Op: "Gemm", Inputs: []string{"rows", "k", "kb"}, Outputs: []string{"g"}, Attrs: map[string]graph.Attr{"transB": graph.IntAttr(1)}},
		&graph.Node{Op: "MatMul", Inputs: []string{"g", "w"}, Outputs: []string{"z"}})
	g.Outputs = append(g.Outputs, graph.Value{Name: "z", Type: graph.Float})
	return m
}

func TestDynamicGivesNearlyTheSameWithoutPictures(t *testing.T) {
	m := withMatrices(1)
	q, report, err := Dynamic(m, DynamicOptions{})
	if err != nil {
		t.Fatal(err)
	}
	// The MatMul has 24 weights behind a result, the depthwise convolution 9, the first convolution 27.
	if report.Layers != 6 || report.Int8Layers != 3 || report.Int8Weights < 0.7 {
		t.Errorf("report %+v", report)
	}
	j, err := judge.New(t.Context(), m, nil, calibration(t, pictures(t, 4, nil)), onnxgraph.RunOptions{}, judge.Rounding)
	if err != nil {
		t.Fatal(err)
	}
	if e, err := j.Error(q); err != nil || e > 0.001 || e == 0 {
		t.Errorf("error %g, %v", e, err)
	}
	for _, n := range q.Graph.Nodes {
		if n.Op == "ConvInteger" && q.Graph.Initializers[n.Inputs[1]].Type != graph.Uint8 {
			t.Error("ConvInteger has weights that the CPU does not take")
		}
	}
}

func TestDynamicGivesTheSameBytes(t *testing.T) {
	var made [2][]byte
	for i := range made {
		q, _, err := Dynamic(withMatrices(2), DynamicOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if made[i], err = q.Marshal(); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(made[0], made[1]) {
		t.Error("two runs gave two networks")
	}
}

func TestDynamicRefusesWhatItCannotDo(t *testing.T) {
	done, _, err := Dynamic(network(3), DynamicOptions{})
	if err != nil {
		t.Fatal(err)
	}
	broken := network(4)
	w := broken.Graph.Initializers["b_w"]
	v, _ := w.Floats()
	v[0] = float32(math.Inf(1))
	broken.Graph.Initializers["b_w"] = graph.NewFloat(w.Shape, v)
	plain := network(5)
	plain.Graph.Nodes = plain.Graph.Nodes[1:2]
	plain.Graph.Nodes[0].Inputs[0] = "x"
	plain.Graph.Outputs[0].Name = plain.Graph.Nodes[0].Output()
	for name, c := range map[string]struct {
		m      *graph.Model
		target string
		want   string
	}{
		"already":   {done, "", "quantised already"},
		"infinite":  {broken, "", "broken"},
		"no layers": {plain, "", "nothing to gain"},
		"target":    {network(6), "abacus", "abacus"},
	} {
		if q, _, err := Dynamic(c.m, DynamicOptions{Target: c.target}); err == nil || q != nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

// TestChannelsDoNotShareAScale: a channel a thousand times weaker than another keeps its levels.
func TestChannelsDoNotShareAScale(t *testing.T) {
	m := network(7)
	w := m.Graph.Initializers["d_w"]
	v, _ := w.Floats()
	for i := range 32 {
		v[i] /= 1000
	}
	m.Graph.Initializers["d_w"] = graph.NewFloat(w.Shape, v)
	q, _, err := Dynamic(m, DynamicOptions{})
	if err != nil {
		t.Fatal(err)
	}
	levels := map[uint8]bool{}
	for _, l := range q.Graph.Initializers["d_w_u8"].Data[:32] {
		levels[l] = true
	}
	if len(levels) < 16 {
		t.Errorf("%d levels are left of the weak channel", len(levels))
	}
}

// TestEveryOpsetIsQuantised: from the oldest to the newest that is taken, onnxruntime finds the same int8.
func TestEveryOpsetIsQuantised(t *testing.T) {
	set := calibration(t, pictures(t, 4, nil))
	for opset, ir := range map[int64]int64{11: 6, 13: 7, 17: 8, 21: 10, 23: 11} {
		m := network(1)
		m.Opsets[""], m.IRVersion = opset, ir
		if _, err := onnxgraph.Simplify(m, onnxgraph.RunOptions{}); err != nil {
			t.Fatal(err)
		}
		if _, report, err := Static(t.Context(), m, nil, spec, StaticOptions{Calibration: set, Threads: 1}); err != nil || report.Int8Convs < 2 {
			t.Errorf("opset %d: %d convolutions in int8, %v", opset, report.Int8Convs, err)
		}
		if _, report, err := Dynamic(m, DynamicOptions{}); err != nil || report.Int8Layers != 2 {
			t.Errorf("opset %d: %+v, %v", opset, report, err)
		}
	}
	for _, opset := range []int64{7, 10, 24} {
		m := network(1)
		m.Opsets[""] = opset
		if _, err := onnxgraph.Simplify(m, onnxgraph.RunOptions{}); err == nil {
			t.Errorf("opset %d is taken", opset)
		}
	}
}

// TestSensitivityNamesWhatStaysFloat: what the card keeps of a ranking.
func TestSensitivityNamesWhatStaysFloat(t *testing.T) {
	r := Report{Islands: []string{"a"}, Units: []Unit{{Tensor: "a", Error: 0.123456}, {Tensor: "b", Error: 1e-7}}}
	got := r.Sensitivity().Parts
	if len(got) != 2 || got[0] != (Part{"a", 0.123, true}) || got[1] != (Part{"b", 1e-7, false}) {
		t.Errorf("%+v", got)
	}
}
