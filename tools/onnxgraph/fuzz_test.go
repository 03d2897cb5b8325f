package onnxgraph

import (
	"os"
	"testing"

	"github.com/sightline/sightline/models/graph"
)

// FuzzRewrites: whatever can be read can be rewritten, and is sound or refused afterwards. Nothing is run: that is onnxruntime's part.
func FuzzRewrites(f *testing.F) {
	for _, path := range []string{tiny, "../../detect/testdata/tiny_v5.onnx", "../../detect/testdata/tiny_v8.onnx"} {
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	for _, m := range []*graph.Model{yolov8Model(testClasses, true, false), yolov8Model(testClasses, false, false), focusModel(), upsampled(1)} {
		data, err := m.Marshal()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := graph.Parse(data)
		if err != nil {
			return
		}
		m.Graph.RemoveDead()
		RemoveIdle(m)
		liftConstants(m.Graph)
		constantNodes(m.Graph)
		if _, err := FoldBatchNorm(m); err != nil {
			return
		}
		for _, read := range []func(*graph.Model) (Head, error){readYOLOX, readYOLOv5, readYOLOv8} {
			read(m) //nolint:errcheck // only that it returns counts
		}
		if _, err := FocusToConv(m); err != nil {
			return
		}
		MergeConstants(m)
		Barriers(m)
		if err := m.Check(); err != nil {
			t.Errorf("a sound model became unsound: %v", err)
		}
	})
}
