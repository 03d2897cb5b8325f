// Package testclip makes video files for tests with the ffmpeg command, and finds the shared ones. Only tests import it.
package testclip

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// H264 are ffmpeg's output arguments for a small H.264 stream with a key frame every ten pictures and no B-frames.
const H264 = "-c:v libx264 -preset ultrafast -tune zerolatency -g 10 -pix_fmt yuv420p"

// Moving is ffmpeg's input for two seconds of a moving test picture, 320x180 at 25 frames a second.
const Moving = "testsrc2=size=320x180:rate=25:duration=2"

// Make encodes the lavfi source to a file of the given name in a directory that goes with the test, and returns its path.
// output holds ffmpeg's arguments separated by spaces.
func Make(t testing.TB, name, source, output string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	args := append([]string{"-v", "error", "-y", "-f", "lavfi", "-i", source}, strings.Fields(output)...)
	run(t, append(args, "-bitexact", path)...)
	return path
}

// Counter encodes n frames whose grey level says which one it is: frame i is CounterLevel(i) all over. 64x64 pixels at the
// given rate, losslessly.
func Counter(t testing.TB, name string, n, rate int, output string) string {
	t.Helper()
	raw := make([]byte, 0, n*64*64*3/2)
	for i := range n {
		raw = append(raw, frame(i)...)
	}
	dir := t.TempDir()
	input, path := filepath.Join(dir, "counter.yuv"), filepath.Join(dir, name)
	if err := os.WriteFile(input, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"-v", "error", "-y", "-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", "64x64", "-r", strconv.Itoa(rate), "-i", input}
	run(t, append(append(args, strings.Fields(output)...), path)...)
	return path
}

func frame(i int) []byte {
	f := make([]byte, 64*64*3/2)
	for at := range f {
		f[at] = 128
	}
	for at := range 64 * 64 {
		f[at] = CounterLevel(i)
	}
	return f
}

// CounterLevel returns the luma of frame i of a Counter clip: 32, 36, … 220, and from the start again.
func CounterLevel(i int) byte { return byte(32 + i%48*4) }

// CounterOf counts back: it returns the number of the frame, modulo 48, that has this luma within the error of coding.
func CounterOf(luma byte) int { return (int(luma) - 32 + 2) / 4 }

// Lossless are ffmpeg's output arguments for a Counter clip: H.264 without loss, a key frame every five pictures.
const Lossless = "-c:v libx264 -preset ultrafast -tune zerolatency -qp 0 -g 5 -pix_fmt yuv420p"

func run(t testing.TB, args ...string) {
	t.Helper()
	out, err := exec.Command("ffmpeg", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("run ffmpeg %s: %v: %s (is ffmpeg installed? run make deps)", strings.Join(args, " "), err, out)
	}
}

// Shared returns the path of a clip of ../shared/data/clips beside the repository, and skips the test where it is not there.
func Shared(t testing.TB, name string) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		path := filepath.Join(dir, "shared/data/clips", name)
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	t.Skip("shared/data is not here: " + name)
	return ""
}
