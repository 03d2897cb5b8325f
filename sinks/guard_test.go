package sinks

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

func TestOtherSitesAreRefused(t *testing.T) {
	s := New(Config{Listen: "127.0.0.1:0", Origins: []string{"https://wall.example"}}, nil, quiet())
	h := s.Handler()
	for _, c := range []struct {
		method, host, origin string
		want                 int
	}{
		{"OPTIONS", "127.0.0.1:8889", "", 204},
		{"OPTIONS", "localhost:8889", "http://localhost:8889", 204},
		{"OPTIONS", "[::1]:8889", "http://[::1]:8889", 204},
		{"OPTIONS", "127.0.0.1:8889", "https://wall.example", 204},
		{"OPTIONS", "wall.example", "https://wall.example", 204},
		{"OPTIONS", "127.0.0.1:8889", "http://127.0.0.1:9999", 403},
		{"OPTIONS", "127.0.0.1:8889", "https://evil.example", 403},
		{"OPTIONS", "127.0.0.1:8889", "null", 403},
		{"OPTIONS", "evil.example", "http://evil.example", 403}, // a name that was made to point here
		{"POST", "127.0.0.1:8889", "https://evil.example", 403},
		{"POST", "127.0.0.1:8889", "", 404}, // reaches the route: no such camera
	} {
		r := httptest.NewRequest(c.method, "/gate/annotated/whep", nil)
		r.Host = c.host
		if c.origin != "" {
			r.Header.Set("Origin", c.origin)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != c.want {
			t.Errorf("%s host %s origin %s: %d %s, want %d", c.method, c.host, c.origin, w.Code, w.Body, c.want)
		}
		allowed := w.Header().Get("Access-Control-Allow-Origin")
		if want := strings.HasPrefix(c.origin, "https://wall") && c.host != "wall.example"; (allowed != "") != want {
			t.Errorf("%s host %s origin %s: allowed %q", c.method, c.host, c.origin, allowed)
		}
		if w.Code >= 400 && !strings.HasPrefix(w.Body.String(), `{"error":"`) {
			t.Errorf("%s host %s: %q is no JSON error", c.method, c.host, w.Body)
		}
	}
}

func TestBeyondLoopbackAnyHostIsAnswered(t *testing.T) {
	s := New(Config{Listen: ":8889"}, nil, quiet())
	r := httptest.NewRequest(http.MethodGet, "/api/cameras", nil)
	r.Host = "cams.example"
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, r)
	if w.Code != 200 || strings.TrimSpace(w.Body.String()) != "[]" {
		t.Errorf("%d %q, want an empty list", w.Code, w.Body)
	}
}

func TestLoopbackOnly(t *testing.T) {
	for listen, want := range map[string]bool{"": true, "127.0.0.1:8889": true, "localhost:1": true, "[::1]:8889": true, "127.0.0.5": true,
		":8889": false, "0.0.0.0:8889": false, "192.168.1.4:80": false, "example.com:80": false} {
		if got := loopbackOnly(listen); got != want {
			t.Errorf("%q: %v", listen, got)
		}
	}
}

func TestSnapshotQueries(t *testing.T) {
	good := map[string]shotQuery{
		"":                               {quality: 85},
		"boxes=1":                        {boxes: true, quality: 85},
		"boxes=0&height=360&quality=50":  {height: 360, quality: 50},
		"boxes=true&t=1700000000&x=%3Cb": {boxes: true, quality: 85},
	}
	for text, want := range good {
		q, _ := url.ParseQuery(text)
		if got, err := parseShotQuery(q, 85); err != nil || got != want {
			t.Errorf("%q: %+v %v", text, got, err)
		}
	}
	for _, text := range []string{"boxes=2", "boxes=", "height=15", "height=4321", "height=x", "quality=0", "quality=101", "quality=1e1", "height=20&height=30"} {
		q, _ := url.ParseQuery(text)
		if got, err := parseShotQuery(q, 85); err == nil {
			t.Errorf("%q was taken as %+v", text, got)
		}
	}
}

func TestOutputSizes(t *testing.T) {
	for _, c := range [][4]int{{3840, 2160, 1280, 720}, {1920, 1080, 1280, 720}, {768, 432, 768, 432}, {641, 481, 640, 480}, {1080, 1920, 406, 720},
		{4000, 100, 1280, 32}, {16384, 16, 1280, 16}, {1600, 1200, 960, 720}} {
		if w, h := outputSize(c[0], c[1], 1280, 720); w != c[2] || h != c[3] {
			t.Errorf("%dx%d: %dx%d, want %dx%d", c[0], c[1], w, h, c[2], c[3])
		}
	}
}
