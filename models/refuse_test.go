package models

import (
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// refused loads a model that must not be taken, and looks in the message for the file, the place and the remedy.
func refused(t *testing.T, path string, wants ...string) {
	t.Helper()
	_, err := Load(path)
	if err == nil {
		t.Fatalf("it was taken, want %q", wants)
	}
	for _, want := range append(wants, "load model "+path+": ") {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v\nwant %q", err, want)
		}
	}
}

func TestTensorsThatDoNotFitAreRefused(t *testing.T) {
	in, out := input("images", elemFloat32, dynamic, 3, 64, 64), output("boxes", elemFloat32, dynamic, 84, 8)
	for name, c := range map[string]struct {
		graph [][]byte
		wants []string
	}{
		"no input":   {[][]byte{out}, []string{"it has 0 inputs", "must be one"}},
		"two inputs": {[][]byte{in, input("more", elemFloat32, 1), out}, []string{"it has 2 inputs", "must be one"}},
		"bytes in":   {[][]byte{input("images", 2, 1, 3, 64, 64), out}, []string{"input images [1, 3, 64, 64] is of uint8", "export it again with float32"}},
		"half in":    {[][]byte{input("images", elemFloat16, 1, 3, 64, 64), out}, []string{"input images [1, 3, 64, 64] is of float16", "export it again with float32"}},
		"odd type":   {[][]byte{input("images", 77, 1, 3, 64, 64), out}, []string{"element type 77", "export it again with float32"}},
		"no type":    {[][]byte{message(11, text(1, "images")), out}, []string{"input images of unknown shape is of no tensor type", "export it again with float32"}},
		"no shape": {[][]byte{message(11, text(1, "images"), message(2, message(1, number(1, 1)))), out},
			[]string{"input images of unknown shape", "must be [N, 3, height, width]"}},
		"rank 3 in":    {[][]byte{input("images", elemFloat32, 3, 64, 64), out}, []string{"input images [3, 64, 64]", "must be [N, 3, height, width]"}},
		"grey in":      {[][]byte{input("images", elemFloat32, 1, 1, 64, 64), out}, []string{"input images [1, 1, 64, 64]", "must be [N, 3, height, width]"}},
		"channel last": {[][]byte{input("images", elemFloat32, 1, 64, 64, 3), out}, []string{"[1, 64, 64, 3]", "must be [N, 3, height, width]"}},
		"rank 9":       {[][]byte{input("images", elemFloat32, make([]int64, 9)...), out}, []string{`"images" has more than 8 dimensions`, "exported again"}},
		"dynamic size": {[][]byte{input("images", elemFloat32, dynamic, 3, dynamic, dynamic), out}, []string{"input images [?, 3, ?, ?]", "export it with a fixed size or write a card"}},
		"dynamic side": {[][]byte{input("images", elemFloat32, 1, 3, 64, dynamic), out}, []string{"input images [1, 3, 64, ?]", "export it with a fixed size"}},
		"odd size":     {[][]byte{input("images", elemFloat32, 1, 3, 100, 64), out}, []string{"[1, 3, 100, 64]", "multiples of 32"}},
		"vast size":    {[][]byte{input("images", elemFloat32, 1, 3, 1<<40, 64), out}, []string{"[1, 3, 1099511627776, 64]", "up to 8192"}},
		"vast batch":   {[][]byte{input("images", elemFloat32, math.MaxInt64, 3, 64, 64), out}, []string{"a batch of 9223372036854775807", "at most 1024"}},
		"no output":    {[][]byte{in}, []string{"outputs (none)", "[N, 84, 5+classes] (yolox)", "export it so"}},
		"rank 2 out":   {[][]byte{in, output("boxes", elemFloat32, 84, 8)}, []string{"outputs boxes [84, 8]", "[N, 84, 5+classes] (yolox)", "export it so"}},
		"rank 4 out":   {[][]byte{in, output("boxes", elemFloat32, 1, 84, 8, 1)}, []string{"outputs boxes [1, 84, 8, 1]", "export it so"}},
		"no rank out": {[][]byte{in, message(12, text(1, "boxes"), message(2, message(1, number(1, 1))))},
			[]string{"outputs boxes of unknown shape", "export it so"}},
		"int out":    {[][]byte{in, output("boxes", 7, 1, 84, 8)}, []string{"outputs boxes [1, 84, 8] int64", "must be"}},
		"NMS inside": {[][]byte{in, output("num", 6, 1, 1), output("boxes", elemFloat32, 1, 100, 4)}, []string{"outputs num [1, 1] int32, boxes [1, 100, 4]", "without NMS inside"}},
		"dynamic out": {[][]byte{in, output("boxes", elemFloat32, dynamic, dynamic, dynamic)},
			[]string{"outputs boxes [?, ?, ?] fit several families", "write a card beside it"}},
		"7 classes":  {[][]byte{in, output("boxes", elemFloat32, 1, 84, 12)}, []string{"hold 7 classes", "its metadata names 3 labels", "write a card beside it"}},
		"v5 classes": {[][]byte{in, output("boxes", elemFloat32, 1, 252, 12)}, []string{"hold 7 classes", "its metadata names 3 labels"}},
		"v8 classes": {[][]byte{in, output("boxes", elemFloat32, 1, 11, 84)}, []string{"hold 7 classes", "its metadata names 3 labels"}},
	} {
		t.Run(name, func(t *testing.T) {
			n := yoloxNet()
			n.graph = c.graph
			refused(t, save(t, n.bytes(), ""), c.wants...)
		})
	}
}

func TestMetadataOfExportersThatDoNotFitAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		key, value string
		wants      []string
	}{
		"task":        {"task", "segment", []string{`metadata says task "segment"`, "name a detection model"}},
		"stride":      {"stride", "64", []string{`metadata says stride "64"`, "must be 32"}},
		"no stride":   {"stride", "many", []string{`metadata says stride "many"`, "must be 32"}},
		"names":       {"names", "a, b, c", []string{"metadata names at byte 0", "write a card beside it"}},
		"two names":   {"names", "['a', 'b']", []string{"hold 3 classes", "names 2 labels", "write a card beside it"}},
		"no name":     {"names", "['a', '', 'c']", []string{"metadata names label 1", "write a card beside it"}},
		"vast names":  {"names", "['" + strings.Repeat("a', '", maxNamesBytes/4), []string{"bytes of names", "write a card beside it"}},
		"many names":  {"names", "[" + strings.Repeat("'a',", 5000) + "]", []string{"more than 4096 names", "write a card beside it"}},
		"long name":   {"names", "['" + strings.Repeat("a", 200) + "']", []string{"longer than 128 bytes", "write a card beside it"}},
		"escape":      {"names", "['a', 'b', '\x1b[2J']", []string{"metadata names label 2", `\x1b`, "write a card beside it"}},
		"card inside": {MetadataKey, "family: yolox", []string{"its metadata sightline.card: schema: must be sightline.model/1", "labels: 0 labels"}},
		"empty card":  {MetadataKey, "", []string{"its metadata sightline.card: is empty"}},
		"huge entry":  {"x", strings.Repeat("x", maxValue+1), []string{"in the metadata", "one of more than 1048576 bytes", "exported again"}},
		"huge key":    {strings.Repeat("x", maxValue+1), "x", []string{"in the metadata", "one of more than 1048576 bytes", "exported again"}},
	} {
		t.Run(name, func(t *testing.T) { refused(t, save(t, yoloxNet().meta(c.key, c.value).bytes(), ""), c.wants...) })
	}
	n := yoloxNet()
	for i := range maxMetadata {
		n.meta(strings.Repeat("k", i), "v")
	}
	refused(t, save(t, n.bytes(), ""), "in the metadata: more than 1000 entries", "exported again")
}

// TestNoLabelsNoGuess: only COCO's 80 labels are known by heart.
func TestNoLabelsNoGuess(t *testing.T) {
	n := yoloxNet()
	n.metadata = nil
	refused(t, save(t, n.bytes(), ""), "hold 3 classes without labels", "write a card beside it")
	n.graph[1] = output("boxes", elemFloat32, 1, 84, 85)
	s, err := Load(save(t, n.bytes(), ""))
	if err != nil || s.Source != FromShapes || !slices.Equal(s.Labels, COCOLabels()) {
		t.Errorf("80 classes: %v, %+v", err, s)
	}
}

// TestSizeFromTheExportersNote: height first, and only where the tensor leaves it open.
func TestSizeFromTheExportersNote(t *testing.T) {
	for note, want := range map[string][2]int{"[32, 64]": {64, 32}, "[64,32]": {32, 64}} {
		n := yoloxNet().meta("imgsz", note)
		n.graph = [][]byte{input("images", elemFloat32, dynamic, 3, dynamic, dynamic), output("boxes", elemFloat32, dynamic, 42, 8)}
		s, err := Load(save(t, n.bytes(), ""))
		if err != nil || s.Width != want[0] || s.Height != want[1] {
			t.Errorf("%s: %v, %dx%d", note, err, s.Width, s.Height)
		}
	}
	s, err := Load(save(t, yoloxNet().meta("imgsz", "[320, 320]").bytes(), ""))
	if err != nil || s.Width != 64 {
		t.Errorf("a note against the tensor: %v, %d", err, s.Width)
	}
}

// TestFilesThatAreNoModels: what people point at by mistake.
func TestFilesThatAreNoModels(t *testing.T) {
	for name, c := range map[string]struct{ data, want string }{
		"html":    {"<!DOCTYPE html><html><body>404: Not Found</body></html>", "exported again if it is one"},
		"pointer": {"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3678356\n", "exported again if it is one"},
		"zip":     {"PK\x03\x04\x14\x00\x08\x08", "export"},
		"zeros":   {strings.Repeat("\x00", 4096), "no field has the tag 0"},
		"png":     {"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", "export"},
	} {
		t.Run(name, func(t *testing.T) { refused(t, save(t, []byte(c.data), ""), "ONNX", c.want) })
	}
	huge := save(t, nil, "")
	if err := os.Truncate(huge, maxFileBytes+1); err != nil {
		t.Fatal(err)
	}
	refused(t, huge, "model.onnx has 1073741825 bytes", "at most 1073741824", "name another file")
	pipe := filepath.Join(t.TempDir(), "pipe.onnx")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	refused(t, pipe, "it is no file", "give the path of an .onnx file") // and does not wait for a writer
	refused(t, os.DevNull, "it is no file", "give the path of an .onnx file")
	refused(t, filepath.Dir(pipe), "it is no file", "give the path of an .onnx file")
	refused(t, filepath.Join(pipe+"s", "b.onnx"), "no such file", "give the path of an .onnx file")
}
