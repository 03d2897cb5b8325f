package evaluate

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
)

func TestModelsAreComparedWithTheFirst(t *testing.T) {
	dir := dataset(t)
	files := []string{"../../detect/testdata/tiny.onnx", "../../detect/testdata/tiny_v5.onnx", "../../detect/testdata/tiny.onnx"}
	all, err := Compare(t.Context(), files, Options{Data: dir})
	if err != nil {
		t.Fatal(err)
	}
	for i, m := range all {
		if m.AP < 0.9 || m.Bytes < 1000 || !(m.Milliseconds > 0) || !(m.Faster > 0) || m.File != files[i] {
			t.Errorf("%+v", m)
		}
	}
	if d := all[2].Difference; d.Mean != 0 || d.Low != 0 || d.High != 0 {
		t.Errorf("a model differs from itself by %+v", d)
	}
	if d := all[1].Difference; d.Low > d.Mean || d.High < d.Mean || math.Abs(d.Mean-(all[1].AP-all[0].AP)) > 1e-9 {
		t.Errorf("difference %+v of AP %g and %g", d, all[0].AP, all[1].AP)
	}
	if _, err := json.Marshal(all); err != nil {
		t.Error(err)
	}
	if _, err := Compare(t.Context(), []string{"nowhere.onnx"}, Options{Data: dir}); err == nil || !strings.Contains(err.Error(), "nowhere.onnx") {
		t.Errorf("a missing model: %v", err)
	}
}
