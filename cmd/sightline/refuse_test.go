package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sightline/sightline/ingest/testcam"
)

// refusal is a command line that cannot work, and what its error must name: thing, place and remedy.
type refusal struct {
	name string
	args []string
	code int
	want []string
}

func (r refusal) check(t *testing.T) {
	t.Helper()
	code, _, stderr := finish(t, r.args...)
	if code != r.code {
		t.Errorf("exit code %d, want %d: %s", code, r.code, stderr)
	}
	for _, want := range r.want {
		if !strings.Contains(stderr, want) {
			t.Errorf("stderr lacks %q: %s", want, stderr)
		}
	}
	if strings.Contains(stderr, "panic") || strings.Contains(stderr, "goroutine ") {
		t.Errorf("a stack trace instead of a message: %s", stderr)
	}
}

func checkAll(t *testing.T, cases []refusal) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.check(t)
		})
	}
}

// run is `sightline run` on free ports.
func run(args ...string) []string {
	return append([]string{"run", "--listen", "127.0.0.1:0"}, args...)
}

func TestWrongUseIsRefused(t *testing.T) {
	bad := write(t, "site.yaml", "htp: {}\ntiles: {size: big}\ncameras:\n  gate: {source: a.mp4}\n  gate: {source: b.mp4}\n")
	checkAll(t, []refusal{
		{"flag", []string{"run", "--colour"}, exitWrongUse, []string{"--colour", "sightline run --help"}},
		{"command", []string{"rnu"}, exitWrongUse, []string{`"rnu"`}},
		{"role", run("--roles", "ingest,detekt"), exitWrongUse, []string{`"detekt"`, "ingest, detect, track or sinks"}},
		{"scheme", run("ftp://camera/1"), exitWrongUse, []string{"ftp", "rtsp://"}},
		{"tiles", run("--tiles", "hexagons", "clip.mp4"), exitWrongUse, []string{"tiles.policy", "off, grid"}},
		{"open to the world", run("--listen", "0.0.0.0:0", "clip.mp4"), exitWrongUse, []string{"http.token", "loopback"}},
		{"no pictures", []string{"detect"}, exitWrongUse, []string{"FILE"}},
		{"configuration", []string{"run", "-c", bad}, exitWrongUse, []string{"site.yaml:1", "htp", "site.yaml:2", "tiles.size", "site.yaml:5", "cameras.gate", "twice"}},
		{"invalid", []string{"validate", bad}, exitFailed, []string{"site.yaml:1", "site.yaml:5"}},
		{"no configuration", []string{"validate", "nowhere.yaml"}, exitFailed, []string{"nowhere.yaml", "no such file"}},
	})
}

func TestSourcesAreRefused(t *testing.T) {
	model := tiny(t)
	text := write(t, "notes.mp4", "this is no video")
	closed := write(t, "closed.mp4", "x")
	if err := os.Chmod(closed, 0); err != nil {
		t.Fatal(err)
	}
	cases := []refusal{
		{"missing", run("--model", model, "nowhere.mp4"), exitFailed, []string{"nowhere", "no such file"}},
		{"folder", run("--model", model, t.TempDir()), exitFailed, []string{"directory"}},
		{"no video", run("--model", model, text), exitFailed, []string{text, "video"}},
		{"no picture", []string{"detect", "--model", model, text}, exitFailed, []string{text, "no JPEG, PNG or GIF"}},
		{"no such picture", []string{"detect", "--model", model, "nowhere.jpg"}, exitFailed, []string{"nowhere.jpg", "no such file"}},
	}
	if os.Getuid() != 0 { // root reads everything
		cases = append(cases, refusal{"unreadable", run("--model", model, closed), exitFailed, []string{closed, "permission denied"}})
	}
	checkAll(t, withQuietBroker(t, cases))
}

// withQuietBroker keeps the broker off the default port, which another process may have.
func withQuietBroker(t *testing.T, cases []refusal) []refusal {
	t.Helper()
	for i, c := range cases {
		if c.args[0] == "run" {
			config := write(t, "quiet.yaml", "bus: {listen: \"\"}\n")
			cases[i].args = append([]string{"run", "-c", config}, c.args[1:]...)
		}
	}
	return cases
}

func TestModelsAreRefused(t *testing.T) {
	whole, err := os.ReadFile(tiny(t))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	save := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	cut := save("cut.onnx", string(whole[:len(whole)/2]))
	text := save("text.onnx", "this is no network")
	labels := save("labels.onnx", strings.Replace(string(whole), "labels: [red, green, blue]", "labels: [red, greenblue]  ", 1))
	pic := save("pic.jpg", "")
	detect := func(model string) []string { return []string{"detect", "--model", model, pic} }
	checkAll(t, []refusal{
		{"missing", detect("nowhere.onnx"), exitFailed, []string{"nowhere.onnx", "no such file"}},
		{"truncated", detect(cut), exitFailed, []string{cut, "truncated"}},
		{"text", detect(text), exitFailed, []string{text, "ONNX"}},
		{"other labels", detect(labels), exitFailed, []string{labels, "labels"}},
	})
}

func TestPortInUseIsNamed(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { taken.Close() })
	address := taken.Addr().String()
	clip := scene(t, "1")
	quiet := write(t, "quiet.yaml", "bus: {listen: \"\"}\n")
	busy := write(t, "busy.yaml", fmt.Sprintf("bus: {listen: %q}\n", address))
	checkAll(t, []refusal{
		{"page", []string{"run", "-c", quiet, "--listen", address, "--model", tiny(t), clip}, exitFailed, []string{address, "in use", "http.listen"}},
		{"broker", run("-c", busy, "--model", tiny(t), clip), exitFailed, []string{address, "in use", "bus.listen"}},
	})
}

func TestDataFolderThatCannotBeWrittenIsNamed(t *testing.T) {
	file := write(t, "file", "in the way of a folder")
	folder := filepath.Join(file, "data")
	config := write(t, "site.yaml", fmt.Sprintf("bus: {listen: \"\", data_dir: %q}\n", folder))
	refusal{"", run("-c", config, "--model", tiny(t), scene(t, "1")), exitFailed, []string{folder, "bus.data_dir"}}.check(t)
}

// TestSickCameraIsNamedAndTriedAgain: a camera that does not answer is no reason to stop.
func TestSickCameraIsNamedAndTriedAgain(t *testing.T) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := "rtsp://" + closed.Addr().String() + "/1"
	closed.Close()
	camera := rtspCamera(t, scene(t, "2"), testcam.Options{User: "viewer", Password: "right"})
	for name, c := range map[string]struct{ source, want string }{
		"refused":  {nobody, "refused"},
		"password": {strings.Replace(camera.URL(), "rtsp://", "rtsp://viewer:wrong@", 1), "password"},
		"path":     {strings.Replace(strings.TrimSuffix(camera.URL(), "test"), "rtsp://", "rtsp://viewer:right@", 1) + "other", "404"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config := write(t, "site.yaml", "bus: {listen: \"\"}\ncameras: {gate: {source: \""+c.source+"\"}}\n")
			p := start(t, nil, run("-c", config, "--model", tiny(t))...)
			p.await(t, "camera is offline.*"+c.want)
			if _, body := get(t, p.page(t)+"/readyz"); !strings.Contains(body, `"ready":true`) {
				t.Errorf("a camera that is away makes the process unready: %s", body)
			}
			if code := p.stop(t); code != exitDone {
				t.Errorf("exit code %d", code)
			}
			if strings.Contains(p.stderr.String(), "wrong@") || strings.Contains(p.stderr.String(), ":right") {
				t.Error("the camera's password is in the log")
			}
		})
	}
}
