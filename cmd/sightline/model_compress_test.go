package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sightline/sightline/models"
)

// tinyGrid is a model that the tools can do anything with; see its tiny_grid.py.
func tinyGrid(t testing.TB) string {
	t.Helper()
	return strings.Replace(tiny(t), "tiny.onnx", "tiny_grid.onnx", 1)
}

// patches is a folder with n pictures that differ.
func patches(t testing.TB, n int) string {
	t.Helper()
	dir := t.TempDir()
	for i := range n {
		random := rand.New(rand.NewPCG(uint64(i), 7))
		pic := image.NewNRGBA(image.Rect(0, 0, 192, 192))
		for at := range 36 {
			c := color.NRGBA{uint8(random.IntN(256)), uint8(random.IntN(256)), uint8(random.IntN(256)), 255}
			for p := range 32 * 32 {
				pic.Set(at%6*32+p%32, at/6*32+p/32, c)
			}
		}
		savePNG(t, filepath.Join(dir, fmt.Sprintf("%03d.png", i)), pic)
	}
	return dir
}

func savePNG(t testing.TB, path string, pic image.Image) {
	t.Helper()
	var data bytes.Buffer
	if err := png.Encode(&data, pic); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestCompressFollowsARecipe(t *testing.T) {
	recipe := write(t, "small.yaml", "schema: sightline.recipe/1\ninput: 320x192\nprune: {amount: 0.2, pictures: 4}\nquantize: {pictures: 8}\n")
	dir := t.TempDir()
	out := filepath.Join(dir, "small.onnx")
	code, said, stderr := finish(t, "model", "compress", "--recipe", recipe, "--calib", patches(t, 8), tinyGrid(t), out)
	if code != exitDone || !strings.Contains(said, "320x192 instead of 192x192") || !strings.Contains(said, "in int8") || !strings.Contains(stderr, "only 8 pictures") {
		t.Fatalf("exit code %d: %s%s", code, said, stderr)
	}
	spec, err := models.Load(out)
	if err != nil || spec.Width != 320 || !strings.Contains(said, spec.SHA256) {
		t.Errorf("%+v, %v", spec, err)
	}
	card, err := os.ReadFile(filepath.Join(dir, "small.yaml"))
	if err != nil || !strings.Contains(string(card), "--recipe small.yaml") || !strings.Contains(string(card), "amount: 0.2") {
		t.Errorf("card %s, %v", card, err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 2 {
		t.Errorf("left %v", left)
	}
	code, said, stderr = finish(t, "model", "compress", "--json", "--recipe", write(t, "again.yaml", "schema: sightline.recipe/1\ninput: 96\n"), tinyGrid(t), filepath.Join(dir, "b.onnx"))
	var report struct {
		SHA256 string `json:"sha256"`
		Sizes  struct {
			This struct {
				MACs int64 `json:"macs"`
			} `json:"this"`
		} `json:"sizes"`
	}
	if err := json.Unmarshal([]byte(said), &report); code != exitDone || err != nil || len(report.SHA256) != 64 || report.Sizes.This.MACs == 0 {
		t.Errorf("exit code %d, %v: %s%s", code, err, said, stderr)
	}
}

// TestInputOfAnotherSize: of each command that makes models.
func TestInputOfAnotherSize(t *testing.T) {
	calib := patches(t, 4)
	for _, args := range [][]string{{"prune", "--amount", "0"}, {"quantize", "--calib", calib}} {
		out := filepath.Join(t.TempDir(), "out.onnx")
		code, said, stderr := finish(t, append(append([]string{"model"}, args...), "--input", "256x128", tinyGrid(t), out)...)
		if code != exitDone {
			t.Fatalf("exit code %d: %s%s", code, said, stderr)
		}
		if spec, err := models.Load(out); err != nil || spec.Width != 256 || spec.Height != 128 {
			t.Errorf("%v: %+v, %v", args, spec, err)
		}
		card, err := os.ReadFile(strings.TrimSuffix(out, ".onnx") + ".yaml")
		if err != nil || !strings.Contains(string(card), "--input 256x128") {
			t.Errorf("card %s, %v", card, err)
		}
	}
}

func TestCompressRefusesWrongUse(t *testing.T) {
	dir := t.TempDir()
	out := filepath.Join(dir, "out.onnx")
	sound := write(t, "sound.yaml", "schema: sightline.recipe/1\nquantize:\n")
	held := write(t, "held.yaml", "schema: sightline.recipe/1\ninput: 96\ncheck: {max_drop: 1}\n")
	bad := write(t, "bad.yaml", "schema: sightline.recipe/1\nprune: {amuont: 0.3}\n")
	fixed := write(t, "fixed.yaml", "schema: sightline.recipe/1\ninput: 96\n")
	compress := func(recipe string, more ...string) []string {
		return append([]string{"model", "compress", "--recipe", recipe}, more...)
	}
	checkAll(t, []refusal{
		{"no recipe", []string{"model", "compress", tinyGrid(t), out}, exitWrongUse, []string{"--recipe", "models/recipes"}},
		{"recipe missing", compress("nowhere.yaml", tinyGrid(t), out), exitFailed, []string{"nowhere.yaml", "no such file"}},
		{"recipe", compress(bad, tinyGrid(t), out), exitWrongUse, []string{"bad.yaml:2: prune.amuont: unknown key", "amount"}},
		{"no pictures", compress(sound, tinyGrid(t), out), exitWrongUse, []string{"--calib"}},
		{"no marks", compress(held, tinyGrid(t), out), exitWrongUse, []string{"--eval"}},
		{"name", compress(fixed, tinyGrid(t), "out.bin"), exitWrongUse, []string{"out.bin", ".onnx"}},
		{"itself", compress(fixed, tinyGrid(t), tinyGrid(t)), exitWrongUse, []string{"tiny_grid.onnx", "overwrite its original"}},
		{"tail", compress(fixed, tiny(t), out), exitFailed, []string{"tiny.onnx", "bound to 192x192", "export it with 96x96"}},
		{"size", []string{"model", "prune", "--input", "600", tinyGrid(t), out}, exitWrongUse, []string{"--input", "multiples of 32"}},
	})
	t.Cleanup(func() {
		if left, _ := os.ReadDir(dir); len(left) > 0 {
			t.Errorf("a refused command left %v", left)
		}
	})
}
