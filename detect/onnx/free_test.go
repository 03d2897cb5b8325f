package onnx

import (
	"fmt"
	"math"
	"os"
	"slices"
	"testing"

	"github.com/sightline/sightline/models"
	"github.com/sightline/sightline/models/graph"
)

// openBatches opens a network that was made for one picture for batches of these sizes, as on devices that plan each shape anew.
func openBatches(t testing.TB, path string, sizes ...int) *Session {
	t.Helper()
	spec, err := models.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	most := sizes[len(sizes)-1]
	var outputs []Tensor
	for _, out := range spec.Outputs(most) {
		outputs = append(outputs, Tensor(out))
	}
	device, err := ParseDevice(testDevice)
	if err == nil {
		err = load("")
	}
	if err != nil {
		t.Fatal(err)
	}
	model, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	s := &Session{Binding: &Binding{}}
	t.Cleanup(func() { _ = s.Close() })
	if s.sessions, err = openEach(recipe{model: model, inputs: []string{spec.Input}, outputs: names(outputs), device: device, plain: true}, sizes); err != nil {
		t.Fatal(err)
	}
	if s.Binding, err = s.Bind(Tensor{spec.Input, spec.InputShape(most)}, outputs); err != nil {
		t.Fatal(err)
	}
	return s
}

// TestNetworksOfOnePictureTakeSeveral: each as the same network gives it alone, with and without the decode tail, whose Reshapes say one.
func TestNetworksOfOnePictureTakeSeveral(t *testing.T) {
	for _, path := range []string{"../../models/yolox-nano-int8.onnx", "../../../shared/data/models/yolox_nano.onnx", "../../../shared/data/models/yolov5n_fp32.onnx"} {
		if _, err := os.Stat(path); err != nil {
			t.Skip("shared/data is not here: ", err)
		}
		const batch = 3
		s := openBatches(t, path, 1, batch)
		size := len(s.Input()) / batch
		for i := range s.Input() {
			s.Input()[i] = float32((i%size*7 + i/size*31) % 200)
		}
		together := answers(t, s, batch)
		if two := answers(t, s, 2); !(apart(two[0][:len(two[0])/batch*2], together[0]) < sameNumbers) {
			t.Errorf("%s: two pictures have other numbers than the first of three", path)
		}
		for i := range batch {
			copy(s.Input(), s.Input()[i*size:][:size])
			for k, out := range answers(t, s, 1) {
				size := len(out) / batch
				if far := apart(out[:size], together[k][i*size:]); !(far < sameNumbers) {
					t.Errorf("%s: picture %d of %d has numbers by %.3g from those that it has alone", path, i, batch, far)
				}
			}
		}
	}
}

// answers are copies of the outputs of a batch.
func answers(t *testing.T, s *Session, n int) (all [][]float32) {
	t.Helper()
	if err := s.Run(n); err != nil {
		t.Fatal(err)
	}
	for _, out := range s.Outputs() {
		all = append(all, slices.Clone(out))
	}
	return all
}

// sameNumbers is how far apart numbers may be that a device computes in another order: int8 rounds what comes of it.
const sameNumbers = 0.15

// apart is how far numbers are from others, as a share of these.
func apart(a, b []float32) float64 {
	var far, size float64
	for i := range a {
		far += math.Abs(float64(a[i]) - float64(b[i]))
		size += math.Abs(float64(b[i]))
	}
	return far / size
}

func TestAReshapeThatIsChangedLeavesOthersTheirShape(t *testing.T) {
	m := &graph.Model{Graph: &graph.Graph{
		Inputs:       []graph.Value{{Name: "x", Type: graph.Float, Shape: []int64{1, 3, 4, 4}}},
		Initializers: map[string]*graph.Tensor{"shape": graph.NewInt64([]int64{2}, []int64{1, -1})},
		Nodes: []*graph.Node{
			{Op: "Reshape", Inputs: []string{"x", "shape"}, Outputs: []string{"y"}},
			{Op: "Reshape", Inputs: []string{"x", "shape"}, Outputs: []string{"z"}, Attrs: map[string]graph.Attr{"allowzero": graph.IntAttr(1)}},
		},
	}}
	setBatch(m, 4)
	first, second := m.Graph.Nodes[0].Input(1), m.Graph.Nodes[1].Input(1)
	freed, _ := m.Graph.Const(first).Int64s()
	kept, _ := m.Graph.Const(second).Int64s()
	if first == "shape" || freed[0] != 0 || freed[1] != -1 || second != "shape" || kept[0] != 1 || m.Graph.Inputs[0].Shape[0] != 4 {
		t.Errorf("%s %v, %s %v, %v", first, freed, second, kept, m.Graph.Inputs)
	}
}

// BenchmarkDevice runs batches of one size and of two in turn, as batches that are not full give them.
func BenchmarkDevice(b *testing.B) {
	for _, c := range []struct{ name, path string }{
		{"float", "../../../shared/data/models/yolox_nano.onnx"}, {"int8", "../../models/yolox-nano-int8.onnx"},
	} {
		if _, err := os.Stat(c.path); err != nil {
			b.Skip("shared/data is not here: ", err)
		}
		for _, batches := range [][]int{{1}, {4}, {8}, {16}, {32}, {8, 7, 1}} {
			b.Run(fmt.Sprint(c.name, "/batches=", batches), func(b *testing.B) {
				s := openBatches(b, c.path, slices.Compact([]int{1, batches[0]})...)
				for _, n := range batches {
					if err := s.Run(n); err != nil {
						b.Fatal(err)
					}
				}
				looks := 0
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					n := batches[i%len(batches)]
					if err := s.Run(n); err != nil {
						b.Fatal(err)
					}
					looks += n
				}
				b.ReportMetric(float64(looks)/b.Elapsed().Seconds(), "looks/s")
			})
		}
	}
}
