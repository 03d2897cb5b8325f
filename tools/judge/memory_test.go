package judge

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/sightline/sightline/detect/onnx"
	"github.com/sightline/sightline/tools/onnxgraph"
)

// noisy are outputs of one level of 12 by 16 cells, of which few see anything.
func noisy(seed uint64, family string) (onnxgraph.Level, map[string]onnx.Array) {
	random := rand.New(rand.NewPCG(seed, 1))
	field := func(n int, mean float64) []float32 {
		v := make([]float32, n*192)
		for i := range v {
			v[i] = float32(mean + 3*random.NormFloat64())
		}
		return v
	}
	shape := func(n int64) []int64 { return []int64{1, n, 12, 16} }
	if family == onnxgraph.YOLOX {
		return onnxgraph.Level{Stride: 8, Outputs: []string{"b", "o", "c"}}, map[string]onnx.Array{
			"b": {Shape: shape(4), Data: field(4, 0)}, "o": {Shape: shape(1), Data: field(1, -7)}, "c": {Shape: shape(3), Data: field(3, -4)},
		}
	}
	data := append(append(field(4, 0), field(1, -7)...), field(3, -4)...)
	return onnxgraph.Level{Stride: 8, Anchors: [][2]float32{{16, 16}}, Outputs: []string{"b"}}, map[string]onnx.Array{"b": {Shape: shape(8), Data: data}}
}

// TestWhatIsRememberedIsWhatCounts: the errors are those against all that the original said, and pictures are not mixed up.
func TestWhatIsRememberedIsWhatCounts(t *testing.T) {
	for _, family := range []string{onnxgraph.YOLOX, onnxgraph.YOLOv5} {
		l, _ := noisy(0, family)
		m := newMemory(&onnxgraph.Head{Family: family, Levels: []onnxgraph.Level{l}})
		for seed := range uint64(3) {
			_, out := noisy(seed, family)
			m.add(out)
		}
		for _, seed := range []uint64{2, 0, 1} {
			_, want := noisy(seed, family)
			_, got := noisy(seed+10, family)
			var all, kept, rounding, roundingKept sums
			all.level(cellsOf(l, want), cellsOf(l, got))
			kept.level(cellsOf(l, m.of(int(seed))), cellsOf(l, got))
			rounding.rounding(l, want, got)
			roundingKept.rounding(l, m.of(int(seed)), got)
			if math.Abs(all.off/all.weight-kept.off/kept.weight) > 0.02*all.off/all.weight || all.weight == 0 {
				t.Errorf("%s: error %g of detections, want %g", family, kept.off/kept.weight, all.off/all.weight)
			}
			if rounding != roundingKept {
				t.Errorf("%s: error of rounding %v, want %v", family, roundingKept, rounding)
			}
		}
	}
}

// TestOutputsOfUnknownHeadsAreKeptWhole: nothing is known of what counts in them.
func TestOutputsOfUnknownHeadsAreKeptWhole(t *testing.T) {
	_, out := noisy(1, onnxgraph.YOLOX)
	for _, head := range []*onnxgraph.Head{nil, {Levels: []onnxgraph.Level{{Bins: 16, Outputs: []string{"b", "c"}}}}} {
		m := newMemory(head)
		m.add(out)
		for name, a := range m.of(0) {
			for i, v := range a.Data {
				if v != out[name].Data[i] {
					t.Fatalf("%s[%d] is %g, want %g", name, i, v, out[name].Data[i])
				}
			}
		}
	}
}
