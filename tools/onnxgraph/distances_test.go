package onnxgraph

import (
	"fmt"
	"log/slog"
	"math"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sightline/sightline/detect"
	"github.com/sightline/sightline/models"
	"github.com/sightline/sightline/models/graph"
	"github.com/sightline/sightline/pipeline/bus"
	"github.com/sightline/sightline/pipeline/picture"
)

const testBins, testClasses = 4, 3

// yolov8Model is a network of 64x64 that ends as YOLOv8 and YOLO11 do. joined: as older exporters write it, distances and classes of a
// grid in one tensor; corners: a tail that gives corners instead of middles.
func yolov8Model(classes int64, joined, corners bool) *graph.Model {
	b := newBuilder(1, 3, 64, 64)
	axis := func(n int64) map[string]graph.Attr { return map[string]graph.Attr{"axis": graph.IntAttr(n)} }
	var sides, scores, both []string
	var anchors, strides []float32
	for _, stride := range []int64{8, 16, 32} {
		name := func(s string) string { return fmt.Sprintf("%s%d", s, stride) }
		b.op("MaxPool", name("p"), map[string]graph.Attr{"kernel_shape": graph.IntsAttr(stride, stride), "strides": graph.IntsAttr(stride, stride)}, "x")
		w := 64 / stride
		b.conv(b.conv(name("p"), name("f"), 3, 8, 1), name("sides"), 8, 4*testBins, 1)
		b.conv(name("f"), name("scores"), 8, classes, 1)
		flat := func(from string, channels int64) string {
			if joined { // computes the batch, from a tensor whose numbers do not matter
				b.op("Shape", from+"_size", nil, name("f"))
				b.op("Gather", from+"_batch", nil, from+"_size", b.ints(from+"_first", 0))
				b.op("Concat", from+"_shape", axis(0), from+"_batch", b.ints(from+"_rest", channels, w*w))
				return b.op("Reshape", from+"_flat", nil, from, from+"_shape")
			}
			return b.op("Reshape", from+"_flat", nil, from, b.ints(from+"_shape", 1, channels, w*w))
		}
		if joined {
			b.op("Concat", name("both"), axis(1), name("sides"), name("scores"))
			both = append(both, flat(name("both"), 4*testBins+classes))
		} else {
			sides, scores = append(sides, flat(name("sides"), 4*testBins)), append(scores, flat(name("scores"), classes))
		}
	}
	for axis := range 2 {
		for _, stride := range []int{8, 16, 32} {
			w := 64 / stride
			for cell := range w * w {
				anchors = append(anchors, float32([]int{cell % w, cell / w}[axis])+0.5)
				if axis == 0 {
					strides = append(strides, float32(stride))
				}
			}
		}
	}
	if joined {
		b.op("Concat", "all", axis(2), both...)
		b.op("Slice", "sides", nil, "all", b.ints("s0", 0), b.ints("s1", 4*testBins), b.ints("sa", 1))
		b.op("Slice", "scores", nil, "all", "s1", b.ints("s2", 4*testBins+classes), "sa")
	} else {
		b.op("Concat", "sides", axis(2), sides...)
		b.op("Concat", "scores", axis(2), scores...)
	}
	cells := int64(len(strides))
	b.op("Reshape", "bins", nil, "sides", b.ints("four", 1, 4, testBins, cells))
	b.op("Transpose", "turned", map[string]graph.Attr{"perm": graph.IntsAttr(0, 2, 1, 3)}, "bins")
	b.op("Softmax", "soft", axis(1), "turned")
	b.op("Conv", "mean", nil, "soft", b.floats("weights", []int64{1, testBins, 1, 1}, 0, 1, 2, 3))
	b.op("Reshape", "distance", nil, "mean", b.ints("flat", 1, 4, cells))
	b.op("Split", "leftTop", axis(1), "distance", b.ints("two", 2, 2))
	b.g.Nodes[len(b.g.Nodes)-1].Outputs = []string{"leftTop", "rightBottom"}
	b.op("Sub", "low", nil, b.floats("anchors", []int64{1, 2, cells}, anchors...), "leftTop")
	b.op("Add", "high", nil, "anchors", "rightBottom")
	b.op("Add", "sum", nil, "low", "high")
	b.op("Div", "middle", nil, "sum", b.floats("half", nil, 2))
	b.op("Sub", "size", nil, "high", "low")
	pair := []string{"middle", "size"}
	if corners {
		pair = []string{"low", "high"}
	}
	b.op("Concat", "box", axis(1), pair...)
	b.op("Mul", "pixels", nil, "box", b.floats("strides", []int64{1, 1, cells}, strides...))
	b.op("Sigmoid", "probable", nil, "scores")
	b.op("Concat", "y", axis(1), "pixels", "probable")
	return b.gives("y")
}

// TestTailOfYOLOv8IsCut: in both forms, also where the channels of classes and of distances are as many.
func TestTailOfYOLOv8IsCut(t *testing.T) {
	for _, classes := range []int64{testClasses, 4 * testBins} {
		for _, joined := range []bool{false, true} {
			m := yolov8Model(classes, joined, false)
			head, err := CutTail(m, RunOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if head.Family != YOLOv8 || len(head.Levels) != 3 || len(m.Graph.Outputs) != 6 {
				t.Errorf("head %+v", head)
			}
			for i, stride := range []int{8, 16, 32} {
				l := head.Levels[i]
				if l.Stride != stride || l.Bins != testBins || l.Outputs[0] != fmt.Sprintf("sides%d", stride) || l.Outputs[1] != fmt.Sprintf("scores%d", stride) {
					t.Errorf("level %+v", l)
				}
			}
		}
	}
}

func TestTailThatGivesCornersStays(t *testing.T) {
	m := yolov8Model(testClasses, false, true)
	nodes := len(m.Graph.Nodes)
	if _, err := CutTail(m, RunOptions{}); !isTail(err) || len(m.Graph.Nodes) != nodes {
		t.Errorf("%v", err)
	}
}

// detected writes a model with its card inside and gives what a detector finds with it.
func detected(t *testing.T, m *graph.Model, head []models.Level) []bus.Object {
	t.Helper()
	fill := uint8(114)
	card := models.Card{
		Schema: models.CardSchema, Family: models.YOLOv8, Head: head, Labels: []string{"a", "b", "c"}, Licence: "Apache-2.0", Command: "none",
		Input:  models.CardInput{Width: 64, Height: 64, Channels: "rgb", Range: 1, Place: "centre", Fill: &fill},
		Origin: models.CardOrigin{URL: "file:none", SHA256: strings.Repeat("0", 64)},
	}
	inside, err := card.Marshal(true)
	if err != nil {
		t.Fatal(err)
	}
	m.Metadata = map[string]string{models.MetadataKey: string(inside)}
	path := filepath.Join(t.TempDir(), "m.onnx")
	if err := m.Write(path); err != nil {
		t.Fatal(err)
	}
	e, err := detect.Open(detect.Config{Model: path, Score: 0.4, Workers: 1}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	pic := picture.New(96, 64)
	for _, plane := range [][]byte{pic.Y, pic.U, pic.V} {
		for i := range plane {
			plane[i] = byte(128 + 100*math.Sin(float64(i)*0.37))
		}
	}
	r, err := e.Detect(t.Context(), detect.Look{Picture: pic})
	if err != nil {
		t.Fatal(err)
	}
	return r.Objects
}

// TestDetectorFindsTheSameWithoutTheTail: from the picture to the objects.
func TestDetectorFindsTheSameWithoutTheTail(t *testing.T) {
	whole := yolov8Model(testClasses, true, false)
	whole.Graph.Outputs[0].Shape = []int64{1, 4 + testClasses, 84}
	cut := whole.Clone()
	s, err := Simplify(cut, RunOptions{})
	if err != nil || s.Head == nil {
		t.Fatalf("%+v, %v", s, err)
	}
	var head []models.Level
	for _, l := range s.Head.Levels {
		head = append(head, models.Level(l))
	}
	want, got := detected(t, whole, nil), detected(t, cut, head)
	if len(want) == 0 || len(want) != len(got) {
		t.Fatalf("%d objects of the whole, %d of the cut network", len(want), len(got))
	}
	for i, w := range want {
		for k := range w.Box {
			if d := math.Abs(float64(w.Box[k] - got[i].Box[k])); d > 0.1 || w.Label != got[i].Label {
				t.Errorf("object %d is %+v, want %+v", i, got[i], w)
			}
		}
	}
}
