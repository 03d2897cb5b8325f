package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// finishIn runs the command in a folder.
func finishIn(t testing.TB, dir string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	cmd := exec.Command(os.Args[0], args...)
	var out, err said
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = dir, append(os.Environ(), asCommand+"=1"), &out, &err
	_ = cmd.Run() // the exit code is in ProcessState
	return cmd.ProcessState.ExitCode(), out.String(), err.String()
}

// withModels is a folder whose models/ has a sound model, a broken one, and a link to the first.
func withModels(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "models"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, from := range map[string]string{"yolox-nano-int8.onnx": "../../models/yolox-nano-int8.onnx", "yolox-nano-int8.yaml": "../../models/yolox-nano-int8.yaml"} {
		data, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "models", name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "models", "broken.onnx"), []byte("no network"), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestListTellsWhatIsHereAndWhatCanBeFetched(t *testing.T) {
	dir := withModels(t)
	code, out, stderr := finishIn(t, dir, "model", "list")
	if code != exitDone {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	for _, want := range []string{"yolox-nano-int8 (default)", "Apache-2.0", "broken", "is refused", "yolox-s", "https://github.com/Megvii", "--from only"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	code, out, stderr = finishIn(t, dir, "model", "list", "--json")
	var all struct {
		Models []listed `json:"models"`
		Others []struct {
			Name   string `json:"name"`
			SHA256 string `json:"sha256"`
		} `json:"originals"`
	}
	if err := json.Unmarshal([]byte(out), &all); code != exitDone || err != nil || len(all.Models) != 2 || len(all.Others) < 3 {
		t.Fatalf("exit code %d, %v: %s%s", code, err, out, stderr)
	}
	if broken, sound := all.Models[0], all.Models[1]; broken.Error == "" || broken.Default || !sound.Default || sound.Classes != 80 || sound.Measured == nil {
		t.Errorf("%+v", all.Models)
	}
	code, out, _ = finishIn(t, t.TempDir(), "model", "list")
	if code != exitDone || !strings.Contains(out, "none in models") {
		t.Errorf("exit code %d: %s", code, out)
	}
}

func TestInspectTakesNamesAndFiles(t *testing.T) {
	dir := withModels(t)
	for _, model := range []string{"yolox-nano-int8", filepath.Join("models", "yolox-nano-int8.onnx")} {
		code, out, stderr := finishIn(t, dir, "model", "inspect", model)
		if code != exitDone || !strings.Contains(out, "416x416") || !strings.Contains(out, "in int8") {
			t.Errorf("exit code %d: %s%s", code, out, stderr)
		}
	}
	code, out, stderr := finishIn(t, dir, "model", "inspect", "--json", tinyGrid(t))
	var facts struct {
		Family string `json:"family"`
	}
	if err := json.Unmarshal([]byte(out), &facts); code != exitDone || err != nil || facts.Family != "yolox" {
		t.Errorf("exit code %d, %v: %s%s", code, err, out, stderr)
	}
	checkAll(t, []refusal{
		{"none", []string{"model", "inspect"}, exitWrongUse, []string{"accepts 1 arg"}},
		{"missing", []string{"model", "inspect", "nowhere"}, exitFailed, []string{"nowhere", "no such file"}},
		{"broken", []string{"model", "inspect", filepath.Join(dir, "models", "broken.onnx")}, exitFailed, []string{"broken.onnx", "ONNX"}},
	})
}

// TestPullRefusesWhatIsNotTheOriginal: and leaves nothing under its name. What it brings is tested where it is brought.
func TestPullRefusesWhatIsNotTheOriginal(t *testing.T) {
	to := filepath.Join(t.TempDir(), "to")
	checkAll(t, []refusal{
		{"unknown", []string{"model", "pull", "yolo-nine"}, exitWrongUse, []string{`"yolo-nine"`, "yolox-nano"}},
		{"no name", []string{"model", "pull"}, exitWrongUse, []string{"accepts 1 arg"}},
		{"no source", []string{"model", "pull", "yolox-nano-opset11", "--to", to}, exitFailed, []string{"no address is known", "--from"}},
		{"missing", []string{"model", "pull", "yolox-s", "--from", "nowhere", "--to", to}, exitFailed, []string{"nowhere", "no such file"}},
		{"another", []string{"model", "pull", "yolox-tiny", "--from", tinyGrid(t), "--to", to}, exitFailed, []string{"another file", "has 26325 bytes, the catalogue's 20219662", "--from"}},
	})
	t.Cleanup(func() {
		if found, _ := filepath.Glob(filepath.Join(to, "*.onnx")); len(found) > 0 {
			t.Errorf("wrong files have final names: %v", found)
		}
	})
}

// TestPullFromAFolder: with the card that says where it is from.
func TestPullFromAFolder(t *testing.T) {
	from, to := shared(t, "models"), t.TempDir()
	code, out, stderr := finish(t, "model", "pull", "yolox-nano-opset11", "--from", from, "--to", to)
	if code != exitDone || !strings.Contains(out, filepath.Join(to, "yolox_nano.onnx")) || !strings.Contains(out, "Apache-2.0") || !strings.Contains(stderr, "3592 of 3592") {
		t.Fatalf("exit code %d: %s%s", code, out, stderr)
	}
	card, err := os.ReadFile(filepath.Join(to, "yolox_nano.yaml"))
	if err != nil || !strings.Contains(string(card), "licence: Apache-2.0") {
		t.Errorf("%s, %v", card, err)
	}
}

// TestInterruptedPull: a real process in the middle of a file ends with exit code 1, and what had come stays for the next time.
func TestInterruptedPull(t *testing.T) {
	sent := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := w.Write(make([]byte, 5000)); err != nil {
			t.Error(err)
		}
		w.(http.Flusher).Flush()
		close(sent)
		<-r.Context().Done()
	}))
	t.Cleanup(server.Close)
	dir := t.TempDir()
	p := start(t, nil, "model", "pull", "yolox-nano", "--from", server.URL+"/", "--to", dir)
	<-sent
	part := filepath.Join(dir, "yolox_nano.onnx.part")
	eventually(t, "5000 bytes lie in the part", func() bool {
		info, err := os.Stat(part)
		return err == nil && info.Size() == 5000
	})
	if code := p.stop(t); code != exitFailed || !strings.Contains(p.stderr.String(), "5000 of 3659407") || !strings.Contains(p.stderr.String(), "goes on from there") {
		t.Errorf("exit code %d: %s", code, p.stderr.String())
	}
	if left, _ := os.ReadDir(dir); len(left) != 1 || left[0].Name() != filepath.Base(part) {
		t.Errorf("left %v", left)
	}
}
