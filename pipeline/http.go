package pipeline

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// listen opens the page's port and says what to do where it is taken.
func listen(address string) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("listen on %s: the port is in use; stop the other process, or choose another port with --listen or http.listen", address)
	case err != nil:
		return nil, fmt.Errorf("listen on %s (http.listen): %w", address, err)
	}
	return l, nil
}

// web answers requests from the moment the port is open; what it answers with may change once.
type web struct {
	server  *http.Server
	handler atomic.Pointer[http.Handler]
	failed  chan error
	end     context.CancelFunc // of the requests
}

func startWeb(l net.Listener, first http.Handler) *web {
	ctx, end := context.WithCancel(context.Background())
	w := &web{failed: make(chan error, 1), end: end}
	w.show(first)
	w.server = &http.Server{
		Handler:           http.HandlerFunc(func(to http.ResponseWriter, r *http.Request) { (*w.handler.Load()).ServeHTTP(to, r) }),
		ReadHeaderTimeout: 5 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    32 << 10,
		BaseContext:       func(net.Listener) context.Context { return ctx },
	}
	go func() { w.failed <- w.server.Serve(l) }()
	return w
}

// show answers with another handler from now on.
func (w *web) show(h http.Handler) { w.handler.Store(&h) }

// run waits until ctx ends, then lets running requests finish for a moment.
func (w *web) run(ctx context.Context) error {
	select {
	case err := <-w.failed:
		return err
	case <-ctx.Done():
	}
	w.end()
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if w.server.Shutdown(last) != nil {
		w.server.Close()
	}
	return nil
}

func (w *web) close() {
	w.end()
	w.server.Close()
}

// authorized lets requests through that carry the bearer token. The page itself and the health checks are open: they hold
// nothing of any camera.
func authorized(token string, next http.Handler) http.Handler {
	if token == "" {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		given, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if !public(r) && subtle.ConstantTimeCompare([]byte(given), []byte(token)) != 1 {
			w.Header().Set("WWW-Authenticate", `Bearer realm="sightline"`)
			writeJSON(w, http.StatusUnauthorized, map[string]string{"error": "a bearer token is needed"})
			return
		}
		next.ServeHTTP(w, r)
	})
}

func public(r *http.Request) bool {
	if r.Method == http.MethodOptions {
		return true
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return false
	}
	path := r.URL.Path
	return path == "/" || path == "/healthz" || path == "/readyz" || path == "/favicon.ico" || strings.HasPrefix(path, "/assets/")
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(v) //nolint:errcheck // the client went away
}
