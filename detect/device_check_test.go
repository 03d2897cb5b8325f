package detect

import (
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sightline/sightline/models"
	"github.com/sightline/sightline/models/graph"
)

// changedFile writes a network after a change to it.
func changedFile(t *testing.T, path string, change func(*graph.Graph)) string {
	t.Helper()
	m, err := graph.Read(path)
	if err != nil {
		t.Fatal(err)
	}
	change(m.Graph)
	changed := filepath.Join(t.TempDir(), "changed.onnx")
	if err := m.Write(changed); err != nil {
		t.Fatal(err)
	}
	return changed
}

// openChanged opens a lane of a network after a change to its file, and has it held against the file as it was.
func openChanged(t *testing.T, path string, batch int, change func(*graph.Graph)) *lane {
	t.Helper()
	changed := changedFile(t, path, change)
	spec, err := models.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	original := spec.Path
	spec.Path = changed
	l, err := openLane(Config{Model: changed, MaxBatch: batch}, spec, ownShape(spec), newHealth(silent))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.close)
	l.spec.Path = original
	return l
}

// TestADeviceIsHeldAgainstTheProcessor: the same network passes, one that computes other numbers does not, nor one that mixes the
// pictures of a batch.
func TestADeviceIsHeldAgainstTheProcessor(t *testing.T) {
	for _, path := range []string{filepath.Join("..", "models", "yolox-nano-int8.onnx"), filepath.Join("testdata", "tiny.onnx"), filepath.Join("testdata", "tiny_v8.onnx")} {
		if err := openChanged(t, path, 3, func(*graph.Graph) {}).holdAgainstProcessor(); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
	blind := func(g *graph.Graph) { // sees nothing
		g.Initializers["nothing"] = graph.NewFloat([]int64{1}, []float32{0})
		before(g, &graph.Node{Op: "Mul", Inputs: []string{g.Inputs[0].Name, "nothing"}})
	}
	for _, path := range []string{filepath.Join("..", "models", "yolox-nano-int8.onnx"), filepath.Join("testdata", "tiny.onnx")} {
		if err := openChanged(t, path, 1, blind).holdAgainstProcessor(); !errors.Is(err, errOtherNumbers) {
			t.Errorf("%s, blind: %v", path, err)
		}
	}
	if err := openChanged(t, filepath.Join("testdata", "tiny.onnx"), 3, mixing).holdAgainstProcessor(); !errors.Is(err, errTogether) {
		t.Errorf("a network that mixes: %v", err)
	}
}

// mixing has a network take the mean of all pictures for each.
func mixing(g *graph.Graph) {
	x := g.Inputs[0].Name
	before(g, &graph.Node{Op: "Sub", Inputs: []string{x, "far"}})
	g.Nodes = append([]*graph.Node{
		{Op: "ReduceMean", Inputs: []string{x}, Outputs: []string{"mean"}, Attrs: map[string]graph.Attr{"axes": graph.IntsAttr(0), "keepdims": graph.IntAttr(1)}},
		{Op: "Sub", Inputs: []string{x, "mean"}, Outputs: []string{"far"}},
	}, g.Nodes...)
}

// TestPicturesThatWouldBeMixedGoOneByOne, with a warning.
func TestPicturesThatWouldBeMixedGoOneByOne(t *testing.T) {
	var log strings.Builder
	cfg := Config{Model: changedFile(t, filepath.Join("testdata", "tiny.onnx"), mixing), Workers: 2, MaxBatch: 3, MaxQueueDelay: time.Second, held: true}
	e, err := Open(cfg, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	if !strings.Contains(log.String(), "one by one") || !strings.Contains(log.String(), "max_batch_size=1") {
		t.Errorf("the log: %s", &log)
	}
	var wait sync.WaitGroup
	for i := range 6 {
		wait.Go(func() {
			b := block{i % 3, 30 + 5*i, 40, 80, 70}
			r, err := e.Detect(t.Context(), Look{Picture: paint(192, 192, b)})
			if err != nil || len(r.Objects) != 1 || r.Objects[0].ClassID != b.class {
				t.Errorf("%+v: %+v, %v", b, r.Objects, err)
			}
		})
	}
	wait.Wait()
}

// before has the network read what a node makes of its input, instead of that.
func before(g *graph.Graph, n *graph.Node) {
	input := g.Inputs[0].Name
	n.Outputs = []string{"changed"}
	for _, reader := range g.Consumers(input) {
		for i, name := range reader.Inputs {
			if name == input {
				reader.Inputs[i] = n.Outputs[0]
			}
		}
	}
	g.Nodes = append([]*graph.Node{n}, g.Nodes...)
}
