package models

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sightline/sightline/models/graph"
)

const testdata = "../detect/testdata"

func read(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(testdata, name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// save puts a model, and its card where there is one, into a folder of their own.
func save(t testing.TB, model []byte, card string) string {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "model.onnx")
	if err := os.WriteFile(path, model, 0o600); err != nil {
		t.Fatal(err)
	}
	if card != "" {
		if err := os.WriteFile(filepath.Join(dir, "model.yaml"), []byte(card), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

func TestFactsComeFromTheFileItself(t *testing.T) {
	for name, want := range map[string]struct {
		family  Family
		source  Source
		anchors int
	}{"tiny.onnx": {YOLOX, FromMetadata, 756}, "tiny_v5.onnx": {YOLOv5, FromMetadata, 2268}, "tiny_v8.onnx": {YOLOv8, FromMetadata, 756}} {
		s, err := Load(filepath.Join(testdata, name))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if s.Family != want.family || s.Source != want.source || s.Anchors() != want.anchors || s.Width != 192 || s.Height != 192 || s.Batch != 0 {
			t.Errorf("%s is %+v with %d anchors", name, s, s.Anchors())
		}
		if strings.Join(s.Labels, " ") != "red green blue" || s.Layout != want.family.Layout() {
			t.Errorf("%s: labels %v, layout %+v", name, s.Labels, s.Layout)
		}
		if again, _ := Load(filepath.Join(testdata, name)); again.ID() != s.ID() || !strings.HasPrefix(s.ID(), strings.TrimSuffix(name, ".onnx")+"@") {
			t.Errorf("%s is called %s and then %s", name, s.ID(), again.ID())
		}
	}
}

func TestRealModelsAreKnownByTheirShapes(t *testing.T) {
	for name, want := range map[string]Family{"yolox_nano.onnx": YOLOX, "yolov5n_fp32.onnx": YOLOv5} {
		path := filepath.Join("..", "..", "shared", "data", "models", name)
		if _, err := os.Stat(path); err != nil {
			t.Skip("shared/data is not here: " + path)
		}
		s, err := Load(path)
		if err != nil {
			t.Fatal(err)
		}
		if s.Family != want || len(s.Labels) != 80 || s.Labels[0] != "person" {
			t.Errorf("%s is %s with labels %v", name, s.Family, s.Labels)
		}
	}
}

// cardOf writes a sound card for tiny.onnx; changes replace its lines.
func cardOf(t testing.TB, changes ...string) string {
	t.Helper()
	fill := uint8(114)
	s, err := Load(filepath.Join(testdata, "tiny.onnx"))
	if err != nil {
		t.Fatal(err)
	}
	c := Card{
		Schema: CardSchema, Family: YOLOX, Labels: s.Labels, Licence: "Apache-2.0", Command: "tiny.py", SHA256: s.SHA256,
		Input:  CardInput{Width: 192, Height: 192, Channels: "bgr", Range: 255, Place: "top_left", Fill: &fill},
		Origin: CardOrigin{URL: "https://example.com/tiny", SHA256: s.SHA256},
	}
	text, err := c.Marshal(false)
	if err != nil {
		t.Fatal(err)
	}
	card := string(text)
	for i := 0; i+1 < len(changes); i += 2 {
		if !strings.Contains(card, changes[i]) {
			t.Fatalf("the card has no %q: %s", changes[i], card)
		}
		card = strings.ReplaceAll(card, changes[i], changes[i+1])
	}
	return card
}

func TestCardBesideTheFileCounts(t *testing.T) {
	s, err := Load(save(t, read(t, "tiny.onnx"), cardOf(t, "red", "rouge")))
	if err != nil {
		t.Fatal(err)
	}
	if s.Source != FromCard || s.Labels[0] != "rouge" || s.Licence != "Apache-2.0" {
		t.Errorf("%+v", s)
	}
}

func TestWrongCardsAreRefused(t *testing.T) {
	for name, c := range map[string]struct{ from, to, want string }{
		"sum":     {"\nsha256: ", "\nsha256: 0", "sha256"},
		"schema":  {"sightline.model/1", "sightline.model/9", "schema"},
		"key":     {"family:", "familiy:", "familiy"},
		"family":  {"family: yolox", "family: yoloz", "yoloz"},
		"labels":  {"- blue", "- blue\n    - black", "labels"},
		"twice":   {"- blue", "- red", "twice"},
		"size":    {"width: 192", "width: 190", "multiple of 32"},
		"other":   {"width: 192", "width: 224", "width"},
		"range":   {"range: 255", "range: 7", "input.range"},
		"command": {"command: tiny.py", "command: \"\"", "command"},
		"origin":  {"https://example.com/tiny", "nowhere", "origin.url"},
		"head":    {"labels:", "head:\n    - {stride: 8, outputs: [a]}\nlabels:", "head"},
		"lost":    {"labels:", "head:\n    - {stride: 8, outputs: [a, b, c]}\nlabels:", "wants a [1 4 24 24]"},
		"stride":  {"labels:", "head:\n    - {stride: 7, outputs: [a, b, c]}\nlabels:", "stride 7"},
		"anchors": {"labels:", "head:\n    - {stride: 8, anchors: [[1, 2]], outputs: [a, b, c]}\nlabels:", "names 3 outputs and 1 anchors"},
	} {
		_, err := Load(save(t, read(t, "tiny.onnx"), cardOf(t, c.from, c.to)))
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "model.onnx") {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

func TestBadFilesAreRefused(t *testing.T) {
	tiny := read(t, "tiny.onnx")
	dir := t.TempDir()
	outside := filepath.Join(dir, "link.onnx")
	target := save(t, tiny, "")
	if err := os.Symlink(target, outside); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ path, want string }{
		"missing": {filepath.Join(dir, "nowhere.onnx"), "no such file"},
		"folder":  {dir, "it is no file"},
		"empty":   {save(t, nil, ""), "empty"},
		"text":    {save(t, []byte("this is no network at all"), ""), "ONNX"},
		"link":    {outside, "symbolic link"},
		"huge":    {save(t, []byte{0x3a, 0x80, 0x80, 0x80, 0x80, 0x28, 1}, ""), "truncated"},
		"labels":  {save(t, bytes.Replace(tiny, []byte("[red, green, blue]"), []byte("[red, greenblue]  "), 1), ""), "labels"},
	} {
		if _, err := Load(c.path); err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), c.path) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	for n := 0; n < len(tiny)-1; n += len(tiny) / 60 {
		if _, err := Load(save(t, tiny[:n], "")); err == nil {
			t.Errorf("%d of %d bytes were taken", n, len(tiny))
		}
	}
}

// TestNetworksOfAnotherKindAreRefused: classifiers, other ranks, other element types.
func TestNetworksOfAnotherKindAreRefused(t *testing.T) {
	for want, change := range map[string]func(g *graph.Graph){
		"has 2 inputs": func(g *graph.Graph) {
			g.Inputs = append(g.Inputs, graph.Value{Name: "more", Type: graph.Float})
		},
		"must be [N, 3":   func(g *graph.Graph) { g.Inputs[0].Shape = []int64{1, 3, 192} },
		"must be float32": func(g *graph.Graph) { g.Inputs[0].Type = graph.Uint8 },
		"must be equal":   func(g *graph.Graph) { g.Inputs[0].Shape[2] = 224 },
		"must give [N":    func(g *graph.Graph) { g.Outputs[0].Shape = []int64{1, 1000} },
		"hold 7 classes":  func(g *graph.Graph) { g.Outputs[0].Shape = []int64{-1, 756, 12} },
		"at most 1024":    func(g *graph.Graph) { g.Inputs[0].Shape[0] = 5000 },
		"8] int64":        func(g *graph.Graph) { g.Outputs[0].Type = graph.Int64 },
	} {
		m, err := graph.Parse(read(t, "tiny.onnx"))
		if err != nil {
			t.Fatal(err)
		}
		change(m.Graph)
		data, err := m.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Load(save(t, data, "")); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

func TestNamesOfExporters(t *testing.T) {
	for text, want := range map[string]string{
		`['person', "it's", 'a \'b\'']`: "person|it's|a 'b'", `{0: 'a', 1: 'b',}`: "a|b", `{1: 'b', 0: 'a'}`: "a|b",
	} {
		labels, err := parseNames(text)
		if err != nil || strings.Join(labels, "|") != want {
			t.Errorf("%s gives %v, %v", text, labels, err)
		}
	}
	for _, text := range []string{"", "[", "['a'", "{0: 'a', 2: 'b'}", "{0: 'a', 0: 'b'}", "['a', 'a']", "['a'] x", "{-1: 'a'}", "__import__('os')"} {
		if labels, err := parseNames(text); err == nil {
			t.Errorf("%s gives %v", text, labels)
		}
	}
}
