package onnx

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// place makes an empty file, with its folders.
func place(t *testing.T, parts ...string) string {
	t.Helper()
	path := filepath.Join(parts...)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// bare takes away every place where a library could be, and gives a cache and a system's folder without any.
func bare(t *testing.T) (cache, system string) {
	t.Helper()
	cache, system = t.TempDir(), t.TempDir()
	t.Setenv(LibraryVariable, "")
	t.Setenv("XDG_CACHE_HOME", cache)
	before := systemFolders
	t.Cleanup(func() { systemFolders = before })
	systemFolders = []string{filepath.Join(system, "none"), system}
	return cache, system
}

// TestOrderOfThePlaces fills the places from the last to the first: each must win over those before.
func TestOrderOfThePlaces(t *testing.T) {
	cache, system := bare(t)
	expect := func(named, want string) {
		t.Helper()
		if got, err := FindLibrary(named); err != nil || got != want {
			t.Errorf("%s, %v, want %s", got, err, want)
		}
	}
	expect("", place(t, system, "libonnxruntime.so"))
	expect("", place(t, system, "libonnxruntime.so.1.4.0"))
	expect("", place(t, system, "libonnxruntime.so.1.32.0"))
	expect("", place(t, cache, "sightline", "onnxruntime-1.4.0", "libonnxruntime.so.1.4.0"))
	expect("", place(t, cache, "sightline", "onnxruntime-1.32.0", "libonnxruntime.so.1.32.0"))
	newest := filepath.Join(cache, "sightline", "onnxruntime-1.32.0", "libonnxruntime.so.1.32.0")
	place(t, cache, "sightline", "onnxruntime-1.9.9", "libonnxruntime.so.1.9.9")
	place(t, cache, "other", "onnxruntime-9.0.0", "libonnxruntime.so.9.0.0")
	place(t, cache, "sightline", "onnxruntime-9.0.0", "libonnxruntime_providers_shared.so")
	expect("", newest)
	variable := place(t, t.TempDir(), "any name")
	t.Setenv(LibraryVariable, variable)
	expect("", variable)
	expect(newest, newest)
}

func TestWhatIsNoFileIsPassedOver(t *testing.T) {
	cache, system := bare(t)
	want := place(t, system, "libonnxruntime.so.1.30.0")
	place(t, system, "libonnxruntime.so.1.31.0", "inside")
	place(t, cache, "sightline", "onnxruntime-1.32.0", "libonnxruntime.so.1.32.0", "inside")
	if err := os.Symlink("gone", filepath.Join(system, "libonnxruntime.so.1.33.0")); err != nil {
		t.Fatal(err)
	}
	if got, err := FindLibrary(""); err != nil || got != want {
		t.Errorf("%s, %v, want %s", got, err, want)
	}
}

func TestEveryPlaceThatWasTriedIsNamed(t *testing.T) {
	cache, system := bare(t)
	_, err := FindLibrary("")
	if err == nil {
		t.Fatal("a library was found nowhere")
	}
	for _, want := range []string{
		"the configuration names none", "$SIGHTLINE_ONNXRUNTIME is not set", filepath.Join(cache, "sightline", "onnxruntime-*", "libonnxruntime.so*"),
		filepath.Join(system, "none", "libonnxruntime.so*"), filepath.Join(system, "libonnxruntime.so*"), "run `make deps`, or set $SIGHTLINE_ONNXRUNTIME",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	// Without a home there is no cache to look into, and no panic.
	t.Setenv("XDG_CACHE_HOME", "")
	t.Setenv("HOME", "")
	want := place(t, system, "libonnxruntime.so")
	if got, err := FindLibrary(""); err != nil || got != want {
		t.Errorf("without a home: %s, %v", got, err)
	}
}

// TestANameThatLeadsNowhereIsNotPassedOver although a library lies elsewhere.
func TestANameThatLeadsNowhereIsNotPassedOver(t *testing.T) {
	_, system := bare(t)
	good := place(t, system, "libonnxruntime.so")
	for _, bad := range []string{filepath.Join(system, "lib.so"), system} {
		for variable, named := range map[string]string{"": bad, bad: "", good: bad} {
			t.Setenv(LibraryVariable, variable)
			who := "the configuration names "
			if named == "" {
				who = "$SIGHTLINE_ONNXRUNTIME names "
			}
			if got, err := FindLibrary(named); err == nil || !strings.Contains(err.Error(), who+bad+", which is no file") || !strings.Contains(err.Error(), "make deps") {
				t.Errorf("named %q, variable %q: %s, %v", named, variable, got, err)
			}
		}
	}
}

// TestOneLibraryAProcess: a second one is refused, with both names, and the first goes on.
func TestOneLibraryAProcess(t *testing.T) {
	version, err := Version("")
	if err != nil {
		t.Fatal(err)
	}
	first := environment.library
	if !strings.Contains(first, version) || !strings.HasPrefix(version, "1.") {
		t.Errorf("version %q of %s", version, first)
	}
	link := filepath.Join(t.TempDir(), "library.so")
	if err := os.Symlink(first, link); err != nil {
		t.Fatal(err)
	}
	if again, err := Version(link); err != nil || again != version {
		t.Errorf("by another name: %s, %v", again, err)
	}
	second := place(t, t.TempDir(), "libonnxruntime.so.9.0.0")
	o := tinyOptions(1)
	o.Library = second
	if _, err := Open(o); err == nil || !strings.Contains(err.Error(), second) || !strings.Contains(err.Error(), first) {
		t.Errorf("a second one: %v", err)
	}
	if err := openTiny(t, 1).Run(1); err != nil {
		t.Error(err)
	}
}
