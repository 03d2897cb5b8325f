package viewer

import (
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"
)

func TestEveryFileIsServedWithItsHeaders(t *testing.T) {
	server := httptest.NewServer(Handler())
	defer server.Close()
	for path, kind := range kinds {
		answer, body := get(t, server.URL+path, "")
		if answer.StatusCode != http.StatusOK || len(body) == 0 {
			t.Errorf("GET %s: %s, %d bytes", path, answer.Status, len(body))
		}
		for name, want := range map[string]string{
			"Content-Type":            kind,
			"Content-Security-Policy": policy,
			"X-Content-Type-Options":  "nosniff",
			"Referrer-Policy":         "no-referrer",
			"Cache-Control":           "no-cache",
		} {
			if got := answer.Header.Get(name); got != want {
				t.Errorf("GET %s: %s is %q, not %q", path, name, got, want)
			}
		}
		again, body := get(t, server.URL+path, answer.Header.Get("ETag"))
		if again.StatusCode != http.StatusNotModified || len(body) != 0 {
			t.Errorf("GET %s with its ETag: %s, %d bytes", path, again.Status, len(body))
		}
	}
}

func get(t *testing.T, url, tag string) (*http.Response, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if tag != "" {
		request.Header.Set("If-None-Match", tag)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer, string(body)
}

func TestOtherPathsAndMethodsAreRefused(t *testing.T) {
	handler := Handler()
	for _, c := range []struct {
		method, path string
		status       int
	}{
		{"GET", "/index.html", 404}, {"GET", "/assets/", 404}, {"GET", "/assets", 404}, {"GET", "/page/index.html", 404},
		{"GET", "/assets/../viewer.go", 404}, {"GET", "/assets/app.js/", 404}, {"GET", "//", 404}, {"GET", "/favicon.ico", 404},
		{"POST", "/", 405}, {"DELETE", "/assets/app.js", 405}, {"HEAD", "/", 200}, {"POST", "/nothing", 404},
	} {
		w := httptest.NewRecorder()
		request := httptest.NewRequest(c.method, "/", nil)
		request.URL.Path = c.path
		handler.ServeHTTP(w, request)
		if w.Code != c.status {
			t.Errorf("%s %s: %d, not %d", c.method, c.path, w.Code, c.status)
		}
		if w.Header().Get("Content-Security-Policy") == "" {
			t.Errorf("%s %s: no policy", c.method, c.path)
		}
		if c.method == "HEAD" && w.Body.Len() != 0 {
			t.Errorf("HEAD has a body of %d bytes", w.Body.Len())
		}
	}
}

// The name of SVG's vocabulary looks like an address and is never asked for.
const svgName = "http://www.w3.org/2000/svg"

func TestNothingOutsideIsNamedAndNothingIsInline(t *testing.T) {
	address := regexp.MustCompile(`(?i)(https?:|wss?:|["'(=]\s*)//[a-z0-9]`)
	inline := regexp.MustCompile(`(?i)<script(\s[^>]*)?>[^<]|<style|\sstyle=|\son[a-z]+=|javascript:`)
	markup := regexp.MustCompile(`innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|DOMParser|localStorage|document\.cookie`)
	err := fs.WalkDir(page, "page", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		body, err := fs.ReadFile(page, path)
		text := strings.ReplaceAll(string(body), svgName, "")
		if found := address.FindString(text); found != "" {
			t.Errorf("%s names another host: %q", path, found)
		}
		if found := inline.FindString(text); found != "" && strings.HasSuffix(path, ".html") {
			t.Errorf("%s has something inline that the policy refuses: %q", path, found)
		}
		if found := markup.FindString(text); found != "" && strings.HasSuffix(path, ".js") {
			t.Errorf("%s: %q", path, found)
		}
		if _, served := kinds[strings.TrimPrefix(strings.TrimSuffix(path, "index.html"), "page")]; !served {
			t.Errorf("%s is embedded but not served", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestPolicyAllowsNothingUnsafe(t *testing.T) {
	for _, word := range []string{"unsafe", "*", "data:", "blob:", "http"} {
		if strings.Contains(policy, word) {
			t.Errorf("the policy holds %q", word)
		}
	}
	for _, directive := range []string{"default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'none'"} {
		if !strings.Contains(policy, directive) {
			t.Errorf("the policy lacks %q", directive)
		}
	}
}

func TestEveryElementThatTheScriptFindsIsThere(t *testing.T) {
	html, _ := fs.ReadFile(page, "page/index.html")
	script, _ := fs.ReadFile(page, "page/assets/app.js")
	for _, call := range regexp.MustCompile(`find\("([a-z-]+)"\)`).FindAllStringSubmatch(string(script), -1) {
		if !strings.Contains(string(html), `id="`+call[1]+`"`) {
			t.Errorf("the script looks for #%s, which is not on the page", call[1])
		}
	}
	for _, call := range regexp.MustCompile(`this\.(?:set|field)\("([a-z-]+)"`).FindAllStringSubmatch(string(script), -1) {
		if !strings.Contains(string(html), `data-field="`+call[1]+`"`) {
			t.Errorf("the script looks for the field %s, which is not on the page", call[1])
		}
	}
}

func TestMissingFileIsAnError(t *testing.T) {
	if _, err := load(fstest.MapFS{}); err == nil || !strings.HasPrefix(err.Error(), "load page: ") {
		t.Errorf("loading nothing: %v", err)
	}
}
