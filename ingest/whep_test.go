package ingest

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// TestWHEPRefusalsNameTheRemedy: whatever a server answers ends the attempt with address, cause and remedy, and no secret.
func TestWHEPRefusalsNameTheRemedy(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answer func(w http.ResponseWriter, r *http.Request)
		class  Class
		want   string
	}{
		"password": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) }, Unauthorized, ":{TOKEN}@"},
		"path":     {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) }, Retry, "no such stream"},
		"page":     {func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<html>") }, Retry, "WHEP"},
		"flood": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusCreated)
			io.WriteString(w, strings.Repeat("m=video ", maxSDP))
		}, Retry, "larger than"},
		"nonsense": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusCreated)
			io.WriteString(w, "v=0\r\nm=video nonsense")
		}, Retry, "cannot be used"},
		"circle": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, r.URL.Path, http.StatusTemporaryRedirect)
		}, Retry, "redirects"},
		"silence": {func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, Retry, "deadline"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("Authorization") != "Bearer S3cret-in-a-test" {
					t.Errorf("authorization %q", r.Header.Get("Authorization"))
				}
				io.Copy(io.Discard, r.Body) //nolint:errcheck // or the server does not see that the client left
				c.answer(w, r)
			}))
			defer server.Close()
			address := strings.Replace(server.URL, "http://", "http://:S3cret-in-a-test@", 1) + "/gate/whep"
			source, err := newSource(CameraConfig{Name: "gate", Source: address, DialTimeout: 500 * time.Millisecond}, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			err = source.Run(t.Context(), nil)
			if err == nil || classOf(err) != c.class || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), server.URL) {
				t.Errorf("class %d, %v; want class %d and %q", classOf(err), err, c.class, c.want)
			}
			if strings.Contains(err.Error(), "S3cret") {
				t.Errorf("a secret in %v", err)
			}
		})
	}
}

func TestWHEPServerThatNeverSendsIsGivenUp(t *testing.T) {
	t.Parallel()
	nobody, err := newSource(CameraConfig{Name: "gate", Source: "http://127.0.0.1:1/gate/whep"}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := nobody.Run(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("a port where nobody listens gives %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := nobody.Run(ctx, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled run gives %v", err)
	}
	if _, err := newSource(CameraConfig{Name: "gate", Source: "http://:S3cret-in-a-test@"}, slog.New(slog.DiscardHandler)); err == nil || strings.Contains(err.Error(), "S3cret") {
		t.Errorf("an address without host gives %v", err)
	}
}
