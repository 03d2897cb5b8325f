package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sightline/sightline/pipeline"
	"github.com/sightline/sightline/pipeline/picture"
	"github.com/sightline/sightline/tools/evaluate"
)

// photo is the first picture of the scene as a file; its name says the format.
func photo(t testing.TB, name string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if out, err := exec.Command("ffmpeg", "-v", "error", "-i", scene(t, "1"), "-frames:v", "1", path).CombinedOutput(); err != nil {
		t.Fatalf("ffmpeg (install package ffmpeg): %v: %s", err, out)
	}
	return path
}

func TestDetectFindsTheBlockInPictures(t *testing.T) {
	files, drawn := []string{photo(t, "a.jpg"), photo(t, "b.png")}, filepath.Join(t.TempDir(), "drawn")
	for _, tiles := range []string{"off", "grid"} {
		code, out, stderr := finish(t, "detect", "--json", "--tiles", tiles, "--draw", drawn, "--model", tiny(t), files[0], files[1])
		if code != exitDone {
			t.Fatalf("exit code %d: %s", code, stderr)
		}
		var stills []pipeline.Still
		if err := json.Unmarshal([]byte(out), &stills); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		if len(stills) != len(files) {
			t.Fatalf("%d results for %d pictures", len(stills), len(files))
		}
		for i, s := range stills {
			checkStill(t, s, files[i])
		}
	}
}

func checkStill(t testing.TB, s pipeline.Still, file string) {
	t.Helper()
	if s.File != file || len(s.Objects) != 1 || s.Objects[0].Label != "red" {
		t.Fatalf("%s: %+v, want one red object", file, s)
	}
	b := s.Objects[0].Box
	if !(extent{float64(b[0]), float64(b[2])}).near(32, 32+blockWidth, 5) || !(extent{float64(b[1]), float64(b[3])}).near(blockTop, blockTop+blockHeight, 5) {
		t.Errorf("%s: box %v, want the block at 32, %d", file, b, blockTop)
	}
	copied, err := picture.DecodeFile(s.Drawn)
	if err != nil {
		t.Fatal(err)
	}
	if saw, ok := look(copied); !ok || !saw.box.near(float64(b[0]), float64(b[2]), 3) {
		t.Errorf("%s shows %+v, want a box at %v", s.Drawn, saw, b)
	}
}

func TestDetectPrintsATable(t *testing.T) {
	file := photo(t, "a.jpg")
	code, out, _ := finish(t, "detect", "--model", tiny(t), "nowhere.jpg", file)
	if code != exitFailed { // one of two could not be read
		t.Errorf("exit code %d", code)
	}
	for _, want := range []string{file, "640x360", "1 objects", "red", "0.98"} {
		if !strings.Contains(out, want) {
			t.Errorf("stdout lacks %q: %s", want, out)
		}
	}
}

// TestDetectOfAFolderTellsWhatItTook: the summary is one JSON document, and the results are in their own file.
func TestDetectOfAFolderTellsWhatItTook(t *testing.T) {
	results := filepath.Join(t.TempDir(), "results.json")
	code, out, stderr := finish(t, "detect", "--json", "--data", annotated(t), "--coco", results, "--model", tiny(t))
	var summary evaluate.Summary
	if err := json.Unmarshal([]byte(out), &summary); code != exitDone || err != nil {
		t.Fatalf("exit code %d, %v: %s%s", code, err, out, stderr)
	}
	if summary.Images != 1 || summary.Detections != 1 || summary.Seconds <= 0 {
		t.Errorf("%+v, want one box in one picture and the time it took", summary)
	}
	if _, err := os.Stat(results); err != nil {
		t.Error(err)
	}
}

func TestVersionNamesEveryPart(t *testing.T) {
	code, out, stderr := finish(t, "version")
	if code != exitDone {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	for _, part := range []string{"sightline", "commit", "onnxruntime", "OpenCV", "libav", "NATS"} {
		if !strings.Contains(strings.ToLower(out), strings.ToLower(part)) {
			t.Errorf("version lacks %s: %s", part, out)
		}
	}
}

func TestValidateTakesTheShippedConfiguration(t *testing.T) {
	code, out, stderr := finish(t, "validate", filepath.Join("..", "..", "configs", "default.yaml"))
	if code != exitDone || !strings.Contains(out, "valid") {
		t.Errorf("exit code %d: %s%s", code, out, stderr)
	}
}

// TestFilePlaysToItsEnd: a file that is not looped ends the process when everything is detected and written.
func TestFilePlaysToItsEnd(t *testing.T) {
	lines := filepath.Join(t.TempDir(), "detections.ndjson")
	config := write(t, "quiet.yaml", "bus: {listen: \"\"}\n")
	code, _, stderr := finish(t, run("-c", config, "--pace", "fast", "--ndjson", lines, "--model", tiny(t), scene(t, "2"))...)
	if code != exitDone {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	data, err := os.ReadFile(lines)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(data), "\n"); n != 2*sceneRate {
		t.Errorf("%d lines for %d frames", n, 2*sceneRate)
	}
}
