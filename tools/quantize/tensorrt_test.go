package quantize

import (
	"bytes"
	"slices"
	"testing"

	"github.com/sightline/sightline/models/graph"
)

func TestTensorRTFormIsSymmetricAndOnlyBeforeConvolutions(t *testing.T) {
	var made [2][]byte
	dir := pictures(t, 8, nil)
	for i := range made {
		q, report, err := ForTensorRT(t.Context(), network(1), nil, spec, StaticOptions{Calibration: calibration(t, dir), Threads: 1})
		if err != nil {
			t.Fatal(err)
		}
		if report.Convs != 3 || report.Int8Convs < 2 || report.Int8MACs < 0.5 || report.Error > 0.01 || report.Error == 0 || len(report.Units) != 3 {
			t.Errorf("report %+v", report)
		}
		for _, n := range q.Graph.Nodes {
			checkSymmetric(t, q.Graph, n)
		}
		if made[i], err = q.Marshal(); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(made[0], made[1]) {
		t.Error("two runs gave two networks")
	}
}

func checkSymmetric(t *testing.T, g *graph.Graph, n *graph.Node) {
	t.Helper()
	switch n.Op {
	case "QuantizeLinear", "DequantizeLinear":
		zero := g.Const(n.Input(2))
		if zero == nil || zero.Type != graph.Int8 || slices.ContainsFunc(zero.Data, func(b byte) bool { return b != 0 }) {
			t.Errorf("%s has a zero point that is not 0 in int8", n.Name)
		}
		for _, reader := range g.Consumers(n.Output()) {
			if n.Op == "DequantizeLinear" && reader.Op != "Conv" {
				t.Errorf("%s reads rounded numbers", reader.Op)
			}
		}
	case "Conv":
		if bias := g.Const(n.Input(2)); bias == nil || bias.Type != graph.Float {
			t.Errorf("the bias of %s is not float", n.Output())
		}
	}
}

func TestSymmetricScaleClipsOutliers(t *testing.T) {
	h := &histogram{min: -100, max: 100}
	for i := range 100_000 {
		h.count([]float32{float32(i%200)/100 - 1})
	}
	for i := range h.counts {
		h.counts[i] *= 100
	}
	h.count([]float32{100})
	if s := h.symmetric(); s*127 > 20 || s*127 < 0.9 {
		t.Errorf("the range is %g for numbers up to 1 and one of 100", s*127)
	}
	if (&histogram{}).symmetric() <= 0 {
		t.Error("nothing but zeros has no scale")
	}
}
