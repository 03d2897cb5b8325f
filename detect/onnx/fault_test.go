package onnx

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestPoisonedPictureFailsItsBatchOnly: one white pixel fails the run of every batch that holds it, and nothing else.
func TestPoisonedPictureFailsItsBatchOnly(t *testing.T) {
	f := forms[0]
	f.file = "tiny_poison.onnx"
	s, clean := f.open(t, 3), forms[0].open(t, 3)
	size := len(s.Input()) / 3
	for i := range 3 {
		rectangles[i].paint(s.Input()[i*size:][:size], f.channels, f.full)
	}
	copy(clean.Input(), s.Input())
	same := func(n int) {
		t.Helper()
		for _, s := range []*Session{s, clean} {
			clear(s.Outputs()[0])
			if err := s.Run(n); err != nil {
				t.Fatal(err)
			}
		}
		if !sameBits(s.Outputs()[0], clean.Outputs()[0]) {
			t.Errorf("a batch of %d differs from that of the network without poison", n)
		}
	}
	same(3)
	pixel := 2*size + 17*side + 5 // of the last item
	for plane := range 3 {
		s.Input()[pixel+plane*side*side] = 251
	}
	for range 3 {
		err := s.Run(3)
		if err == nil || !strings.HasPrefix(err.Error(), "run network: ") || !strings.Contains(err.Error(), "nothing") {
			t.Fatalf("the poisoned batch: %v", err)
		}
		same(2) // the healthy pictures of the same buffers
	}
	s.Input()[pixel] = 249 // no longer white in all colours
	clean.Input()[pixel], clean.Input()[pixel+side*side], clean.Input()[pixel+2*side*side] = 249, 251, 251
	same(3)
}

// TestWhatCannotRunIsRefusedAtOpenOrAtTheFirstRun, with a message that says what was found.
func TestWhatCannotRunIsRefusedAtOpenOrAtTheFirstRun(t *testing.T) {
	dir := t.TempDir()
	whole, err := os.ReadFile(tiny)
	if err != nil {
		t.Fatal(err)
	}
	file := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	missing := filepath.Join(dir, "missing.onnx")
	for name, c := range map[string]struct {
		change func(*Options)
		atOpen bool
		want   string
	}{
		"missing":      {func(o *Options) { o.Model = missing }, true, missing},
		"folder":       {func(o *Options) { o.Model = dir }, true, dir},
		"empty":        {func(o *Options) { o.Model = file("empty.onnx", nil) }, true, "empty.onnx"},
		"text":         {func(o *Options) { o.Model = file("text.onnx", []byte("no network")) }, true, "text.onnx"},
		"half":         {func(o *Options) { o.Model = file("half.onnx", whole[:len(whole)/2]) }, true, "half.onnx"},
		"tail":         {func(o *Options) { o.Model = file("tail.onnx", whole[:len(whole)-300]) }, true, "tail.onnx"},
		"device":       {func(o *Options) { o.Device = "cuda:x" }, true, `device "cuda:x": must be cpu`},
		"no shape":     {func(o *Options) { o.Input.Shape = nil }, true, "must begin with the same batch"},
		"no batch":     {func(o *Options) { o.Input.Shape[0], o.Outputs[0].Shape[0] = 0, 0 }, true, "must be positive"},
		"vast":         {func(o *Options) { o.Input.Shape[2] = 1 << 40 }, true, "less than 2^31"},
		"batches":      {func(o *Options) { o.Outputs[0].Shape[0] = 2 }, true, "must begin with the same batch"},
		"no output":    {func(o *Options) { o.Outputs = nil }, true, "no output is named"},
		"output twice": {func(o *Options) { o.Outputs = append(o.Outputs, o.Outputs[0]) }, true, "an output is named twice"},
		"negative":     {func(o *Options) { o.Outputs[0].Shape[1] = -756 }, true, "tensor output0 [1 -756 8]: sizes must be positive"},
		"input name":   {func(o *Options) { o.Input.Name = "pictures" }, true, "pictures"},
		"output name":  {func(o *Options) { o.Outputs[0].Name = "boxes" }, false, "boxes"},
		"input size":   {func(o *Options) { o.Input.Shape[3] = 224 }, false, "index: 3 Got: 224 Expected: 192"},
		"input rank":   {func(o *Options) { o.Input.Shape = []int64{1, 3, 192 * 192} }, false, "Invalid rank for input: images"},
		"output rows":  {func(o *Options) { o.Outputs[0].Shape[1] = 755 }, false, "index: 1 Got: 755 Expected: 756"},
		"output cut":   {func(o *Options) { o.Outputs[0].Shape[2] = 7 }, false, "index: 2 Got: 7 Expected: 8"},
		"output large": {func(o *Options) { o.Outputs[0].Shape[2] = 85 }, false, "index: 2 Got: 85 Expected: 8"},
		"output rank":  {func(o *Options) { o.Outputs[0].Shape = []int64{1, 756 * 8} }, false, "Invalid rank for output: output0 Got: 2 Expected: 3"},
	} {
		t.Run(name, func(t *testing.T) {
			o := tinyOptions(1)
			c.change(&o)
			s, err := Open(o)
			if err == nil {
				defer s.Close()
				err = s.Run(1)
			} else if s != nil || !c.atOpen || !strings.HasPrefix(err.Error(), "open model "+o.Model+": ") {
				t.Errorf("%v: %v", s, err)
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}

func TestCloseTwice(t *testing.T) {
	s, err := Open(tinyOptions(2))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := s.Run(1); err == nil || !strings.Contains(err.Error(), "closed") {
		t.Errorf("run after close: %v", err)
	}
}

// TestClosedSessionsLeaveNoThreads, nor do those that could not be opened.
func TestClosedSessionsLeaveNoThreads(t *testing.T) {
	openTiny(t, 1)
	before := tasks(t)
	for i := range 20 {
		o := tinyOptions(1)
		if o.Threads = 4; i%2 == 1 {
			o.Outputs[0].Name = "nobody"
		}
		if s, err := Open(o); err == nil {
			if during := tasks(t); i == 0 && during < before+3 {
				t.Errorf("four threads were asked for, and %d became %d", before, during)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
	}
	// Go's own threads come and go; 20 sessions that stay would leave 60.
	if after := tasks(t); after > before+20 {
		t.Errorf("%d threads became %d", before, after)
	}
}

// TestBadLibrariesAreRefused, and a good one may follow. A process loads one library: so this runs in one of its own.
func TestBadLibrariesAreRefused(t *testing.T) {
	const variable = "SIGHTLINE_TEST_FRESH"
	if os.Getenv(variable) == "" {
		fresh := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^"+t.Name()+"$", "-test.v")
		fresh.Env = append(os.Environ(), variable+"=1")
		if out, err := fresh.CombinedOutput(); err != nil || !slices.Contains(strings.Fields(string(out)), t.Name()) {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	text := filepath.Join(t.TempDir(), "libonnxruntime.so.1.99.0")
	if err := os.WriteFile(text, []byte("no library"), 0o600); err != nil {
		t.Fatal(err)
	}
	other, _ := filepath.Glob("/lib*/*/libm.so.6") // a library, but not this one
	for _, bad := range append(other, text) {
		o := tinyOptions(1)
		o.Library = bad
		_, err := Open(o)
		if err == nil || !strings.Contains(err.Error(), "load onnxruntime ") || !strings.Contains(err.Error(), "must be version 1.24 or newer") || !strings.Contains(err.Error(), "make deps") {
			t.Errorf("%s: %v", bad, err)
		}
	}
	if err := openTiny(t, 1).Run(1); err != nil {
		t.Error(err)
	}
}
