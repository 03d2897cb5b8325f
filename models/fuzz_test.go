package models

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode"
)

// FuzzParse reads any bytes as an ONNX file: without a panic, without more memory than the file deserves, and without a spec that
// breaks its own promises.
func FuzzParse(f *testing.F) {
	for _, name := range []string{"tiny.onnx", "tiny_v5.onnx", "tiny_v8.onnx", "tiny_poison.onnx"} {
		data := read(f, name)
		for n := 1; n <= 4; n++ {
			f.Add(data[:len(data)*n/4])
		}
	}
	for _, n := range []*network{
		yoloxNet(), yoloxNet().with(outside("weights.bin")), yoloxNet().meta("imgsz", "[64, 64]"),
		yoloxNet().with(message(15, message(1, tensorParts("sparse", elemFloat32, 1), message(9, floats(1))))),
		yoloxNet().with(message(1, message(5, message(6, message(5, tensorParts("deep", elemFloat16, 1), message(9, []byte{0, 0})))))),
	} {
		f.Add(n.bytes())
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := parseONNX(data)
		if err != nil {
			harmless(t, fileFault(err, len(data)))
			return
		}
		if kept := file.kept(); kept > 64*len(data) {
			t.Errorf("%d bytes of file became %d of memory", len(data), kept)
		}
		for _, x := range file.external {
			if err := x.check(t.TempDir()); err == nil {
				t.Errorf("%+v was found in an empty folder", x)
			}
		}
		var s Spec
		if err := s.describe(file, nil); err != nil {
			harmless(t, err)
			return
		}
		s.sound(t)
	})
}

// kept estimates the memory that a file's facts take.
func (f *onnxFile) kept() int {
	n := 100 * len(f.external)
	for _, t := range slices.Concat(f.inputs, f.outputs) {
		n += 56 + len(t.name) + 8*cap(t.shape)
	}
	for name := range f.initial {
		n += 40 + len(name)
	}
	for key, value := range f.metadata {
		n += 60 + len(key) + len(value)
	}
	for _, x := range f.external {
		n += len(x.tensor) + len(x.location) + len(x.offset) + len(x.length)
	}
	return n
}

// sound looks for what every user of a spec relies on.
func (s Spec) sound(t *testing.T) {
	t.Helper()
	if !validSide(int64(s.Width)) || !validSide(int64(s.Height)) || s.Batch < 0 || s.Batch > 1024 || checkLabels(s.Labels) != nil {
		t.Errorf("%dx%d, batch %d, labels %q", s.Width, s.Height, s.Batch, s.Labels)
	}
	if s.Family != YOLOX && s.Family != YOLOv5 && s.Family != YOLOv8 || s.Layout.Scale <= 0 {
		t.Errorf("family %q, layout %+v", s.Family, s.Layout)
	}
	outputs := s.Outputs(1)
	if len(outputs) == 0 || len(outputs) > 3*maxLevels {
		t.Errorf("outputs %v", outputs)
	}
	for _, o := range outputs {
		if slices.Min(o.Shape) < 1 {
			t.Errorf("output %v", o)
		}
	}
}

// harmless looks for what a terminal obeys, and for messages without an end.
func harmless(t *testing.T, err error) {
	t.Helper()
	bad := func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }
	if s := err.Error(); strings.ContainsFunc(s, bad) || len(s) > 3000 {
		t.Errorf("%d bytes: %.300q", len(s), s)
	}
}

// FuzzCard reads any text as a card: what is taken is written and read again as the same.
func FuzzCard(f *testing.F) {
	card := cardOf(f)
	f.Add(card, false)
	f.Add(strings.Replace(card, "labels:", "head:\n    - {stride: 8, outputs: [a, b, c]}\nlabels:", 1), false)
	f.Add(card[:strings.Index(card, "\nsha256:")+1]+"command: x\n", true)
	f.Add("a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]", false)
	f.Fuzz(func(t *testing.T, text string, alone bool) {
		c, err := parseCard([]byte(text), alone)
		if err != nil {
			harmless(t, err)
			return
		}
		c.Report = nil // any YAML, which is only handed on
		out, err := c.Marshal(alone)
		if err != nil {
			t.Fatalf("%q was read and is not written: %v", text, err)
		}
		if again, err := parseCard(out, alone); err != nil || !reflect.DeepEqual(again, c) {
			t.Errorf("%+v is written as\n%s\nand read as %+v, %v", c, out, again, err)
		}
	})
}

// FuzzNames reads any text as an exporter's labels.
func FuzzNames(f *testing.F) {
	for _, seed := range []string{`['a', "b", 'it\'s']`, `{0: 'a', 1: 'b'}`, `{1: 'b', 0: 'a',}`, `['\x00']`, "[", "{0", "['", `['\`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		labels, err := parseNames(text)
		if err != nil {
			harmless(t, err)
			return
		}
		if err := checkLabels(labels); err != nil {
			t.Errorf("%q gives %q: %v", text, labels, err)
		}
	})
}
