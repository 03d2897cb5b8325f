package onnxgraph

import (
	"fmt"
	"testing"

	"github.com/sightline/sightline/models/graph"
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
