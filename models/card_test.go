package models

import (
	"crypto/sha256"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// TestCardBesideWinsOverMetadata: where they disagree the card counts, but never against the tensors.
func TestCardBesideWinsOverMetadata(t *testing.T) {
	tiny := read(t, "tiny.onnx")
	s, err := Load(save(t, tiny, cardOf(t, "channels: bgr", "channels: rgb", "range: 255", "range: 1", "place: top_left", "place: centre",
		"fill: 114", "fill: 0", "Apache-2.0", "MIT", "- red", "- rot")))
	if err != nil {
		t.Fatal(err)
	}
	if want := (Layout{RGB: true, Scale: 1.0 / 255, Centre: true, Fill: 0}); s.Layout != want || s.Licence != "MIT" {
		t.Errorf("layout %+v, licence %s", s.Layout, s.Licence)
	}
	if s.Source != FromCard || !slices.Equal(s.Labels, []string{"rot", "green", "blue"}) {
		t.Errorf("%s: %q", s.Source, s.Labels)
	}
	for name, c := range map[string]struct {
		from, to string
		wants    []string
	}{
		"family": {"family: yolox", "family: yolov5", []string{"outputs output0 [?, 756, 8]", "yolov5 with 192x192 and 3 labels must give [N, 2268, 8]", "correct the card"}},
		"rows":   {"family: yolox", "family: yolov8", []string{"outputs output0 [?, 756, 8]", "must give [N, 7, 756]", "correct the card"}},
		"labels": {"- blue", "- blue\n    - black", []string{"hold 3 classes", "its card names 4 labels", "correct the labels"}},
		"size":   {"height: 192", "height: 160", []string{"input images [?, 3, 192, 192]", "width 192 and height 160", "correct the card"}},
	} {
		t.Run(name, func(t *testing.T) { refused(t, save(t, tiny, cardOf(t, c.from, c.to)), c.wants...) })
	}
}

// TestNoCardBesideCardInsideCounts and what stands in it is held against the tensors too.
func TestNoCardBesideCardInsideCounts(t *testing.T) {
	tiny := read(t, "tiny.onnx")
	inside := func(from, to string) string { // of the same length, so that the file stays sound
		changed := strings.Replace(string(tiny), from, to, 1)
		if len(from) != len(to) || changed == string(tiny) {
			t.Fatalf("no %q, or %q is as long", from, to)
		}
		return save(t, []byte(changed), "")
	}
	s, err := Load(inside("channels: bgr", "channels: rgb"))
	if err != nil || !s.Layout.RGB || s.Source != FromMetadata || s.Licence != "Apache-2.0" {
		t.Errorf("%v, %+v", err, s)
	}
	refused(t, inside("[red, green, blue]", "[red, green--blue]"), "hold 3 classes, but its metadata names 2 labels", "correct the labels")
	refused(t, inside("height: 192", "height: 160"), "width 192 and height 160", "correct the card")
	refused(t, inside("licence: ", "license: "), "its metadata sightline.card", "line 5: field license not found")
	refused(t, inside("command: ", "sha256:  "), "its metadata sightline.card", "absent inside one", "command: must be")
}

func TestCardsThatCannotBeReadAreRefused(t *testing.T) {
	tiny, sound := read(t, "tiny.onnx"), cardOf(t)
	bomb := "report:\n    a: &a [x, x, x, x, x, x, x, x, x]\n"
	for c := 'b'; c < 'k'; c++ {
		bomb += fmt.Sprintf("    %c: &%c [%s]\n", c, c, strings.TrimSuffix(strings.Repeat("*"+string(c-1)+", ", 9), ", "))
	}
	for name, c := range map[string]struct {
		card  string
		wants []string
	}{
		"empty":     {"# nothing\n", []string{"is empty"}},
		"two":       {sound + "---\n" + sound, []string{"holds more than one document"}},
		"no map":    {"- yolox\n", []string{"line 1", "cannot unmarshal"}},
		"no yaml":   {"\tfamily: [", []string{"cannot start any token"}},
		"unknown":   {sound + "colour: blue\n", []string{"field colour not found"}},
		"inner":     {strings.Replace(sound, "    width:", "    depth: 3\n    width:", 1), []string{"field depth not found"}},
		"twice":     {sound + "family: yolov8\n", []string{`mapping key "family" already defined`}},
		"fill":      {strings.Replace(sound, "fill: 114", "fill: 300", 1), []string{"cannot unmarshal"}},
		"no fill":   {strings.Replace(sound, "    fill: 114\n", "", 1), []string{"input.fill: must be the grey"}},
		"long":      {sound + strings.Repeat("#", maxCardBytes), []string{"model.yaml has ", "at most 1048576", "name another file"}},
		"bomb":      {sound + bomb, []string{"excessive aliasing"}},
		"upper sum": {strings.Replace(sound, "\nsha256: ", "\nsha256: ABC", 1), []string{"sha256: must be 64 lower-case hex digits"}},
	} {
		t.Run(name, func(t *testing.T) { refused(t, save(t, tiny, c.card), append(c.wants, "its card model.yaml: ")...) })
	}
	path := save(t, tiny, "")
	if err := os.Mkdir(strings.TrimSuffix(path, ".onnx")+".yaml", 0o700); err != nil {
		t.Fatal(err)
	}
	refused(t, path, "its card model.yaml: it is no file")
}

func TestAllFaultsOfACardAreToldAtOnce(t *testing.T) {
	refused(t, save(t, read(t, "tiny.onnx"), "schema: x\n"), "schema: must be sightline.model/1; found \"x\"", "family: must be", "input.width: must be",
		"input.height: must be", "input.channels: must be", "input.range: must be", "input.place: must be", "input.fill: must be", "labels: 0 labels",
		"licence: must", "origin.url: must", "origin.sha256: must", "sha256: must be", "command: must be")
	if text, err := (Card{}).Marshal(true); err == nil || !strings.Contains(err.Error(), "write card: ") {
		t.Errorf("an empty card is written: %s, %v", text, err)
	}
}

func TestHeadsOfNetworksWithoutTail(t *testing.T) {
	n := yoloxNet()
	n.graph = [][]byte{input("images", elemFloat32, 1, 3, 192, 192), output("fine", elemFloat32, 1, 16, 24, 24), message(12, text(1, "coarse"), message(2, message(1, number(1, elemFloat32))))} // of unknown shape, as tools leave it
	const fine, coarse = "    - {stride: 8, anchors: [[1, 2], [3, 4]], outputs: [fine]}\n", "    - {stride: 16, anchors: [[1, 2]], outputs: [coarse]}\n"
	load := func(head string) (Spec, error) {
		card := cardOf(t, "labels:", "head:\n"+head+"labels:", "family: yolox", "family: yolov5",
			hash(read(t, "tiny.onnx")), hash(n.bytes()))
		return Load(save(t, n.bytes(), card))
	}
	s, err := load(fine + coarse)
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(s.Outputs(3)); got != "[{fine [3 16 24 24]} {coarse [3 8 12 12]}]" {
		t.Errorf("outputs %s", got)
	}
	for head, want := range map[string]string{
		strings.Replace(fine, "8", "7", 1):             "level 0 has stride 7: must divide the input's sides",
		strings.Replace(fine, "8", "0", 1):             "level 0 has stride 0",
		strings.Replace(fine, "[fine]", "[a, b]", 1):   "names 2 outputs and 2 anchors",
		"    - {stride: 8, outputs: [fine]}\n":         "names 1 outputs and 0 anchors",
		strings.Replace(fine, "1, 2", "0, 2", 1):       "has the anchor [0 2]: must be pixels",
		strings.Replace(fine, "1, 2", ".nan, 2", 1):    "has the anchor [NaN 2]: must be pixels",
		strings.Replace(fine, "8", "16", 1):            "its card wants fine [1 16 12 12] float32",
		strings.Replace(coarse, "coarse", "fine", 1):   "its card wants fine [1 8 12 12] float32",
		fine + strings.Replace(coarse, "coa", "ho", 1): "its card wants horse [1 8 12 12]",
		strings.Repeat(fine, 9):                        "9 levels: must be at most 8",
	} {
		if _, err := load(head); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", head, err, want)
		}
	}
}

// TestHeadsOfDistances: a YOLOv8 without its tail has two outputs a grid, and says how many bins a distance has.
func TestHeadsOfDistances(t *testing.T) {
	n := yoloxNet()
	n.graph = [][]byte{input("images", elemFloat32, 1, 3, 192, 192), output("sides", elemFloat32, 1, 16, 24, 24), output("classes", elemFloat32, 1, 3, 24, 24)}
	const level = "    - {stride: 8, bins: 4, outputs: [sides, classes]}\n"
	load := func(family, head string) (Spec, error) {
		card := cardOf(t, "labels:", "head:\n"+head+"labels:", "family: yolox", "family: "+family, hash(read(t, "tiny.onnx")), hash(n.bytes()))
		return Load(save(t, n.bytes(), card))
	}
	s, err := load("yolov8", level)
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(s.Outputs(1)); got != "[{sides [1 16 24 24]} {classes [1 3 24 24]}]" {
		t.Errorf("outputs %s", got)
	}
	for _, c := range [][3]string{
		{"yolov8", strings.Replace(level, "bins: 4, ", "", 1), "has 0 bins: yolov8 has 1 to 64"},
		{"yolov8", strings.Replace(level, "4", "-4", 1), "has -4 bins"},
		{"yolov8", strings.Replace(level, "4", "65", 1), "has 65 bins"},
		{"yolov8", strings.Replace(level, "4", "8", 1), "wants sides [1 32 24 24]"},
		{"yolov8", strings.Replace(level, "sides, ", "", 1), "names 1 outputs"},
		{"yolox", level, "of yolox has 4 bins: yolov8 has 1 to 64, others none"},
	} {
		if _, err := load(c[0], c[1]); err == nil || !strings.Contains(err.Error(), c[2]) {
			t.Errorf("%s %s: %v, want %q", c[0], c[1], err, c[2])
		}
	}
}

func hash(data []byte) string { return fmt.Sprintf("%x", sha256.Sum256(data)) }
