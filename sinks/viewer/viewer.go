// Package viewer is the web page that shows all cameras: three small files inside the binary, which ask nothing of any other
// host. It plays what package sinks serves and knows nothing else of Sightline.
package viewer

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"time"
)

//go:embed page
var page embed.FS

// policy allows the page's own files and requests to its own server, and nothing that text could turn into a script. Video
// comes as a MediaStream, which no directive governs.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; " +
	"form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"

// kinds names every path that is served and what it is.
var kinds = map[string]string{
	"/":                "text/html; charset=utf-8",
	"/assets/app.css":  "text/css; charset=utf-8",
	"/assets/app.js":   "text/javascript; charset=utf-8",
	"/assets/icon.svg": "image/svg+xml",
}

// file is one answer, made once.
type file struct {
	body []byte
	kind string
	tag  string // strong ETag
}

// Handler serves the page at / and its files below /assets/, to GET and HEAD; any other path is 404. Mount it at "/": a pattern
// "/assets/" beside "/{camera}/…" would be ambiguous to http.ServeMux. The page asks, relative to its own address, for
// api/cameras and {camera}/annotated/whep, so a proxy may serve all of it below a prefix. It holds nothing of any camera and
// needs no token. It may be called from any number of goroutines.
func Handler() http.Handler {
	files, err := load(page)
	if err != nil {
		panic(err) // the binary was built without a file of the page
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { serve(w, r, files) })
}

func load(from fs.FS) (map[string]file, error) {
	files := make(map[string]file, len(kinds))
	for path, kind := range kinds {
		name := "page" + path
		if path == "/" {
			name = "page/index.html"
		}
		body, err := fs.ReadFile(from, name)
		if err != nil {
			return nil, fmt.Errorf("load page: %w", err)
		}
		sum := sha256.Sum256(body)
		files[path] = file{body: body, kind: kind, tag: `"` + hex.EncodeToString(sum[:8]) + `"`}
	}
	return files, nil
}

func serve(w http.ResponseWriter, r *http.Request, files map[string]file) {
	h := w.Header()
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), microphone=(), geolocation=()")
	f, ok := files[r.URL.Path]
	switch {
	case !ok:
		http.Error(w, "no such page", http.StatusNotFound)
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		h.Set("Allow", "GET, HEAD")
		http.Error(w, "only GET and HEAD", http.StatusMethodNotAllowed)
	default:
		h.Set("Content-Type", f.kind)
		h.Set("Cache-Control", "no-cache") // asked again each time, answered 304 until the binary changes
		h.Set("ETag", f.tag)
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(f.body))
	}
}
