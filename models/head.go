package models

import (
	"errors"
	"fmt"
)

// Level is one grid of a network whose decode tail was cut off. Its outputs are logits: for YOLOX box [N, 4, h, w], objectness
// [N, 1, h, w] and classes [N, classes, h, w]; for YOLOv5 one of [N, anchors*(5+classes), h, w]; for YOLOv8 distances
// [N, 4*bins, h, w] and classes [N, classes, h, w]. h and w are the input's height and width divided by the stride.
type Level struct {
	Stride  int          `yaml:"stride"`
	Anchors [][2]float32 `yaml:"anchors,flow,omitempty"` // YOLOv5: width and height, pixels of the input
	Bins    int          `yaml:"bins,omitempty"`         // YOLOv8: of the distribution of each distance, in steps of the stride
	Outputs []string     `yaml:"outputs,flow"`
}

// maxBins is more than any network has.
const maxBins = 64

// maxLevels is more than any family has.
const maxLevels = 8

func (c Card) checkHead() error {
	if len(c.Head) > maxLevels {
		return fmt.Errorf("%d levels: must be at most %d", len(c.Head), maxLevels)
	}
	for i, l := range c.Head {
		if l.Stride < 1 || l.Stride > 256 || c.Input.Width%l.Stride != 0 || c.Input.Height%l.Stride != 0 {
			return fmt.Errorf("level %d has stride %d: must divide the input's sides", i, l.Stride)
		}
		outputs, anchors := 3, 0
		switch c.Family {
		case YOLOv5:
			outputs, anchors = 1, len(l.Anchors)
		case YOLOv8:
			outputs = 2
		}
		if (c.Family == YOLOv8) != (l.Bins > 0) || l.Bins < 0 || l.Bins > maxBins {
			return fmt.Errorf("level %d of %s has %d bins: yolov8 has 1 to %d, others none", i, c.Family, l.Bins, maxBins)
		}
		if len(l.Outputs) != outputs || len(l.Anchors) != anchors || c.Family == YOLOv5 && (anchors < 1 || anchors > 16) {
			return fmt.Errorf("level %d of %s names %d outputs and %d anchors", i, c.Family, len(l.Outputs), len(l.Anchors))
		}
		for _, a := range l.Anchors {
			if !(a[0] > 0 && a[0] < 1e5 && a[1] > 0 && a[1] < 1e5) {
				return fmt.Errorf("level %d has the anchor %v: must be pixels", i, a)
			}
		}
	}
	return nil
}

// Resized describes the model at another input size, of multiples of 32. Only what has a Head has one.
func (s Spec) Resized(width, height int) Spec {
	s.Width, s.Height = width, height
	return s
}

// Output is an output tensor that detection reads, float32.
type Output struct {
	Name  string
	Shape []int64
}

// Outputs lists the output tensors for a batch: the whole one, or those of the head, level after level.
func (s Spec) Outputs(batch int) []Output {
	if len(s.Head) == 0 {
		return []Output{{s.Output, s.OutputShape(batch)}}
	}
	var all []Output
	classes := len(s.Labels)
	for _, l := range s.Head {
		channels := []int{4, 1, classes}
		switch s.Family {
		case YOLOv5:
			channels = []int{len(l.Anchors) * (5 + classes)}
		case YOLOv8:
			channels = []int{4 * l.Bins, classes}
		}
		for i, name := range l.Outputs {
			all = append(all, Output{name, []int64{int64(batch), int64(channels[i]), int64(s.Height / l.Stride), int64(s.Width / l.Stride)}})
		}
	}
	return all
}

func (s *Spec) checkHeadOutputs(file *onnxFile) error {
	var faults []error
	for _, want := range s.Outputs(max(1, s.Batch)) {
		if !file.gives(want) {
			faults = append(faults, fmt.Errorf("outputs %s: its %s wants %s %v float32; correct it or make the model again",
				list(file.outputs), s.Source, shown(want.Name, 60), want.Shape))
		}
	}
	return errors.Join(faults...)
}

// gives tells whether the file has an output. Tools leave shapes of inner tensors out: those must hold at the first run.
func (f *onnxFile) gives(want Output) bool {
	for _, t := range f.outputs {
		if t.name == want.Name {
			return t.elem == elemFloat32 && (!t.rank || fits(t.shape, want.Shape))
		}
	}
	return false
}
