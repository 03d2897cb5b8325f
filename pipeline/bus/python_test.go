package bus

import (
	"bufio"
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// pythonInterpreter finds the environment that tools/python-requirements.txt describes.
func pythonInterpreter(t *testing.T) string {
	t.Helper()
	path := os.Getenv("SIGHTLINE_PYTHON")
	if path == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			t.Fatal(err)
		}
		path = filepath.Join(cache, "sightline", "python", "bin", "python3")
	}
	if _, err := exec.LookPath(path); err != nil {
		t.Fatalf("no Python at %s: run `make deps`, or set SIGHTLINE_PYTHON to one with tools/python-requirements.txt", path)
	}
	return path
}

// TestPythonReadsADetection: a client of another language, over TCP, with a validator of its own.
func TestPythonReadsADetection(t *testing.T) {
	s := newBroker(t, "127.0.0.1:0")
	c := connect(t, Config{Server: s, Prefix: "acme.berlin.sightline"})
	cmd := exec.CommandContext(deadline(t), pythonInterpreter(t), filepath.Join("testdata", "read_detection.py"),
		s.ClientURL(), c.Subjects().Detections("gate"), filepath.Join("schema", "detections.json"))
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var lines []string
	for scanner := bufio.NewScanner(out); scanner.Scan(); {
		lines = append(lines, scanner.Text())
		if scanner.Text() == "READY" {
			if err := c.PublishDetections(t.Context(), someDetections("gate", 7)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := cmd.Wait(); err != nil || strings.Join(lines, "|") != "READY|OK gate 7 1" {
		t.Fatalf("got %q, %v (where a module is missing: make deps)\n%s", lines, err, complaints.String())
	}
}
