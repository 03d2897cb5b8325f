package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"image/color"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/sightline/sightline/models/graph"
)

// damaged is tiny_grid.onnx after something was done to it.
func damaged(t testing.TB, do func(m *graph.Model)) []byte {
	t.Helper()
	m, err := graph.Read(tinyGrid(t))
	if err != nil {
		t.Fatal(err)
	}
	do(m)
	data, err := m.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// sub is a message inside another.
func sub(number protowire.Number, parts ...[]byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(nil, number, protowire.BytesType), bytes.Join(parts, nil))
}

// external is a graph with a tensor whose numbers lie in another file.
func external(location string) []byte {
	entry := sub(13, sub(1, []byte("location")), sub(2, []byte(location)))
	outside := protowire.AppendVarint(protowire.AppendTag(nil, 14, protowire.VarintType), 1)
	return sub(7, sub(5, sub(8, []byte("kernel")), entry, outside))
}

// withoutConvolutions gives what a YOLOX would, of a constant.
func withoutConvolutions(m *graph.Model) {
	g := m.Graph
	g.Initializers = map[string]*graph.Tensor{
		"nought": graph.NewFloat(nil, []float32{0}), "rows": graph.NewFloat([]int64{1, 756, 8}, make([]float32, 756*8)),
	}
	g.Nodes = []*graph.Node{
		{Op: "Mul", Inputs: []string{"images", "nought"}, Outputs: []string{"dark"}},
		{Op: "ReduceMax", Inputs: []string{"dark"}, Outputs: []string{"none"}, Attrs: map[string]graph.Attr{"axes": graph.IntsAttr(1, 2, 3), "keepdims": graph.IntAttr(0)}},
		{Op: "Add", Inputs: []string{"none", "rows"}, Outputs: []string{"output"}},
	}
}

// badModel is a model that no tool takes, and what is said of it.
type badModel struct {
	data  []byte
	wants []string
}

func badModels(t *testing.T) map[string]badModel {
	t.Helper()
	whole := damaged(t, func(*graph.Model) {})
	return map[string]badModel{
		"no ONNX":   {[]byte("this is no network"), []string{"ONNX", "export"}},
		"empty":     {nil, []string{"is empty", "fetch or export it again"}},
		"truncated": {whole[:len(whole)/2], []string{"truncated", "fetch or export it again"}},
		"10 GB declared": {binary.AppendUvarint([]byte{8, 8, 7<<3 | 2}, 10<<30),
			[]string{"says it has 10737418240 bytes", "fetch or export it again"}},
		"10 GB of weights": {append(bytes.Clone(whole), sub(7, sub(5, binary.AppendUvarint([]byte{1 << 3}, 10<<30/4), []byte{2 << 3, 1}, sub(8, []byte("kernel")), sub(9, []byte{1})))...),
			[]string{"kernel", "10737418240 bytes", "holds 1"}},
		"external elsewhere": {append(bytes.Clone(whole), external("../weights.bin")...), []string{"outside the model's folder", "export the model as one file"}},
		"external":           {append(bytes.Clone(whole), external("weights.bin")...), []string{"in another file", "export the model as one file"}},
		"old opset":          {damaged(t, func(m *graph.Model) { m.Opsets[""] = 7 }), []string{"opset 7", "export it with opset 17"}},
		"new opset":          {damaged(t, func(m *graph.Model) { m.Opsets[""] = 99 }), []string{"opset 99", "export it with opset 17"}},
		"no convolutions":    {damaged(t, withoutConvolutions), []string{"no convolutions"}},
		"open size": {damaged(t, func(m *graph.Model) {
			m.Metadata, m.Graph.Inputs[0].Shape = nil, []int64{1, 3, -1, -1}
		}), []string{"height and width must be fixed", "export it with a fixed size or write a card"}},
		"NaN": {damaged(t, func(m *graph.Model) {
			w := m.Graph.Initializers["stem.weight"]
			v, _ := w.Floats() // which it has
			v[3] = float32(math.NaN())
			m.Graph.Initializers["stem.weight"] = graph.NewFloat(w.Shape, v)
		}), []string{"stem.weight", "not a number (NaN)", "export"}},
	}
}

// TestBadModelsAreRefused: by every command that makes models, with the file, the fault and the remedy, and nothing is left.
func TestBadModelsAreRefused(t *testing.T) {
	calib, recipe := patches(t, 2), write(t, "int8.yaml", "schema: sightline.recipe/1\nquantize:\n")
	bad := badModels(t)
	made := filepath.Join(t.TempDir(), "int8.onnx")
	if code, said, stderr := finish(t, "model", "quantize", "--calib", calib, tinyGrid(t), made); code != exitDone {
		t.Fatalf("exit code %d: %s%s", code, said, stderr)
	}
	quantised, err := os.ReadFile(made)
	if err != nil {
		t.Fatal(err)
	}
	bad["quantised already"] = badModel{quantised, []string{"quantised already", "give the float original"}}
	var cases []refusal
	var folders []string
	for name, c := range bad {
		dir := t.TempDir()
		in, out := filepath.Join(dir, "in.onnx"), filepath.Join(dir, "out", "out.onnx")
		if err := os.Mkdir(filepath.Dir(out), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(in, c.data, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "weights.bin"), []byte{1, 2, 3, 4}, 0o600); err != nil {
			t.Fatal(err)
		}
		folders = append(folders, filepath.Dir(out))
		wants := append([]string{"in.onnx"}, c.wants...)
		for _, command := range [][]string{{"quantize", "--calib", calib}, {"prune", "--amount", "0.3"}, {"compress", "--recipe", recipe, "--calib", calib}} {
			args := append(append([]string{"model"}, command...), in, out)
			cases = append(cases, refusal{name + ", " + command[0], args, exitFailed, wants})
		}
	}
	checkAll(t, cases)
	t.Cleanup(func() {
		for _, dir := range folders {
			if left, _ := os.ReadDir(dir); len(left) > 0 {
				t.Errorf("a refused model left %v", left)
			}
		}
	})
}

// TestBadPicturesAreRefused: by every command that learns from pictures.
func TestBadPicturesAreRefused(t *testing.T) {
	recipe := write(t, "int8.yaml", "schema: sightline.recipe/1\nquantize:\n")
	broken, dangling, plain := patches(t, 2), patches(t, 2), t.TempDir()
	if err := os.WriteFile(filepath.Join(broken, "001.png"), []byte("\x89PNG\r\n\x1a\nbroken"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("nowhere.png", filepath.Join(dangling, "x.png")); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		pic := image.NewGray(image.Rect(0, 0, 64, 48))
		for at := range pic.Pix {
			pic.Pix[at] = uint8(100)
		}
		savePNG(t, filepath.Join(plain, fmt.Sprintf("%d.png", i)), pic)
	}
	folders := map[string][]string{
		t.TempDir(): {"no JPEG, PNG or GIF", "name a folder with some hundred pictures"},
		"nowhere":   {"nowhere", "no such file"},
		recipe:      {"int8.yaml", "not a directory"},
		broken:      {"001.png", "PNG"},
		dangling:    {"x.png", "no such file"},
		plain:       {plain, "all of one colour", "name a folder with pictures of what the cameras see"},
	}
	if os.Getuid() != 0 { // root reads everything
		closed := patches(t, 2)
		if err := os.Chmod(closed, 0); err != nil {
			t.Fatal(err)
		}
		folders[closed] = []string{closed, "permission denied"}
	}
	dir := t.TempDir()
	out := filepath.Join(dir, "out.onnx")
	var cases []refusal
	for folder, wants := range folders {
		for _, command := range [][]string{{"quantize"}, {"prune", "--amount", "0.3"}, {"compress", "--recipe", recipe}} {
			args := append(append([]string{"model"}, command...), "--calib", folder, tinyGrid(t), out)
			cases = append(cases, refusal{command[0] + ": " + wants[len(wants)-1], args, exitFailed, wants})
		}
	}
	checkAll(t, cases)
	t.Cleanup(func() {
		if left, _ := os.ReadDir(dir); len(left) > 0 {
			t.Errorf("refused pictures left %v", left)
		}
	})
}

// TestTooFewPicturesAreSaid: with their number, on stderr, and the work is done.
func TestTooFewPicturesAreSaid(t *testing.T) {
	calib := patches(t, 3)
	for _, command := range [][]string{{"quantize"}, {"prune", "--amount", "0.3"}} {
		out := filepath.Join(t.TempDir(), "out.onnx")
		code, said, stderr := finish(t, append(append([]string{"model"}, command...), "--calib", calib, tinyGrid(t), out)...)
		if code != exitDone || !strings.Contains(stderr, "only 3 pictures") || strings.Contains(said, "only 3") {
			t.Errorf("exit code %d: %s%s", code, said, stderr)
		}
	}
}

// TestFullDisk: a write that fails in the middle is told, and leaves what was there before, whole.
func TestFullDisk(t *testing.T) {
	recipe := write(t, "small.yaml", "schema: sightline.recipe/1\ninput: 96\n")
	commands := [][]string{{"prune", "--amount", "0.3"}, {"compress", "--recipe", recipe}}
	small := filepath.Join(t.TempDir(), "small")
	if err := os.Mkdir(small, 0o700); err != nil {
		t.Fatal(err)
	}
	// A disk too small for a new bundle, where this user may make one.
	if err := syscall.Mount("none", small, "tmpfs", 0, "size=20k"); err == nil {
		t.Cleanup(func() {
			if err := syscall.Unmount(small, 0); err != nil {
				t.Error(err)
			}
		})
		fillsUp(t, small, "no space left on device", commands, nil)
	} else if os.Getuid() == 0 {
		t.Log("no small disk could be made: ", err)
	}
	// Everywhere: a process that may not write files of more than 16 blocks of 512 bytes.
	fillsUp(t, t.TempDir(), "file too large", commands, []string{"sh", "-c", `ulimit -f 16 && exec "$0" "$@"`})
}

func fillsUp(t *testing.T, dir, want string, commands [][]string, wrapper []string) {
	t.Helper()
	out := filepath.Join(dir, "out.onnx")
	for name, text := range map[string]string{"out.onnx": "an old model", "out.yaml": "an old card"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, command := range commands {
		args := append(append([]string{os.Args[0], "model"}, command...), tinyGrid(t), out)
		args = append(append([]string{}, wrapper...), args...)
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Env = append(os.Environ(), asCommand+"=1")
		said, _ := cmd.CombinedOutput() // the exit code is in ProcessState
		if code := cmd.ProcessState.ExitCode(); code != exitFailed || !strings.Contains(string(said), want) || !strings.Contains(string(said), "make room") {
			t.Errorf("%v: exit code %d: %s", command, code, said)
		}
		if !strings.Contains(string(said), ".onnx") || strings.Contains(string(said), "goroutine ") {
			t.Errorf("%v: %s", command, said)
		}
		left, err := os.ReadDir(dir)
		if err != nil || len(left) != 2 {
			t.Errorf("%v left %v, %v", command, left, err)
		}
		if old, err := os.ReadFile(out); err != nil || string(old) != "an old model" {
			t.Errorf("%v: the old model has %d bytes, %v", command, len(old), err)
		}
	}
}

// gate is a folder with pictures of which one is read only when the test lets it: through a pipe, a new one each time, so that a
// process is in the middle of its work for as long as the test wants.
type gate struct {
	dir, pipe, picture string
	passes             int
}

func newGate(t *testing.T) *gate {
	t.Helper()
	g := &gate{dir: patches(t, 4), picture: filepath.Join(t.TempDir(), "z.png")}
	pic := image.NewNRGBA(image.Rect(0, 0, 192, 192))
	for at := range 192 * 192 {
		pic.Set(at%192, at/192, color.NRGBA{uint8(at), uint8(at / 192), 90, 255})
	}
	savePNG(t, g.picture, pic)
	g.shut(t)
	return g
}

// shut makes the next reader wait, open lets all others through.
func (g *gate) shut(t *testing.T) {
	t.Helper()
	g.passes++
	g.pipe = fmt.Sprintf("%s.%d", g.picture, g.passes)
	if err := syscall.Mkfifo(g.pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	g.link(t, g.pipe)
}

func (g *gate) open(t *testing.T) { g.link(t, g.picture) }

func (g *gate) link(t *testing.T, to string) {
	t.Helper()
	fresh := fmt.Sprintf("%s.link", g.picture)
	if err := errors.Join(os.Symlink(to, fresh), os.Rename(fresh, filepath.Join(g.dir, "z.png"))); err != nil {
		t.Fatal(err)
	}
}

// reader waits until the process reads the picture. The function that it returns lets it have it.
func (g *gate) reader(t *testing.T, p *process) (give func()) {
	t.Helper()
	opened := make(chan *os.File, 1)
	go func(pipe string) {
		f, _ := os.OpenFile(pipe, os.O_WRONLY, 0) // blocks until somebody reads; nil on an error
		opened <- f
	}(g.pipe)
	select {
	case f := <-opened:
		if f == nil {
			t.Fatal("the pipe cannot be opened")
		}
		return func() {
			picture, err := os.ReadFile(g.picture)
			if err == nil {
				_, err = f.Write(picture)
			}
			if err := errors.Join(err, f.Close()); err != nil {
				t.Error(err)
			}
		}
	case <-p.ended:
		if f, err := os.OpenFile(g.pipe, os.O_RDONLY|syscall.O_NONBLOCK, 0); err == nil { // lets the other side go
			f.Close()
		}
		t.Fatal("ended before it read the picture")
	}
	return nil
}

// TestInterruptInTheMiddle: the first interrupt ends the work at the next step, the second at once; exit code 1, and nothing is left.
func TestInterruptInTheMiddle(t *testing.T) {
	recipe := write(t, "all.yaml", "schema: sightline.recipe/1\nprune: {amount: 0.2}\nquantize:\n")
	for _, command := range [][]string{{"quantize"}, {"prune", "--amount", "0.3"}, {"compress", "--recipe", recipe}} {
		for _, passes := range []int{0, 1} { // how often the picture is read before the interrupt
			for _, twice := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s, pass %d, twice %v", command[0], passes, twice), func(t *testing.T) {
					t.Parallel()
					g, dir := newGate(t), t.TempDir()
					args := append(append([]string{"model"}, command...), "--calib", g.dir, tinyGrid(t), filepath.Join(dir, "out.onnx"))
					p := start(t, nil, args...)
					for range passes {
						give := g.reader(t, p)
						g.shut(t)
						give()
					}
					give := g.reader(t, p)
					g.open(t)
					interrupt := func() {
						if err := p.cmd.Process.Signal(os.Interrupt); err != nil {
							t.Fatal(err)
						}
					}
					interrupt()
					p.await(t, "(stopping)")
					if twice {
						interrupt()
					} else {
						give()
					}
					if code := p.wait(t); code != exitFailed {
						t.Errorf("exit code %d", code)
					}
					if !twice && !strings.Contains(p.stderr.String(), "canceled") {
						t.Errorf("stderr: %s", p.stderr.String())
					}
					if left, _ := os.ReadDir(dir); len(left) > 0 {
						t.Errorf("left %v", left)
					}
				})
			}
		}
	}
}
