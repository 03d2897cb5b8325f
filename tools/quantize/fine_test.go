package quantize

import (
	"math"
	"testing"

	"github.com/sightline/sightline/models/graph"
	"github.com/sightline/sightline/tools/judge"
	"github.com/sightline/sightline/tools/onnxgraph"
)

// scaled multiplies the kernel and the bias of one output channel of a convolution.
func scaled(t testing.TB, m *graph.Model, conv string, channel int, by float32) {
	t.Helper()
	for _, name := range []string{conv + "_w", conv + "_b"} {
		old := m.Graph.Initializers[name]
		v, err := old.Floats()
		if err != nil {
			t.Fatal(err)
		}
		each := len(v) / int(old.Shape[0])
		for i := channel * each; i < (channel+1)*each; i++ {
			v[i] *= by
		}
		m.Graph.Initializers[name] = graph.NewFloat(old.Shape, v)
	}
}

// TestChannelsOfOutputsHaveTheirOwnLevels: an output whose channels differ a thousand times keeps the small ones.
func TestChannelsOfOutputsHaveTheirOwnLevels(t *testing.T) {
	set := calibration(t, pictures(t, 6, nil))
	m := network(4)
	scaled(t, m, "d", 0, 1000)
	q, report, err := Static(t.Context(), m, nil, spec, StaticOptions{Calibration: set, Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	if report.Int8Convs < 2 {
		t.Fatalf("report %+v", report)
	}
	j, err := judge.New(t.Context(), m, nil, set, onnxgraph.RunOptions{}, judge.Rounding)
	if err != nil {
		t.Fatal(err)
	}
	s, err := onnxgraph.Open(q, nil, onnxgraph.RunOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close() //nolint:errcheck // frees memory
	got, err := s.Run(j.Inputs().At(0))
	if err != nil {
		t.Fatal(err)
	}
	whole, err := onnxgraph.Open(m, nil, onnxgraph.RunOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer whole.Close() //nolint:errcheck // frees memory
	original, err := whole.Run(j.Inputs().At(0))
	if err != nil {
		t.Fatal(err)
	}
	want, per := original["y"].Data, side*side
	for c := range 8 {
		off, all := 0.0, 0.0
		for i := c * per; i < (c+1)*per; i++ {
			d := float64(want[i] - got["y"].Data[i])
			off, all = off+d*d, all+float64(want[i])*float64(want[i])
		}
		if off > 0.02*all {
			t.Errorf("channel %d is off by a share of %.4f of its squares", c, off/all)
		}
	}
}

// uneven is a network whose first SiLU makes channels of very different ranges, all of which matter.
func uneven(t testing.TB) *graph.Model {
	t.Helper()
	m := network(5)
	g := m.Graph
	g.Nodes = g.Nodes[:6] // a, its SiLU, b, its SiLU
	g.Outputs[0].Name = "b1"
	scaled(t, m, "a", 0, 200)
	w, err := g.Initializers["b_w"].Floats()
	if err != nil {
		t.Fatal(err)
	}
	for i := range w {
		if i/9%16 == 0 {
			w[i] /= 200
		}
	}
	g.Initializers["b_w"] = graph.NewFloat(g.Initializers["b_w"].Shape, w)
	g.RemoveDead()
	return m
}

// TestUnevenChannelsStayInInt8: what one scale cannot hold, levels and factors by channel can.
func TestUnevenChannelsStayInInt8(t *testing.T) {
	set := calibration(t, pictures(t, 6, nil))
	m := uneven(t)
	q, report, err := Static(t.Context(), m, nil, spec, StaticOptions{Calibration: set, Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	if report.Int8Convs != 2 || report.Error > 0.01 {
		t.Errorf("report %+v, want both convolutions in int8 with little error", report)
	}
	fine := 0
	for _, u := range report.Units {
		if u.Fine {
			fine++
		}
	}
	if fine == 0 {
		t.Errorf("no part has levels by channel: %+v", report.Units)
	}
	if err := q.Check(); err != nil {
		t.Error(err)
	}
}

// TestFactorsAreUndone: kernels that take factors back give what they gave, dense and depthwise.
func TestFactorsAreUndone(t *testing.T) {
	factors := []float64{2, 0.5, 4, 1}
	for name, c := range map[string]struct {
		shape  []int64
		groups int
		want   func(i int) float64
	}{
		"dense":     {[]int64{2, 4, 1, 1}, 1, func(i int) float64 { return 1 / factors[i%4] }},
		"depthwise": {[]int64{4, 1, 1, 2}, 4, func(i int) float64 { return 1 / factors[i/2] }},
		"grouped":   {[]int64{4, 2, 1, 1}, 2, func(i int) float64 { return 1 / factors[i/4*2+i%2] }},
	} {
		v := make([]float32, 8)
		for i := range v {
			v[i] = 1
		}
		k, err := undo(graph.NewFloat(c.shape, v), c.groups, factors)
		if err != nil {
			t.Fatal(err)
		}
		got, err := k.Floats()
		if err != nil {
			t.Fatal(err)
		}
		for i := range got {
			if math.Abs(float64(got[i])-c.want(i)) > 1e-6 {
				t.Errorf("%s: %g at %d, want %g", name, got[i], i, c.want(i))
			}
		}
	}
}
