package onnx

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/sightline/sightline/models"
	"github.com/sightline/sightline/models/graph"
)

const tiny = "../testdata/tiny.onnx"

// testDevice is what tests and benchmarks run networks on; "" is the processor.
var testDevice = os.Getenv("SIGHTLINE_TEST_DEVICE")

func tinyOptions(batch int64) Options {
	return Options{
		Model: tiny, Input: Tensor{"images", []int64{batch, 3, 192, 192}}, Outputs: []Tensor{{"output0", []int64{batch, 756, 8}}},
	}
}

func openTiny(t testing.TB, batch int64) *Session {
	t.Helper()
	s, err := Open(tinyOptions(batch))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// fill puts different pictures into the items of a batch.
func fill(b *Binding, batch int) {
	size := (len(b.Input()) + len(b.Levels())) / batch
	for i := range b.Input() {
		b.Input()[i] = float32((i%size*7 + i/size*31) % 256)
	}
	for i := range b.Levels() {
		b.Levels()[i] = uint8(i%size*7 + i/size*31)
	}
}

func TestPartOfABatchGivesWhatEachAloneGives(t *testing.T) {
	const batch = 4
	all := openTiny(t, batch)
	fill(all.Binding, batch)
	if err := all.Run(batch); err != nil {
		t.Fatal(err)
	}
	want := slices.Clone(all.Outputs()[0])
	size := len(want) / batch
	for n := 1; n < batch; n++ {
		clear(all.Outputs()[0])
		if err := all.Run(n); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(all.Outputs()[0][:n*size], want[:n*size]) {
			t.Errorf("the first %d of %d differ", n, batch)
		}
		if slices.ContainsFunc(all.Outputs()[0][n*size:], func(v float32) bool { return v != 0 }) {
			t.Errorf("a batch of %d wrote more", n)
		}
	}
	for _, n := range []int{0, -1, batch + 1} {
		if err := all.Run(n); err == nil || !strings.Contains(err.Error(), "must be 1 to 4") {
			t.Errorf("a batch of %d: %v", n, err)
		}
	}
}

func TestRunAllocatesNothing(t *testing.T) {
	const batch = 3
	s := openTiny(t, batch)
	fill(s.Binding, batch)
	n := 0
	if made := testing.AllocsPerRun(30, func() {
		if err := s.Run(n%batch + 1); err != nil {
			t.Error(err)
		}
		n++
	}); made > 0 {
		t.Errorf("%v allocations", made)
	}
}

// BenchmarkRun has the int8 model also as onnxruntime runs it alone.
func BenchmarkRun(b *testing.B) {
	const nano, int8Nano = "../../../shared/data/models/yolox_nano.onnx", "../../models/yolox-nano-int8.onnx"
	for _, c := range []struct {
		name, path string
		plain      bool
	}{{"tiny", tiny, false}, {"yolox_nano", nano, false}, {"yolox-nano-int8", int8Nano, false}, {"yolox-nano-int8/plain", int8Nano, true}} {
		b.Run(c.name, func(b *testing.B) {
			if _, err := os.Stat(c.path); err != nil {
				b.Skip("shared/data is not here: ", err)
			}
			s := openBundle(b, c.path, c.plain)
			fill(s.Binding, 1)
			b.ReportAllocs()
			for b.Loop() {
				if err := s.Run(1); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func openBundle(b *testing.B, path string, plain bool) *Session {
	b.Helper()
	spec, err := models.Load(path)
	if err != nil {
		b.Fatal(err)
	}
	o := Options{Model: path, Input: Tensor{spec.Input, spec.InputShape(1)}, Plain: plain, Unit: spec.Layout.Scale}
	for _, out := range spec.Outputs(1) {
		o.Outputs = append(o.Outputs, Tensor(out))
	}
	s, err := Open(o)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close() })
	return s
}

// TestOneSessionTakesSeveralSizes: float and int8 with operators of our own, each size as a network of that size alone gives it.
func TestOneSessionTakesSeveralSizes(t *testing.T) {
	for _, path := range []string{"../testdata/tiny_grid.onnx", "../../models/yolox-nano-int8.onnx"} {
		spec, err := models.Load(path)
		if err != nil {
			t.Fatal(err)
		}
		s := openSized(t, spec, true)
		for _, side := range [][2]int{{spec.Width, spec.Height}, {256, 160}, {448, 320}, {256, 160}} {
			sized := spec.Resized(side[0], side[1])
			b, err := s.Bind(Tensor{sized.Input, sized.InputShape(1)}, tensorsOf(sized))
			if err != nil {
				t.Fatal(err)
			}
			fill(b, 1)
			if err := b.Run(1); err != nil {
				t.Fatalf("%s at %v: %v", path, side, err)
			}
			want := alone(t, path, sized)
			for i, got := range b.Outputs() {
				if !slices.Equal(got, want[i]) {
					t.Errorf("%s at %v: output %d is not that of the network alone", path, side, i)
				}
			}
		}
	}
}

// alone runs a network that was made for one size.
func alone(t *testing.T, path string, spec models.Spec) [][]float32 {
	t.Helper()
	m, err := graph.Read(path)
	if err != nil {
		t.Fatal(err)
	}
	freeSize(m)
	m.Graph.Inputs[0].Shape = spec.InputShape(1)
	spec.Path = filepath.Join(t.TempDir(), "alone.onnx")
	data, err := m.Marshal()
	if err == nil {
		err = os.WriteFile(spec.Path, data, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	s := openSized(t, spec, false)
	fill(s.Binding, 1)
	return answers(t, s, 1)
}

func tensorsOf(spec models.Spec) (all []Tensor) {
	for _, out := range spec.Outputs(1) {
		all = append(all, Tensor(out))
	}
	return all
}

func openSized(t testing.TB, spec models.Spec, any bool) *Session {
	t.Helper()
	s, err := Open(Options{Model: spec.Path, Input: Tensor{spec.Input, spec.InputShape(1)}, Outputs: tensorsOf(spec), AnySize: any, Unit: spec.Layout.Scale})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestAnotherSizeIsRefusedWhereTheNetworkIsBoundToOne(t *testing.T) {
	s := openTiny(t, 1)
	b, err := s.Bind(Tensor{"images", []int64{1, 3, 96, 96}}, []Tensor{{"output0", []int64{1, 189, 8}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Run(1); err == nil {
		t.Error("a network of 192x192 ran at 96x96")
	}
}

// TestSessionsOpenSideBySide: those with operators of our own, where the first one must be alone.
func TestSessionsOpenSideBySide(t *testing.T) {
	spec, err := models.Load("../../models/yolox-nano-int8.onnx")
	if err != nil {
		t.Fatal(err)
	}
	var opening errgroup.Group
	for range 4 {
		opening.Go(func() error {
			s, err := Open(Options{Model: spec.Path, Input: Tensor{spec.Input, spec.InputShape(1)}, Outputs: tensorsOf(spec), Unit: spec.Layout.Scale})
			if err != nil {
				return err
			}
			return s.Close()
		})
	}
	if err := opening.Wait(); err != nil {
		t.Error(err)
	}
}

func TestAllWaitUntilOneHasSucceeded(t *testing.T) {
	var f firstAlone
	var all errgroup.Group
	var inside, calls, succeeded atomic.Int32
	for range 16 {
		all.Go(func() error {
			return f.create(func() error {
				if inside.Add(1) > 1 && succeeded.Load() == 0 {
					t.Error("two at once before one has succeeded")
				}
				defer inside.Add(-1)
				runtime.Gosched()
				if calls.Add(1) < 4 {
					return errors.New("refused")
				}
				succeeded.Add(1)
				return nil
			})
		})
	}
	if all.Wait() == nil || succeeded.Load() != 13 {
		t.Errorf("%d have succeeded, want 13", succeeded.Load())
	}
}
