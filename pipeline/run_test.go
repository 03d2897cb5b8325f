package pipeline

import (
	"context"
	"io"
	"net/http"
	"regexp"
	"testing"
)

// hastyReader asks for the metrics as soon as it reads the page's address, in the midst of the greeting.
type hastyReader struct {
	status int
	done   context.CancelFunc
}

var pageLine = regexp.MustCompile(`page +(http://\S+)/`)

func (r *hastyReader) Write(text []byte) (int, error) {
	if m := pageLine.FindSubmatch(text); m != nil {
		defer r.done()
		answer, err := http.Get(string(m[1]) + "/metrics")
		if err != nil {
			return 0, err
		}
		defer answer.Body.Close()
		r.status = answer.StatusCode
		_, err = io.Copy(io.Discard, answer.Body)
		return len(text), err
	}
	return len(text), nil
}

// TestWhoIsToldTheAddressIsServed: everything is there when the greeting says where.
func TestWhoIsToldTheAddressIsServed(t *testing.T) {
	cfg := Default()
	cfg.HTTP.Listen, cfg.Bus.Listen, cfg.Bus.DataDir = "127.0.0.1:0", "", t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r := hastyReader{done: cancel}
	if err := Run(ctx, Options{Config: cfg, Roles: Roles{RoleTrack, RoleSinks}, Stderr: &r}); err != nil {
		t.Fatal(err)
	}
	if r.status != http.StatusOK {
		t.Errorf("/metrics answers %d, want 200", r.status)
	}
}
