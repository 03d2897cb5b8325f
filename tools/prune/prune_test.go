package prune

import (
	"bytes"
	"context"
	"image"
	"image/color"
	"image/png"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sightline/sightline/detect/onnx"
	"github.com/sightline/sightline/models"
	"github.com/sightline/sightline/models/graph"
	"github.com/sightline/sightline/tools/calibrate"
	"github.com/sightline/sightline/tools/onnxgraph"
)

const side = 32

var spec = models.Spec{Family: models.YOLOX, Width: side, Height: side, Layout: models.YOLOX.Layout()}

// network is three convolutions, one of them depthwise with stride 2, with SiLUs between them.
func network() *graph.Model {
	random := rand.New(rand.NewPCG(1, 2))
	m := &graph.Model{IRVersion: 7, Opsets: map[string]int64{"": 13}, Graph: &graph.Graph{
		Inputs:       []graph.Value{{Name: "x", Type: graph.Float, Shape: []int64{1, 3, side, side}}},
		Outputs:      []graph.Value{{Name: "y", Type: graph.Float}},
		Initializers: map[string]*graph.Tensor{}, Values: map[string]graph.Value{},
	}}
	g := m.Graph
	conv := func(name, from, to string, group, stride int64, shape ...int64) {
		v := make([]float32, shape[0]*shape[1]*shape[2]*shape[3])
		for i := range v {
			v[i] = float32(random.NormFloat64()) / float32(math.Sqrt(float64(shape[1]*shape[2]*shape[3])))
		}
		g.Initializers[name+"_w"] = graph.NewFloat(shape, v)
		g.Initializers[name+"_b"] = graph.NewFloat(shape[:1], v[:shape[0]])
		pad := shape[2] / 2
		g.Nodes = append(g.Nodes, &graph.Node{Op: "Conv", Inputs: []string{from, name + "_w", name + "_b"}, Outputs: []string{to},
			Attrs: map[string]graph.Attr{"pads": graph.IntsAttr(pad, pad, pad, pad), "strides": graph.IntsAttr(stride, stride), "group": graph.IntAttr(group)}})
	}
	silu := func(from, to string) {
		g.Nodes = append(g.Nodes, &graph.Node{Op: "Sigmoid", Inputs: []string{from}, Outputs: []string{from + "_s"}},
			&graph.Node{Op: "Mul", Inputs: []string{from, from + "_s"}, Outputs: []string{to}})
	}
	conv("a", "x", "a0", 1, 1, 24, 3, 3, 3)
	silu("a0", "a1")
	conv("b", "a1", "b0", 24, 2, 24, 1, 3, 3)
	silu("b0", "b1")
	conv("c", "b1", "y", 1, 1, 10, 24, 1, 1)
	return m
}

// pictures are smooth and like each other, as those of a camera are.
func pictures(t testing.TB, n int) *calibrate.Set {
	t.Helper()
	dir := t.TempDir()
	for i := range n {
		random := rand.New(rand.NewPCG(uint64(i), 3))
		a, b, c := random.Float64()*6, random.Float64()*6, random.Float64()*6
		pic := image.NewRGBA(image.Rect(0, 0, side, side))
		for y := range side {
			for x := range side {
				wave := func(p float64) uint8 { return uint8(127 + 120*math.Sin(p+float64(x)/5+float64(y)/7)) }
				pic.Set(x, y, color.RGBA{wave(a), wave(b), wave(c), 255})
			}
		}
		var data bytes.Buffer
		if err := png.Encode(&data, pic); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, string(rune('a'+i))+".png"), data.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	set, err := calibrate.Open(dir, spec, 0)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func prune(t testing.TB, o UnstructuredOptions) (*graph.Model, Report) {
	t.Helper()
	o.Threads = 1
	m, r, err := Unstructured(t.Context(), network(), o)
	if err != nil {
		t.Fatal(err)
	}
	return m, r
}

// distance is the squared difference of the outputs as a share of the whole network's squares.
func distance(t testing.TB, a, b *graph.Model, set *calibrate.Set) float64 {
	t.Helper()
	off, all := 0.0, 0.0
	err := set.Each(t.Context(), func(_ int, input []float32) error {
		var out [2]map[string]onnx.Array
		for i, m := range []*graph.Model{a, b} {
			s, err := onnxgraph.Open(m, nil, onnxgraph.RunOptions{})
			if err != nil {
				return err
			}
			defer s.Close()
			if out[i], err = s.Run(onnx.Array{Shape: []int64{1, 3, side, side}, Data: input}); err != nil {
				return err
			}
		}
		for i, v := range out[0]["y"].Data {
			d := float64(v - out[1]["y"].Data[i])
			off, all = off+d*d, all+float64(v)*float64(v)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return off / all
}

func TestShareIsMetExactly(t *testing.T) {
	for _, amount := range []float64{0, 0.1, 0.3, 0.5, 0.9} {
		for _, perLayer := range []bool{false, true} {
			m, r := prune(t, UnstructuredOptions{Amount: amount, PerLayer: perLayer})
			want := int64(math.Round(amount * float64(r.Weights)))
			if d := r.Zeros - want; d < -2 || d > 2 { // each layer rounds for itself
				t.Errorf("amount %g, layer by layer %v: %d zeros of %d, want %d", amount, perLayer, r.Zeros, r.Weights, want)
			}
			if _, _, zeros := onnxgraph.Weights(m); zeros != r.Zeros {
				t.Errorf("%d zeros are in the network, the report says %d", zeros, r.Zeros)
			}
		}
	}
}

func TestRepairMakesUpForWhatIsGone(t *testing.T) {
	set := pictures(t, 12)
	for _, amount := range []float64{0.3, 0.5} {
		plain, _ := prune(t, UnstructuredOptions{Amount: amount})
		repaired, r := prune(t, UnstructuredOptions{Amount: amount, Calibration: set})
		before, after := distance(t, network(), plain, set), distance(t, network(), repaired, set)
		if !r.Repaired || after > before/4 {
			t.Errorf("amount %g: off by %.5f without repair and by %.5f with it", amount, before, after)
		}
		if _, _, zeros := onnxgraph.Weights(repaired); zeros < r.Zeros {
			t.Errorf("repair filled %d zeros again", r.Zeros-zeros)
		}
	}
}

// TestHalfPrecisionStaysSo: a file whose numbers came from float16 is compressed to half, and repair must not undo that.
func TestHalfPrecisionStaysSo(t *testing.T) {
	m := network()
	for name, w := range m.Graph.Initializers {
		v, _ := w.Floats()
		toHalf(v)
		m.Graph.Initializers[name] = graph.NewFloat(w.Shape, v)
	}
	q, _, err := Unstructured(t.Context(), m, UnstructuredOptions{Amount: 0.3, Calibration: pictures(t, 4), Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a_w", "b_w", "c_w"} {
		if v, _ := q.Graph.Initializers[name].Floats(); !isHalf(v) {
			t.Errorf("%s has more digits than before", name)
		}
	}
	for from, want := range map[float32]float32{1: 1, 1.0001: 1, 1.0005: 1.0009766, -2: -2, 0: 0} {
		v := []float32{from}
		if toHalf(v); v[0] != want {
			t.Errorf("%g becomes %g, want %g", from, v[0], want)
		}
	}
}

func TestNothingRemovedIsTheSameNetwork(t *testing.T) {
	want, err := network().Marshal()
	if err != nil {
		t.Fatal(err)
	}
	m, _ := prune(t, UnstructuredOptions{Calibration: pictures(t, 3)})
	got, err := m.Marshal()
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("amount 0 changes the network, %v", err)
	}
}

func TestSameInputsGiveTheSameBytes(t *testing.T) {
	var made [2][]byte
	set := pictures(t, 4)
	for i := range made {
		m, _ := prune(t, UnstructuredOptions{Amount: 0.4, Calibration: set})
		var err error
		if made[i], err = m.Marshal(); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(made[0], made[1]) {
		t.Error("two runs gave two networks")
	}
}

func TestWhatCannotBePrunedIsRefused(t *testing.T) {
	broken := network()
	v, _ := broken.Graph.Initializers["a_w"].Floats()
	v[3] = float32(math.NaN())
	broken.Graph.Initializers["a_w"] = graph.NewFloat([]int64{24, 3, 3, 3}, v)
	plain := network()
	plain.Graph.Nodes = plain.Graph.Nodes[1:2]
	plain.Graph.Nodes[0].Inputs[0] = "x"
	plain.Graph.Outputs[0].Name = plain.Graph.Nodes[0].Output()
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for want, c := range map[string]struct {
		ctx context.Context
		m   *graph.Model
		o   UnstructuredOptions
	}{
		"amount 1":        {t.Context(), network(), UnstructuredOptions{Amount: 1}},
		"amount -0.1":     {t.Context(), network(), UnstructuredOptions{Amount: -0.1}},
		"amount NaN":      {t.Context(), network(), UnstructuredOptions{Amount: math.NaN()}},
		"broken":          {t.Context(), broken, UnstructuredOptions{Amount: 0.3}},
		"no convolutions": {t.Context(), plain, UnstructuredOptions{Amount: 0.3}},
		"canceled":        {cancelled, network(), UnstructuredOptions{Amount: 0.3, Calibration: pictures(t, 2)}},
	} {
		if m, _, err := Unstructured(c.ctx, c.m, c.o); err == nil || m != nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
