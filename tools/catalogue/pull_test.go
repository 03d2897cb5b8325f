package catalogue

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sightline/sightline/models"
	"github.com/sightline/sightline/tools/bundle"
	"github.com/sightline/sightline/tools/onnxgraph"
)

// content is a model that pulls bring.
func content(t testing.TB) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "..", "detect", "testdata", "tiny_grid.onnx"))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func entry(t testing.TB, data []byte) Entry {
	t.Helper()
	sum := sha256.Sum256(data)
	return Entry{Name: "grid", File: "grid.onnx", Licence: "Apache-2.0", Page: "https://models.example/grid", Bytes: int64(len(data)), SHA256: hex.EncodeToString(sum[:])}
}

// place is a folder to pull into, and whether the whole file, a part, or a card is in it.
type place struct {
	dir string
	e   Entry
}

func newPlace(t testing.TB, e Entry) place {
	t.Helper()
	return place{t.TempDir(), e}
}

func (p place) put(t testing.TB, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(p.dir, name), data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func (p place) holds(name string) []byte {
	data, err := os.ReadFile(filepath.Join(p.dir, name))
	if err != nil {
		return nil
	}
	return data
}

// whole expects the file, its card, and nothing else.
func (p place) whole(t testing.TB, want []byte) {
	t.Helper()
	spec, err := models.Load(filepath.Join(p.dir, p.e.File))
	if err != nil || !bytes.Equal(p.holds(p.e.File), want) || spec.Licence != "Apache-2.0" || spec.Origin.SHA256 != p.e.SHA256 || spec.Source != models.FromCard {
		t.Errorf("%+v, %v", spec, err)
	}
	if left, _ := os.ReadDir(p.dir); len(left) != 2 {
		t.Errorf("left %v", left)
	}
}

// none expects no file under the final name, and so many bytes of a part; -1 for no part.
func (p place) none(t testing.TB, partial int) {
	t.Helper()
	if data := p.holds(p.e.File); data != nil {
		t.Errorf("%d wrong bytes have the final name", len(data))
	}
	data := p.holds(p.e.File + part)
	if got := len(data); data == nil && partial >= 0 || data != nil && got != partial {
		t.Errorf("a part of %d bytes, want %d", got, partial)
	}
}

func refused(t testing.TB, err error, wants ...string) {
	t.Helper()
	for _, want := range append(wants, "pull grid: ") {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// files serves data as a server of releases does, and remembers what was asked for.
func files(t testing.TB, data []byte) (*httptest.Server, *[]string) {
	t.Helper()
	var asked []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.Header.Get("Range"))
		http.ServeContent(w, r, "grid.onnx", time.Time{}, bytes.NewReader(data))
	}))
	t.Cleanup(s.Close)
	return s, &asked
}

func TestPullBringsTheFileAndItsCard(t *testing.T) {
	data := content(t)
	e := entry(t, data)
	s, _ := files(t, data)
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, e.File), data, 0o600); err != nil {
		t.Fatal(err)
	}
	own := e
	own.URL = s.URL + "/grid.onnx"
	for name, c := range map[string]struct {
		e    Entry
		from string
	}{
		"its own address": {own, ""}, "address": {e, s.URL + "/any?x=1"}, "mirror": {e, s.URL + "/mirror/"},
		"folder": {e, folder}, "file": {e, filepath.Join(folder, e.File)},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t, c.e)
			last := int64(0)
			path, err := Pull(t.Context(), c.e, PullOptions{From: c.from, To: p.dir, Progress: func(done, total int64) {
				if done < last || total != e.Bytes {
					t.Errorf("%d of %d after %d", done, total, last)
				}
				last = done
			}})
			if err != nil || path != filepath.Join(p.dir, e.File) || last != e.Bytes {
				t.Fatalf("%s, %v, told of %d bytes", path, err, last)
			}
			p.whole(t, data)
			// What is made of it says where it is from, without being told.
			o, err := bundle.Open(path, onnxgraph.Size{})
			if made := o.Card("", "", "a test"); err != nil || made.Origin.URL != cmp.Or(c.e.URL, c.e.Page) || made.Licence != c.e.Licence {
				t.Errorf("%+v, %v", made, err)
			}
			if _, err := Pull(t.Context(), c.e, PullOptions{From: "nowhere", To: p.dir}); err != nil {
				t.Errorf("what is there already: %v", err)
			}
		})
	}
}

// TestPullGoesOnWhereItWas: by Range, where the server can.
func TestPullGoesOnWhereItWas(t *testing.T) {
	data := content(t)
	e := entry(t, data)
	s, asked := files(t, data)
	p := newPlace(t, e)
	p.put(t, e.File+part, data[:1000])
	if _, err := Pull(t.Context(), e, PullOptions{From: s.URL + "/", To: p.dir}); err != nil {
		t.Fatal(err)
	}
	p.whole(t, data)
	if len(*asked) != 1 || (*asked)[0] != "bytes=1000-" {
		t.Errorf("asked for %q", *asked)
	}
	for name, before := range map[string][]byte{
		"whole": data, "longer": append(bytes.Clone(data), 1), "of another file": bytes.Repeat([]byte{7}, 500), "of another whole file": bytes.Repeat([]byte{7}, len(data)),
	} {
		p := newPlace(t, e)
		p.put(t, e.File+part, before)
		if _, err := Pull(t.Context(), e, PullOptions{From: s.URL + "/", To: p.dir}); err != nil {
			t.Errorf("a part that is %s: %v", name, err)
		}
		p.whole(t, data)
	}
}

// TestPullFromAServerWithoutRanges: that starts anew.
func TestPullFromAServerWithoutRanges(t *testing.T) {
	data := content(t)
	e := entry(t, data)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(data) })) // whoever hung up has what he wanted
	t.Cleanup(s.Close)
	p := newPlace(t, e)
	p.put(t, e.File+part, data[:1000])
	if _, err := Pull(t.Context(), e, PullOptions{From: s.URL, To: p.dir}); err != nil {
		t.Fatal(err)
	}
	p.whole(t, data)
}

// TestWhatComesWrongIsNotKept: and what came short is, for the next time.
func TestWhatComesWrongIsNotKept(t *testing.T) {
	data := content(t)
	e := entry(t, data)
	other := bytes.Clone(data)
	other[len(other)/2] ^= 1
	for name, c := range map[string]struct {
		answer  http.HandlerFunc
		partial int // that stays
		wants   []string
	}{
		"wrong hash": {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(other) }, -1, []string{"another file", e.SHA256, "--from"}},
		"too large": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", fmt.Sprint(len(data)+1))
			_, _ = w.Write(append(bytes.Clone(data), 0))
		}, -1,
			[]string{"another file", fmt.Sprint(len(data) + 1), "--from"}},
		"endless": {func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				_, _ = w.Write(make([]byte, 1<<16))
			}
		}, -1, []string{"more than " + fmt.Sprint(len(data)), "--from"}},
		"too small": {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(data[:100]) }, 100, []string{"only 100 of ", "goes on from there"}},
		"truncated": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", fmt.Sprint(len(data)))
			_, _ = w.Write(data[:5000])
		}, 5000, []string{"only 5000 of ", "goes on from there"}},
		"missing": {http.NotFound, 0, []string{"is not there", "404", "--from"}},
		"broken":  {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }, 0, []string{"503", "later"}},
		"liar":    {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusPartialContent) }, 0, []string{"was asked for the bytes from 0"}},
		"insecure": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://u:secret@models.example/x", http.StatusFound)
		}, 0, []string{"not https"}},
		"circle": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://"+r.Host+"/", http.StatusFound)
		}, 0, []string{"redirects"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := httptest.NewTLSServer(c.answer)
			t.Cleanup(s.Close)
			p := newPlace(t, e)
			_, err := Pull(t.Context(), e, PullOptions{From: s.URL, To: p.dir, Client: s.Client()})
			refused(t, err, c.wants...)
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("a password is in %v", err)
			}
			p.none(t, c.partial)
		})
	}
}

func TestRedirectsToHTTPSAreFollowed(t *testing.T) {
	data := content(t)
	e := entry(t, data)
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/there" {
			http.Redirect(w, r, "/there", http.StatusFound)
			return
		}
		_, _ = w.Write(data)
	}))
	t.Cleanup(s.Close)
	p := newPlace(t, e)
	if _, err := Pull(t.Context(), e, PullOptions{From: s.URL, To: p.dir, Client: s.Client()}); err != nil {
		t.Fatal(err)
	}
	p.whole(t, data)
}

// halting serves the first bytes and then nothing more; halted is closed when they are sent.
func halting(t testing.TB, data []byte) (s *httptest.Server, halted chan struct{}) {
	t.Helper()
	halted = make(chan struct{})
	s = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write(data[:2000])
		w.(http.Flusher).Flush()
		close(halted)
		<-r.Context().Done()
	}))
	t.Cleanup(s.Close)
	return s, halted
}

// TestInterruptedPullGoesOn: what had come is there for the next time.
func TestInterruptedPullGoesOn(t *testing.T) {
	data := content(t)
	e := entry(t, data)
	s, halted := halting(t, data)
	p := newPlace(t, e)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-halted
		for len(p.holds(e.File+part)) < 2000 {
			time.Sleep(time.Millisecond) // until the part is written
		}
		cancel()
	}()
	_, err := Pull(ctx, e, PullOptions{From: s.URL, To: p.dir})
	refused(t, err, "canceled", "2000 of ", "goes on from there")
	p.none(t, 2000)
	whole, asked := files(t, data)
	if _, err := Pull(t.Context(), e, PullOptions{From: whole.URL, To: p.dir}); err != nil || (*asked)[0] != "bytes=2000-" {
		t.Errorf("%v, asked for %q", err, *asked)
	}
	p.whole(t, data)
}

func TestServerThatFallsSilentIsLeft(t *testing.T) {
	data := content(t)
	e := entry(t, data)
	s, _ := halting(t, data)
	p := newPlace(t, e)
	_, err := Pull(t.Context(), e, PullOptions{From: s.URL, To: p.dir, Stall: 100 * time.Millisecond})
	refused(t, err, "nothing came for 100ms", "goes on from there")
	p.none(t, 2000)
}

func TestWhatCannotBePulledIsRefused(t *testing.T) {
	data := content(t)
	e := entry(t, data)
	closed := httptest.NewServer(nil)
	closed.Close()
	closedURL, _ := url.Parse(closed.URL)
	closedURL.User = url.UserPassword("u", "secret")
	for from, wants := range map[string][]string{
		"":                   {"no address is known", "--from", e.Page, e.SHA256},
		"nowhere":            {"nowhere", "no such file"},
		t.TempDir():          {e.File, "no such file"},
		os.DevNull:           {"is no file"},
		"ftp://a:secret@b/c": {"is no address", "https://"},
		"https://":           {"is no address"},
		closedURL.String():   {"refused", "fetch http://u:xxxxx@"},
	} {
		p := newPlace(t, e)
		_, err := Pull(t.Context(), e, PullOptions{From: from, To: p.dir})
		refused(t, err, wants...)
		if strings.Contains(err.Error(), "secret") {
			t.Errorf("a password is in %v", err)
		}
		if p.holds(e.File) != nil {
			t.Error("there is a file")
		}
	}
	p := newPlace(t, e)
	p.put(t, e.File, []byte("mine"))
	_, err := Pull(t.Context(), e, PullOptions{From: "nowhere", To: p.dir})
	refused(t, err, "another file", "--to")
	if string(p.holds(e.File)) != "mine" {
		t.Error("another file was overwritten")
	}
	_, err = Pull(t.Context(), e, PullOptions{From: "nowhere", To: filepath.Join(p.dir, e.File)})
	refused(t, err, "not a directory")
}
