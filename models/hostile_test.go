package models

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"unicode"

	"google.golang.org/protobuf/encoding/protowire"
)

// TestEveryTruncationIsRefused cuts files at each byte; the facts of these lie at their ends.
func TestEveryTruncationIsRefused(t *testing.T) {
	for _, name := range []string{"tiny.onnx", "tiny_v5.onnx", "tiny_v8.onnx"} {
		whole := read(t, name)
		path := filepath.Join(t.TempDir(), "model.onnx")
		for n := range whole {
			if err := os.WriteFile(path, whole[:n], 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := Load(path)
			if err == nil {
				t.Fatalf("%s: %d of %d bytes were taken", name, n, len(whole))
			}
			if s := err.Error(); !strings.HasPrefix(s, "load model "+path+": ") || !strings.Contains(s, "again") && !strings.Contains(s, "write a card") {
				t.Fatalf("%s: %d of %d bytes: %v", name, n, len(whole), err)
			}
		}
	}
}

// TestCardTellsATruncatedFileByItsSum: also where the file alone still looks sound.
func TestCardTellsATruncatedFileByItsSum(t *testing.T) {
	tiny, card := read(t, "tiny.onnx"), cardOf(t)
	for _, n := range []int{0, 1, len(tiny) / 2, len(tiny) - 1} {
		refused(t, save(t, tiny[:n], card), "the file has sha256", "its card model.yaml says ", "fetch both again, or remove the card")
	}
}

func TestAFileCutBehindItsGraphIsRefused(t *testing.T) {
	whole := yoloxNet().bytes()
	without := slices.Concat(whole[:2], whole[6:]) // the operators' version takes 4 bytes
	refused(t, save(t, without, ""), "no version of its operators", "exported again")
	refused(t, save(t, whole[2:], ""), "no version", "exported again")
	refused(t, save(t, whole[:6], ""), "no graph", "exported again")
}

// TestLengthsAreNotBelieved: lengths and counts that the file cannot hold, in every place where one stands.
func TestLengthsAreNotBelieved(t *testing.T) {
	long := func(field protowire.Number, length uint64) []byte {
		return protowire.AppendVarint(protowire.AppendTag(nil, field, protowire.BytesType), length)
	}
	const ten = 10 << 30
	type wants []string
	for name, c := range map[string]struct {
		data  []byte
		wants wants
	}{
		"graph":       {slices.Concat(number(1, 8), long(7, ten)), wants{"truncated", "at byte 2 of ", "field 7 says it has 10737418240 bytes and 0 are left", "fetch or export it again"}},
		"metadata":    {append(yoloxNet().bytes(), long(14, ten)...), wants{"truncated", "field 14 says it has 10737418240 bytes", "fetch or export it again"}},
		"wrapping":    {long(7, math.MaxUint64), wants{"truncated", "18446744073709551615 bytes and 0 are left"}},
		"negative":    {long(7, 1<<63), wants{"truncated", "fetch or export it again"}},
		"name":        {yoloxNet().with(message(11, long(1, ten))).bytes(), wants{"in the graph: in an input: at byte 0 of ", "truncated"}},
		"weights":     {yoloxNet().with(message(5, text(8, "kernel"), long(9, ten))).bytes(), wants{`in the graph: in an initialiser: tensor "kernel": at byte `, "truncated"}},
		"output":      {yoloxNet().with(message(12, long(2, 7))).bytes(), wants{"in an output", "field 2 says it has 7 bytes and 0 are left"}},
		"dims":        {yoloxNet().with(message(5, message(1, []byte{0x80}))).bytes(), wants{"in an initialiser", "truncated"}},
		"long number": {slices.Concat([]byte{8}, bytes.Repeat([]byte{0xff}, 11)), wants{"a number takes more than 64 bits", "exported again"}},
		"group":       {append(yoloxNet().bytes(), 0x0b), wants{"field 1 has the unknown wire type 3", "exported again"}},
		"tag":         {append(yoloxNet().bytes(), binary.AppendUvarint(nil, 1<<40|8)...), wants{"no field has the tag 1099511627784", "exported again"}},
		"elements":    {yoloxNet().with(message(5, tensorParts("kernel", elemFloat32, 1<<20, 1<<20, 1<<20))).bytes(), wants{`"kernel"`, "claims more than 4294967296 numbers"}},
		"element":     {yoloxNet().with(message(5, tensorParts("kernel", elemFloat32, math.MaxUint64))).bytes(), wants{`"kernel"`, "claims more than 4294967296 numbers"}},
		"raw":         {yoloxNet().with(message(5, tensorParts("kernel", elemFloat32, 3), message(9, floats(1, 2)))).bytes(), wants{`tensor "kernel" claims 12 bytes of numbers and holds 8`, "exported again"}},
		"more raw":    {yoloxNet().with(message(5, tensorParts("kernel", elemFloat16, 3), message(9, floats(1, 2)))).bytes(), wants{`tensor "kernel" claims 6 bytes of numbers and holds 8`}},
		"none":        {yoloxNet().with(message(5, tensorParts("kernel", elemFloat32, 3))).bytes(), wants{`tensor "kernel" claims 3 numbers and holds none`, "exported again"}},
	} {
		t.Run(name, func(t *testing.T) { refused(t, save(t, c.data, ""), c.wants...) })
	}
}

func TestWeightsThatAreNoNumbersAreRefused(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(-1))
	for name, numbers := range map[string][]byte{
		"raw":   slices.Concat(tensorParts("kernel", elemFloat32, 2), message(9, floats(1, nan))),
		"typed": slices.Concat(tensorParts("kernel", elemFloat32, 2), message(4, floats(1, -nan))),
		"one":   slices.Concat(tensorParts("kernel", elemFloat32, 1), protowire.AppendFixed32(protowire.AppendTag(nil, 4, protowire.Fixed32Type), math.Float32bits(nan))),
		"half":  slices.Concat(tensorParts("kernel", elemFloat16, 2), message(9, []byte{0, 0, 1, 0xfc})),
	} {
		t.Run(name, func(t *testing.T) {
			refused(t, save(t, yoloxNet().with(message(5, numbers)).bytes(), ""), `in an initialiser: tensor "kernel" holds a weight that is not a number`, "exported again")
		})
	}
	for _, numbers := range [][]byte{
		slices.Concat(tensorParts("least", elemFloat32, 2), message(9, floats(1, inf))),
		slices.Concat(tensorParts("least", elemFloat16, 2), message(9, []byte{0, 0, 0, 0xfc})),
		slices.Concat(tensorParts("bits", 6, 1), message(9, floats(nan))), // as an int32 these are a number
	} {
		if _, err := Load(save(t, yoloxNet().with(message(5, numbers)).bytes(), "")); err != nil {
			t.Error(err)
		}
	}
}

// TestMemoryIsBounded: a megabyte of the smallest tensors of each kind must not become tens of megabytes.
func TestMemoryIsBounded(t *testing.T) {
	const fields = 1 << 20
	names := func(field protowire.Number, also ...byte) []byte {
		var b []byte
		for i := range fields / 8 {
			b = append(b, message(field, text(8, fmt.Sprint(i)), also)...)
		}
		return b
	}
	for name, part := range map[string][]byte{
		"inputs":       bytes.Repeat(message(11), fields),
		"outputs":      bytes.Repeat(message(12), fields),
		"initialisers": names(5, message(4)...),
		"external":     bytes.Repeat(message(1, message(5, message(5, number(14, 1)))), fields/8),
		"sparse":       bytes.Repeat(message(15, message(1, number(14, 1))), fields/8),
	} {
		data := yoloxNet().with(part).bytes()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := parseONNX(data)
		runtime.ReadMemStats(&after)
		if err == nil || !strings.Contains(err.Error(), "more than 65536 tensors") {
			t.Errorf("%s: %v", name, err)
		}
		if made := after.TotalAlloc - before.TotalAlloc; made > 48<<20 {
			t.Errorf("%s: %d bytes of file became %d of memory", name, len(data), made)
		}
	}
}

// TestMessagesObeyNobody: no escape sequence of a hostile file reaches a terminal, and no message is endless.
func TestMessagesObeyNobody(t *testing.T) {
	evil := "\x1b[2J\u009b\x00\nlevel=INFO\xff" + strings.Repeat("x", 1<<16)
	var cases []string
	for _, n := range []*network{
		yoloxNet().with(input(evil, 2, 1)), {graph: [][]byte{input(evil, 1, 1)}}, {graph: [][]byte{input(evil, 2, 1)}},
		{graph: [][]byte{input("images", 1, 1, 3, 64, 64), output(evil, 1, 1), output(evil, 7)}},
		yoloxNet().with(message(5, tensorParts(evil, 1, 3))), yoloxNet().with(outside(evil)), yoloxNet().with(outside("x", "offset", evil)),
		yoloxNet().meta("names", evil), yoloxNet().meta("names", "['"+evil+"']"), yoloxNet().meta("task", evil), yoloxNet().meta("stride", evil),
		yoloxNet().meta(MetadataKey, "\"\\e[2J\\nx\": 1"), yoloxNet().meta(MetadataKey, "a: *"+strings.Repeat("x", 1<<16)),
		yoloxNet().meta(MetadataKey, "schema: \"\\e[2J\""), yoloxNet().meta(MetadataKey, "family: \"\\e[2J\""),
	} {
		cases = append(cases, save(t, n.bytes(), ""))
	}
	cases = append(cases, save(t, read(t, "tiny.onnx"), cardOf(t, "labels:", "head:\n    - {stride: 8, outputs: [\"\\e[2J\", b, c]}\nlabels:")))
	for _, path := range cases {
		_, err := Load(path)
		if err == nil {
			t.Errorf("%s was taken", path)
			continue
		}
		// Several faults of one file stand on lines of their own.
		bad := func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }
		if s := err.Error(); strings.ContainsFunc(s, bad) || strings.Contains(s, "\nlevel") || strings.Contains(s, "\nx") || len(s) > 3000 {
			t.Errorf("%d bytes: %.300q", len(s), s)
		}
	}
}
