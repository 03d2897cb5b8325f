package onnxgraph

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/sightline/sightline/models/graph"
)

// The families whose tails are known.
const (
	YOLOX  = "yolox"
	YOLOv5 = "yolov5"
	YOLOv8 = "yolov8" // YOLO11 too
)

// Head says what the outputs of a network are whose decode tail was cut off.
type Head struct {
	Family string
	Levels []Level // the finest first
}

// Level is one grid of the head. Outputs are logits of the last convolutions: for YOLOX box [N,4,h,w], objectness [N,1,h,w] and
// classes [N,nc,h,w]; for YOLOv5 one of [N, anchors*(5+nc), h, w]; for YOLOv8 distances [N, 4*bins, h, w] and classes [N,nc,h,w].
type Level struct {
	Stride  int
	Anchors [][2]float32 // YOLOv5: width and height, pixels of the input
	Bins    int          // YOLOv8: of the distribution of each distance from the cell's middle, in steps of the stride
	Outputs []string
}

// ErrTail is returned when a network does not end as any known family does.
var ErrTail = errors.New("the network's tail is of no known family (yolox, yolov5, yolov8)")

// CutTail makes the last convolutions the outputs of the model and removes all behind them. It proves itself: the head, decoded
// as its family is, must give what the whole network gives. The model is left alone on any error.
func CutTail(m *graph.Model, o RunOptions) (Head, error) {
	for _, read := range []func(*graph.Model) (Head, error){readYOLOX, readYOLOv5, readYOLOv8} {
		head, err := read(m)
		if errors.Is(err, ErrTail) {
			continue
		}
		if err != nil {
			return Head{}, err
		}
		cut := m.Clone()
		head.outputs(cut.Graph)
		cut.Graph.RemoveDead()
		head, err = proveCut(m, cut, head, o)
		if err != nil {
			return Head{}, err
		}
		head.outputs(cut.Graph) // in the order that proving found, the same each time
		*m = *cut
		return head, nil
	}
	return Head{}, ErrTail
}

// outputs makes the head's outputs those of the graph, level after level.
func (h *Head) outputs(g *graph.Graph) {
	g.Outputs = nil
	for _, l := range h.Levels {
		for _, name := range l.Outputs {
			g.Outputs = append(g.Outputs, graph.Value{Name: name, Type: graph.Float})
		}
	}
}

// lastConvs are the convolutions from which an output is reached without another one, those that only take a mean left out.
func lastConvs(g *graph.Graph) []*graph.Node {
	x := g.Index()
	var last []*graph.Node
	seen := map[string]bool{}
	var back func(name string)
	back = func(name string) {
		n := x.Producer[name]
		if seen[name] || n == nil || n.Op == "Shape" { // of a shape no numbers come
			return
		}
		seen[name] = true
		if n.Op == "Conv" && meanBins(g, n) == 0 {
			last = append(last, n)
			return
		}
		for _, in := range n.Inputs {
			back(in)
		}
	}
	for _, v := range g.Outputs {
		back(v.Name)
	}
	return last
}

// readYOLOX expects, for each level, Concat(box, Sigmoid(objectness), Sigmoid(classes)).
func readYOLOX(m *graph.Model) (Head, error) {
	x := m.Graph.Index()
	head := Head{Family: YOLOX}
	levels := map[*graph.Node]*Level{}
	for _, conv := range lastConvs(m.Graph) {
		name, next := conv.Output(), x.Consumers[conv.Output()]
		if len(next) == 1 && next[0].Op == "Sigmoid" {
			name = next[0].Output()
			next = x.Consumers[name]
		}
		if len(next) != 1 || next[0].Op != "Concat" || len(next[0].Inputs) != 3 {
			return head, ErrTail
		}
		l := levels[next[0]]
		if l == nil {
			l = &Level{Outputs: make([]string, 3)}
			levels[next[0]] = l
		}
		at := slices.Index(next[0].Inputs, name)
		if (at == 0) != (name == conv.Output()) {
			return head, ErrTail
		}
		l.Outputs[at] = conv.Output()
	}
	for _, l := range levels {
		if slices.Contains(l.Outputs, "") {
			return head, ErrTail
		}
		head.Levels = append(head.Levels, *l)
	}
	if len(head.Levels) == 0 {
		return head, ErrTail
	}
	return head, nil
}

// readYOLOv5 expects one convolution for each level, whose anchors are what is multiplied behind Pow.
func readYOLOv5(m *graph.Model) (Head, error) {
	head := Head{Family: YOLOv5}
	for _, conv := range lastConvs(m.Graph) {
		anchors, err := anchorsBehind(m.Graph, conv.Output())
		if err != nil {
			return head, err
		}
		head.Levels = append(head.Levels, Level{Anchors: anchors, Outputs: []string{conv.Output()}})
	}
	if len(head.Levels) == 0 {
		return head, ErrTail
	}
	return head, nil
}

func anchorsBehind(g *graph.Graph, name string) ([][2]float32, error) {
	x := g.Index()
	queue, seen := []string{name}, map[string]bool{}
	for len(queue) > 0 {
		name, queue = queue[0], queue[1:]
		if seen[name] {
			continue
		}
		seen[name] = true
		for _, n := range x.Consumers[name] {
			if n.Op == "Pow" {
				return anchorsOf(g, x.Consumers[n.Output()])
			}
			if n.Op == "Concat" || n.Op == "Shape" {
				continue
			}
			queue = append(queue, n.Outputs...)
		}
	}
	return nil, ErrTail
}

func anchorsOf(g *graph.Graph, readers []*graph.Node) ([][2]float32, error) {
	if len(readers) != 1 || readers[0].Op != "Mul" {
		return nil, ErrTail
	}
	for _, in := range readers[0].Inputs {
		t := g.Const(in)
		if t == nil || len(t.Shape) != 5 || t.Shape[0] != 1 || t.Shape[4] != 2 || t.Len() == 0 {
			continue
		}
		v, err := t.Floats()
		if err != nil {
			return nil, err
		}
		cells := int(t.Shape[2] * t.Shape[3])
		var anchors [][2]float32
		for a := range int(t.Shape[1]) {
			anchors = append(anchors, [2]float32{v[a*cells*2], v[a*cells*2+1]})
		}
		return anchors, nil
	}
	return nil, ErrTail
}

// order gives every level its stride by the shape of its outputs and puts the finest first.
func (h *Head) order(shapes map[string][]int64, input []int64) error {
	if h.Family == YOLOv8 {
		h.pairUp(shapes)
	}
	for i := range h.Levels {
		l := &h.Levels[i]
		shape := shapes[l.Outputs[0]]
		if len(shape) != 4 || shape[2] == 0 || input[2]%shape[2] != 0 {
			return fmt.Errorf("head %s has shape %v for an input of %v: no grid", l.Outputs[0], shape, input)
		}
		l.Stride = int(input[2] / shape[2])
	}
	slices.SortFunc(h.Levels, func(a, b Level) int { return cmp.Compare(a.Stride, b.Stride) })
	return nil
}

func isTail(err error) bool { return errors.Is(err, ErrTail) }

func sigmoid(v float32) float32 { return float32(1 / (1 + math.Exp(-float64(v)))) }
