package detect

import (
	"bytes"
	"log/slog"
	"path/filepath"
	"testing"

	"github.com/sightline/sightline/models"
)

// TestInt8IsWarnedOfWhereItIsSlow: of an int8 model alone, and only where the processor has nothing for it.
func TestInt8IsWarnedOfWhereItIsSlow(t *testing.T) {
	words, fast := WholeNumbers()
	if fast == (words == "no VNNI" || words == "no int8 dot product") {
		t.Errorf("%q is fast: %v", words, fast)
	}
	for path, int8 := range map[string]bool{filepath.Join("..", "models", "yolox-nano-int8.onnx"): true, filepath.Join("testdata", "tiny.onnx"): false} {
		spec, err := models.Load(path)
		if err != nil {
			t.Fatal(err)
		}
		if spec.Int8 != int8 {
			t.Errorf("%s is int8: %v", path, spec.Int8)
		}
		var log bytes.Buffer
		warnOfInt8(spec, "cpu", slog.New(slog.NewTextHandler(&log, nil)))
		if warned := log.Len() > 0; warned != (int8 && !fast) {
			t.Errorf("%s on a processor with %q: %q", path, words, log.String())
		}
	}
}
