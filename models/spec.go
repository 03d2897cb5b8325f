// Package models finds out what a detection network is (family, input, labels) and refuses a file that is not what it says.
//
// The facts come from the card beside the file (NAME.yaml beside NAME.onnx), else from the file's own metadata, else from the
// shapes of its tensors. Whatever the source, they are held against the file's real tensors before the first frame. No native
// library is needed for it.
package models

import (
	"fmt"
	"slices"
)

// Family says how the output of a network is read.
type Family string

// The families. A is the number of cells of the three grids with strides 8, 16 and 32, nc the number of classes.
const (
	// YOLOX gives [N, A, 5+nc]: centre and size still to be decoded with grid and stride, objectness, classes.
	YOLOX Family = "yolox"
	// YOLOv5 gives [N, 3A, 5+nc]: centre and size in pixels of the input, objectness, classes.
	YOLOv5 Family = "yolov5"
	// YOLOv8 (YOLO11 too) gives [N, 4+nc, A]: centre and size in pixels of the input, classes.
	YOLOv8 Family = "yolov8"
)

// strides of the three grids of every family.
var strides = [3]int{8, 16, 32}

// UnmarshalText refuses any text that names no family.
func (f *Family) UnmarshalText(text []byte) error {
	v := Family(text)
	if !slices.Contains([]Family{YOLOX, YOLOv5, YOLOv8}, v) {
		return fmt.Errorf("family %.40q: must be yolox, yolov5 or yolov8 (yolo11 is read as yolov8)", text)
	}
	*f = v
	return nil
}

// Layout says how a picture becomes the input of a network, as it was trained: planar float32, letterboxed.
type Layout struct {
	RGB    bool    // channel order RGB, else BGR
	Scale  float32 // what a sample of 0-255 is multiplied by
	Centre bool    // the picture stands in the middle of the input, else top left
	Fill   uint8   // the grey of what the picture does not cover, 0-255 before Scale
}

// Layout is the layout that networks of the family are trained with.
func (f Family) Layout() Layout {
	if f == YOLOX {
		return Layout{Scale: 1, Fill: 114}
	}
	return Layout{RGB: true, Scale: 1.0 / 255, Centre: true, Fill: 114}
}

// Source says where the facts about a model come from.
type Source string

// The sources, the most trusted first.
const (
	FromCard     Source = "card"     // NAME.yaml beside the file
	FromMetadata Source = "metadata" // the metadata inside the file
	FromShapes   Source = "shapes"   // derived from the tensors
)

// Spec is what is known about a model that was loaded and found sound.
type Spec struct {
	Name   string // the file's name without .onnx
	Path   string // real path, symbolic links resolved
	SHA256 string // of the file, lower-case hex

	Family  Family
	Width   int // of the input, pixels, a multiple of 32
	Height  int
	Batch   int // fixed batch of the file; 0: any
	Labels  []string
	Layout  Layout
	Licence string     // as its card says, "" where there is none
	Origin  CardOrigin // as its card says: what it was made from, or itself
	Source  Source
	Int8    bool // it computes in int8, at least in parts

	Input  string  // name of the input tensor, [N, 3, Height, Width] float32
	Output string  // name of the output tensor, see OutputShape, float32; "" where there is a Head
	Head   []Level // of a network whose decode tail was cut off, the finest first; its outputs take the place of Output
}

// ID names the model in messages: name@first 8 digits of the file's sha256.
func (s Spec) ID() string { return s.Name + "@" + s.SHA256[:min(8, len(s.SHA256))] }

// Anchors is the number of candidate boxes that the network gives for one picture.
func (s Spec) Anchors() int { return s.Family.anchors(s.Width, s.Height) }

// InputShape is the shape of the input tensor for a batch.
func (s Spec) InputShape(batch int) []int64 {
	return []int64{int64(batch), 3, int64(s.Height), int64(s.Width)}
}

// OutputShape is the shape of the output tensor for a batch.
func (s Spec) OutputShape(batch int) []int64 {
	a, nc := int64(s.Anchors()), int64(len(s.Labels))
	if s.Family == YOLOv8 {
		return []int64{int64(batch), 4 + nc, a}
	}
	return []int64{int64(batch), a, 5 + nc}
}

func (f Family) anchors(width, height int) int {
	cells := 0
	for _, s := range strides {
		cells += (width / s) * (height / s)
	}
	if f == YOLOv5 {
		return 3 * cells
	}
	return cells
}
