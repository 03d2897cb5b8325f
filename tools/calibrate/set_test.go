package calibrate

import (
	"context"
	"errors"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sightline/sightline/models"
)

var spec = models.Spec{Family: models.YOLOX, Width: 64, Height: 32, Layout: models.YOLOX.Layout()}

func folder(t *testing.T, names ...string) string {
	t.Helper()
	dir := t.TempDir()
	for i, name := range names {
		f, err := os.Create(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		pic := image.NewRGBA(image.Rect(0, 0, 64, 32))
		for at := range pic.Pix {
			pic.Pix[at] = 255
		}
		for x := range 64 {
			for y := range 32 {
				pic.Set(x, y, color.Gray{uint8(i * 20)})
			}
		}
		if err := errors.Join(png.Encode(f, pic), f.Close()); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestPicturesComeInOrderAndAsTheNetworkTakesThem(t *testing.T) {
	dir := folder(t, "0.png", "1.png", "2.png", "3.png", "4.png", "5.png")
	if err := os.WriteFile(filepath.Join(dir, "notes.txt"), []byte("no picture"), 0o600); err != nil {
		t.Fatal(err)
	}
	set, err := Open(dir, spec, 3)
	if err != nil {
		t.Fatal(err)
	}
	var levels []float32
	err = set.Each(t.Context(), func(i int, input []float32) error {
		if i != len(levels) || len(input) != 3*64*32 {
			t.Errorf("picture %d has %d numbers", i, len(input))
		}
		levels = append(levels, input[100])
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []float32{0, 40, 80} { // every second of six
		if i >= len(levels) || levels[i] < want-1 || levels[i] > want+1 {
			t.Fatalf("levels %v, want 0, 40, 80", levels)
		}
	}
	if n := set.First(2).Len(); n != 2 {
		t.Errorf("the first two are %d", n)
	}
	a, err := set.Hash()
	if err != nil || len(a) != 64 {
		t.Errorf("hash %q, %v", a, err)
	}
	if b, _ := set.First(2).Hash(); a == b {
		t.Error("other pictures have the same hash")
	}
}

func TestFoldersWithoutPicturesAreRefused(t *testing.T) {
	if _, err := Open(t.TempDir(), spec, 0); err == nil || !strings.Contains(err.Error(), "no JPEG, PNG or GIF") {
		t.Errorf("an empty folder: %v", err)
	}
	if _, err := Open("nowhere", spec, 0); err == nil || !strings.Contains(err.Error(), "nowhere") {
		t.Errorf("a missing folder: %v", err)
	}
	dir := folder(t, "0.png")
	if err := os.WriteFile(filepath.Join(dir, "1.png"), []byte("broken"), 0o600); err != nil {
		t.Fatal(err)
	}
	set, err := Open(dir, spec, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := set.Each(t.Context(), func(int, []float32) error { return nil }); err == nil || !strings.Contains(err.Error(), "1.png") {
		t.Errorf("a broken picture: %v", err)
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if err := set.Each(cancelled, func(int, []float32) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("an interrupt: %v", err)
	}
}

// TestWithoutGivesTheOthers: two sets of one folder that have no picture in common.
func TestWithoutGivesTheOthers(t *testing.T) {
	all := &Set{files: []string{"a", "b", "c", "d", "e"}}
	some := all.First(2)
	if rest := all.Without(some); !slices.Equal(rest.files, []string{"b", "d", "e"}) || all.Len() != 5 {
		t.Errorf("without %v: %v", some.files, rest.files)
	}
	if rest := all.Without(all); rest.Len() != 0 {
		t.Errorf("without all: %v", rest.files)
	}
}
