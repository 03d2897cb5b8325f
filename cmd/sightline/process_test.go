package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// asCommand makes the test binary behave as the command: tests drive real processes by their real command line.
const asCommand = "SIGHTLINE_TEST_AS_COMMAND"

// patience bounds what should take no time on a machine that is busy.
const patience = 30 * time.Second

func TestMain(m *testing.M) {
	if os.Getenv(asCommand) != "" {
		os.Exit(execute(os.Args[1:]))
	}
	os.Exit(m.Run())
}

// tiny is a model that finds one red, one green and one blue block; see its tiny.py.
func tiny(t testing.TB) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("..", "..", "detect", "testdata", "tiny.onnx"))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// said collects what a process writes.
type said struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *said) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// process is a running sightline.
type process struct {
	cmd            *exec.Cmd
	stdout, stderr said
	ended          chan struct{}
}

// start runs the command with a home of its own. It is killed at the end of the test, if it still runs.
func start(t testing.TB, env []string, args ...string) *process {
	t.Helper()
	p := &process{cmd: exec.Command(os.Args[0], args...), ended: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), append([]string{asCommand + "=1", "XDG_DATA_HOME=" + t.TempDir()}, env...)...)
	p.cmd.Stdout, p.cmd.Stderr = &p.stdout, &p.stderr
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait() // the exit code is in ProcessState
		close(p.ended)
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill() // it may have ended
		<-p.ended
		if t.Failed() {
			t.Logf("sightline %s\n%s", strings.Join(args, " "), p.stderr.String())
		}
	})
	return p
}

// await waits until stderr matches and returns the last group of the match.
func (p *process) await(t testing.TB, pattern string) string {
	t.Helper()
	match := regexp.MustCompile(pattern)
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		if m := match.FindStringSubmatch(p.stderr.String()); m != nil {
			return m[len(m)-1]
		}
		select {
		case <-p.ended:
			t.Fatalf("ended with %v before it said %s", p.cmd.ProcessState, pattern)
		default:
		}
		if time.Now().After(deadline) {
			t.Fatalf("did not say %s within %s", pattern, patience)
		}
	}
}

func (p *process) page(t testing.TB) string   { return p.await(t, `page +(http://\S+)/\n`) }
func (p *process) broker(t testing.TB) string { return p.await(t, `detections +nats -s (\S+)`) }

// wait gives the exit code.
func (p *process) wait(t testing.TB) int {
	t.Helper()
	select {
	case <-p.ended:
	case <-time.After(patience):
		t.Fatalf("still runs after %s", patience)
	}
	return p.cmd.ProcessState.ExitCode()
}

// stop interrupts the process and gives the exit code.
func (p *process) stop(t testing.TB) int {
	t.Helper()
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	return p.wait(t)
}

// finish runs the command to its end.
func finish(t testing.TB, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	p := start(t, nil, args...)
	code = p.wait(t)
	return code, p.stdout.String(), p.stderr.String()
}

// write makes a file that goes with the test.
func write(t testing.TB, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// get fetches a page; status 0 means that nobody answered.
func get(t testing.TB, url string) (status int, body string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err.Error()
	}
	defer answer.Body.Close()
	data, err := io.ReadAll(answer.Body)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Fatal(err)
	}
	return answer.StatusCode, string(data)
}

// eventually waits until a condition holds.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %s", patience, what)
		}
	}
}
