package inspect

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"

	"github.com/sightline/sightline/models/graph"
)

var (
	tinyGrid = filepath.Join("..", "..", "detect", "testdata", "tiny_grid.onnx")
	shipped  = filepath.Join("..", "..", "models", "yolox-nano-int8.onnx")
)

func facts(t testing.TB, path string) (Facts, string) {
	t.Helper()
	f, err := File(path)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := f.Write(&b); err != nil {
		t.Fatal(err)
	}
	return f, b.String()
}

func TestWholeNetwork(t *testing.T) {
	f, text := facts(t, tinyGrid)
	if f.Width != 192 || f.Batch != 1 || f.Layout != (Layout{"bgr", 255, "top_left", 114}) || len(f.Labels) != 3 || len(f.Head) != 0 || f.Measured != nil {
		t.Errorf("%+v", f)
	}
	if f.Size.MACs != 10434816 || f.Size.Parameters != 5208 || f.Size.Int8 != 0 || f.Network.Operators[0] != (Count{"Conv", 14}) || f.Network.Opsets[""] != 11 {
		t.Errorf("%+v, %+v", f.Size, f.Network)
	}
	for _, want := range []string{
		"tiny_grid@" + f.SHA256[:8], "192x192, BGR 0-255, top left, fill 114, batch 1", "3: red, green, blue", "decoded by the network itself", "10.4 million",
		"Conv 14, Sigmoid 11", "images [1 3 192 192]", "output [1 756 8]", "Apache-2.0", "python3 tiny_grid.py", "opset 11, IR 6, by tiny_grid.py",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}

func TestShippedModel(t *testing.T) {
	f, text := facts(t, shipped)
	if len(f.Head) != 3 || f.Head[0].Stride != 8 || f.Head[0].Width != f.Width/8 || len(f.Head[2].Outputs) != 3 || f.Size.Int8 < 0.5 || len(f.Labels) != 80 {
		t.Errorf("%+v", f)
	}
	if m := f.Measured; m == nil || m.AP < 0.2 || m.AP > m.Original+0.02 || m.FasterBy < 1 || m.Data != "coco-dev" {
		t.Errorf("%+v", m)
	}
	if !strings.Contains(text, "stride 32") || !strings.Contains(text, "in int8") || !strings.Contains(text, "times as fast") || strings.Contains(text, "decoded by") {
		t.Error(text)
	}
	data, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	var again map[string]any
	if err := json.Unmarshal(data, &again); err != nil || again["card"].(map[string]any)["licence"] != "Apache-2.0" {
		t.Errorf("%v, %v", again["card"], err)
	}
}

// TestHostileTextIsTamed: nothing in a file moves the terminal's cursor, and no line is endless.
func TestHostileTextIsTamed(t *testing.T) {
	m, err := graph.Read(tinyGrid)
	if err != nil {
		t.Fatal(err)
	}
	m.Producer, m.Metadata["x\x1b[2J"] = "\x1b]0;owned\a"+strings.Repeat("y", 10000), "a\r\nb\tc"
	m.Graph.Nodes[0].Name = "\x1b[2J"
	path := filepath.Join(t.TempDir(), "evil.onnx")
	if err := m.Write(path); err != nil {
		t.Fatal(err)
	}
	_, text := facts(t, path)
	for line := range strings.Lines(text) {
		if line = strings.TrimSuffix(line, "\n"); len(line) > 1000 || strings.ContainsFunc(line, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Errorf("%d bytes: %.200q", len(line), line)
		}
	}
}

func TestWhatIsNoModelIsRefused(t *testing.T) {
	text := filepath.Join(t.TempDir(), "text.onnx")
	if err := os.WriteFile(text, []byte("this is no network"), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{"nowhere.onnx": "no such file", text: "ONNX"} {
		if _, err := File(path); err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", path, err)
		}
	}
}
