package onnx

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

const tiny = "../testdata/tiny.onnx"

func tinyOptions(batch int64) Options {
	return Options{
		Model: tiny, Input: Tensor{"images", []int64{batch, 3, 192, 192}}, Outputs: []Tensor{{"output0", []int64{batch, 756, 8}}},
	}
}

func openTiny(t testing.TB, batch int64) *Session {
	t.Helper()
	s, err := Open(tinyOptions(batch))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// fill puts different pictures into the items of a batch.
func fill(s *Session, batch int) {
	size := len(s.Input()) / batch
	for i := range s.Input() {
		s.Input()[i] = float32((i%size*7 + i/size*31) % 256)
	}
}

func TestPartOfABatchGivesWhatEachAloneGives(t *testing.T) {
	const batch = 4
	all := openTiny(t, batch)
	fill(all, batch)
	if err := all.Run(batch); err != nil {
		t.Fatal(err)
	}
	want := slices.Clone(all.Outputs()[0])
	size := len(want) / batch
	for n := 1; n < batch; n++ {
		clear(all.Outputs()[0])
		if err := all.Run(n); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(all.Outputs()[0][:n*size], want[:n*size]) {
			t.Errorf("the first %d of %d differ", n, batch)
		}
		if slices.ContainsFunc(all.Outputs()[0][n*size:], func(v float32) bool { return v != 0 }) {
			t.Errorf("a batch of %d wrote more", n)
		}
	}
	for _, n := range []int{0, -1, batch + 1} {
		if err := all.Run(n); err == nil || !strings.Contains(err.Error(), "must be 1 to 4") {
			t.Errorf("a batch of %d: %v", n, err)
		}
	}
}

func TestWrongOptionsAreRefused(t *testing.T) {
	broken := filepath.Join(t.TempDir(), "broken.onnx")
	whole, err := os.ReadFile(tiny)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(broken, whole[:len(whole)/2], 0o600); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Options){
		"cpu":         func(o *Options) { o.Device = "abacus" },
		"broken.onnx": func(o *Options) { o.Model = broken },
		"nobody":      func(o *Options) { o.Outputs[0].Name = "nobody" },
		"positive":    func(o *Options) { o.Input.Shape[2] = 0 },
		"2^31":        func(o *Options) { o.Input.Shape[2] = 1 << 40 },
		"same batch":  func(o *Options) { o.Outputs[0].Shape[0] = 2 },
		"no output":   func(o *Options) { o.Outputs = nil },
	} {
		o := tinyOptions(1)
		change(&o)
		s, err := Open(o)
		if err == nil {
			// A name is looked for when it is bound or run.
			if err = s.Run(1); err == nil {
				t.Errorf("%s was taken", name)
			}
			s.Close()
		}
		if err != nil && !strings.Contains(err.Error(), name) && !strings.Contains(err.Error(), "nobody") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSessionsRunSideBySide(t *testing.T) {
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			s, err := Open(tinyOptions(1))
			if err != nil {
				t.Error(err)
				return
			}
			defer s.Close()
			for range 20 {
				if err := s.Run(1); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wait.Wait()
}

func TestRunAllocatesNothing(t *testing.T) {
	s := openTiny(t, 1)
	if n := testing.AllocsPerRun(20, func() {
		if err := s.Run(1); err != nil {
			t.Error(err)
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestLibraryIsFoundOrAllPlacesAreNamed(t *testing.T) {
	found, err := FindLibrary("")
	if err != nil {
		t.Fatal(err)
	}
	if named, err := FindLibrary(found); err != nil || named != found {
		t.Errorf("named, it is %s, %v", named, err)
	}
	if _, err := FindLibrary("/nowhere/libonnxruntime.so"); err == nil || !strings.Contains(err.Error(), "the configuration") {
		t.Errorf("a name that leads nowhere: %v", err)
	}
	t.Setenv(LibraryVariable, "/nowhere/libonnxruntime.so")
	if _, err := FindLibrary(""); err == nil || !strings.Contains(err.Error(), "$"+LibraryVariable) {
		t.Errorf("a variable that leads nowhere: %v", err)
	}
	t.Setenv(LibraryVariable, "")
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	before := systemFolders
	systemFolders = []string{t.TempDir()}
	defer func() { systemFolders = before }()
	if _, err := FindLibrary(""); err == nil || !strings.Contains(err.Error(), systemFolders[0]) || !strings.Contains(err.Error(), "make deps") {
		t.Errorf("nowhere at all: %v", err)
	}
}

func BenchmarkRun(b *testing.B) {
	s := openTiny(b, 1)
	b.ReportAllocs()
	for b.Loop() {
		if err := s.Run(1); err != nil {
			b.Fatal(err)
		}
	}
}
