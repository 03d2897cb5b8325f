package models

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestShippedModelIsSound: the bundle beside this file, by its card and, alone, by what it carries inside.
func TestShippedModelIsSound(t *testing.T) {
	const name = "yolox-nano-int8"
	beside, err := Load(name + ".onnx")
	if err != nil {
		t.Fatal(err)
	}
	if beside.Source != FromCard || beside.Family != YOLOX || beside.Licence != "Apache-2.0" || !slices.Equal(beside.Labels, COCOLabels()) {
		t.Errorf("%+v", beside)
	}
	if beside.ID() != fmt.Sprintf("%s@%.8s", name, beside.SHA256) || !filepath.IsAbs(beside.Path) {
		t.Errorf("%s at %s", beside.ID(), beside.Path)
	}
	data, err := os.ReadFile(name + ".onnx")
	if err != nil {
		t.Fatal(err)
	}
	alone, err := Load(save(t, data, ""))
	if err != nil {
		t.Fatal(err)
	}
	if alone.Source != FromMetadata || alone.SHA256 != beside.SHA256 {
		t.Errorf("alone it is known by its %s, with sha256 %s", alone.Source, alone.SHA256)
	}
	alone.Name, alone.Path, alone.Source = beside.Name, beside.Path, beside.Source
	if fmt.Sprint(alone) != fmt.Sprint(beside) {
		t.Errorf("alone  %+v\nbeside %+v", alone, beside)
	}
}

// TestRealExportsAreKnown: what YOLOX's and YOLOv5's own exporters write, and what is left of it after an accident.
func TestRealExportsAreKnown(t *testing.T) {
	for name, want := range map[string]struct {
		family       Family
		source       Source
		side, anchor int
	}{
		"yolox_nano.onnx": {YOLOX, FromShapes, 416, 3549}, "yolov5n.onnx": {YOLOv5, FromMetadata, 640, 25200}, "yolov5n_fp32.onnx": {YOLOv5, FromMetadata, 640, 25200},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join("..", "..", "shared", "data", "models", name)
			data, err := os.ReadFile(path)
			if err != nil {
				t.Skip("shared/data is not here: ", err)
			}
			s, err := Load(path)
			if err != nil {
				t.Fatal(err)
			}
			if s.Family != want.family || s.Source != want.source || s.Width != want.side || s.Height != want.side || s.Anchors() != want.anchor || s.Batch != 1 {
				t.Errorf("%+v", s)
			}
			if !slices.Equal(s.Labels, COCOLabels()) || s.Layout != want.family.Layout() || s.ID() != strings.TrimSuffix(name, ".onnx")+"@"+hash(data)[:8] {
				t.Errorf("%s: %q, %+v", s.ID(), s.Labels, s.Layout)
			}
			for _, n := range []int{100, 4096, len(data) / 3, len(data) / 2, len(data) - 1000} {
				refused(t, save(t, data[:n], ""), "the file is truncated", fmt.Sprintf("(%d bytes; at byte ", n), "fetch or export it again")
			}
		})
	}
}
