package ingest

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/pion/webrtc/v4"
)

// whipServer serves WHIP for one camera, yard, at url.
type whipServer struct {
	*WHIP
	source *whipSource
	url    string // of the camera's endpoint
	log    *logged
}

func newWHIPServer(t *testing.T, token string) *whipServer {
	t.Helper()
	s := &whipServer{log: new(logged)}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(s.log)
		}
	})
	s.WHIP = NewWHIP(token, s.log.logger())
	source, err := newWHIPSource(CameraConfig{Name: "yard", Source: "whip"}, s.log.logger())
	if err != nil {
		t.Fatal(err)
	}
	s.source = source.(*whipSource)
	s.Add(&Camera{source: source})
	s.Add(&Camera{source: rtsp(t, "rtsp://host/x")}) // is none of its business
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	s.url = server.URL + "/yard/whip"
	return s
}

// ask sends a request and returns the status, the body and the headers.
func ask(t *testing.T, method, url, body string, header ...string) (int, string, http.Header) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text), response.Header
}

func TestWHIPTokens(t *testing.T) {
	t.Parallel()
	s := newWHIPServer(t, secret)
	watch(t, s.source)
	waitFor(t, s.source.free)
	base := strings.TrimSuffix(s.url, "/yard/whip")
	var bodies []string
	for _, path := range []string{"/yard/whip", "/nobody/whip", "/yard/whip/0123", "/../etc"} {
		for _, header := range [][]string{nil, {"Authorization", "Bearer wrong"}, {"Authorization", "Basic " + secret}, {"Authorization", secret}} {
			code, body, h := ask(t, http.MethodPost, base+path, "v=0", append(header, "Content-Type", "application/sdp")...)
			if code != http.StatusUnauthorized || h.Get("WWW-Authenticate") == "" {
				t.Errorf("POST %s with %v: %d %s", path, header, code, body)
			}
			bodies = append(bodies, body)
		}
	}
	for _, body := range bodies {
		if body != bodies[0] {
			t.Errorf("answers differ: %q, %q", body, bodies[0])
		}
	}
	track, _ := sampleTrack(t, webrtc.MimeTypeVP8)
	p := newPeer(t, track)
	p.publish(s.url, "Authorization", "bearer "+secret, "Origin", "https://elsewhere.example")
	if code, _, _ := ask(t, http.MethodDelete, p.session, ""); code != http.StatusUnauthorized {
		t.Errorf("DELETE without token: %d", code)
	}
	if code, _, _ := ask(t, http.MethodDelete, p.session, "", "Authorization", "Bearer "+secret); code != http.StatusOK {
		t.Errorf("DELETE with token: %d", code)
	}
	checkSecrets(t, s.log.String()+fmt.Sprint(bodies))
}

func TestWHIPRefuses(t *testing.T) {
	t.Parallel()
	s := newWHIPServer(t, "")
	base := strings.TrimSuffix(s.url, "/yard/whip")
	track, _ := sampleTrack(t, webrtc.MimeTypeVP8)
	offer := newPeer(t, track).offer()
	s.source.replace = 100 * time.Millisecond
	if code, text, h := ask(t, http.MethodPost, s.url, offer, "Content-Type", "application/sdp"); code != http.StatusServiceUnavailable || h.Get("Retry-After") == "" {
		t.Errorf("a camera that does not run: %d %s", code, text)
	}
	watch(t, s.source)
	waitFor(t, s.source.free)
	sdp := []string{"Content-Type", "application/sdp"}
	only := strings.ReplaceAll(strings.ReplaceAll(offer, "VP8/90000", "VP9/90000"), "H264/90000", "H263/90000")
	for name, test := range map[string]struct {
		method, url, body string
		header            []string
		code              int
		words             string
	}{
		"unknown camera":  {http.MethodPost, base + "/nobody/whip", offer, sdp, http.StatusNotFound, "no camera"},
		"unknown session": {http.MethodDelete, s.url + "/0123", "", nil, http.StatusNotFound, "no such session"},
		"other path":      {http.MethodPost, base + "/a/b/c/d", offer, sdp, http.StatusNotFound, "no camera"},
		"GET":             {http.MethodGet, s.url, "", nil, http.StatusMethodNotAllowed, "POST"},
		"content type":    {http.MethodPost, s.url, offer, []string{"Content-Type", "text/plain"}, http.StatusUnsupportedMediaType, "application/sdp"},
		"too large":       {http.MethodPost, s.url, offer + strings.Repeat("a=x\r\n", 20000), sdp, http.StatusRequestEntityTooLarge, "larger than 65536"},
		"too many media":  {http.MethodPost, s.url, offer + strings.Repeat("m=video 9 x 1\r\n", 10), sdp, http.StatusBadRequest, "more than 8 media"},
		"candidates":      {http.MethodPost, s.url, offer + strings.Repeat("a=candidate:1\r\n", 200), sdp, http.StatusBadRequest, "more than 128 candidates"},
		"no SDP":          {http.MethodPost, s.url, "hello", sdp, http.StatusBadRequest, "no video"},
		"broken SDP":      {http.MethodPost, s.url, "v=0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\n", sdp, http.StatusBadRequest, "cannot be read"},
		"other codecs":    {http.MethodPost, s.url, only, sdp, http.StatusNotAcceptable, "H.264 or VP8"},
		"other origin":    {http.MethodPost, s.url, offer, append(sdp, "Origin", "https://elsewhere.example"), http.StatusForbidden, "only with a token"},
	} {
		t.Run(name, func(t *testing.T) {
			if code, text, _ := ask(t, test.method, test.url, test.body, test.header...); code != test.code || !strings.Contains(text, test.words) {
				t.Errorf("%d %s, want %d %s", code, text, test.code, test.words)
			}
			if !s.source.free() {
				t.Error("the camera's place is still taken")
			}
		})
	}
	if code, _, h := ask(t, http.MethodOptions, s.url, "", "Origin", base); code != http.StatusNoContent || h.Get("Accept-Post") != "application/sdp" {
		t.Errorf("OPTIONS: %d %v", code, h)
	}
}

func TestWHIPTrickle(t *testing.T) {
	t.Parallel()
	s := newWHIPServer(t, "")
	watch(t, s.source)
	waitFor(t, s.source.free)
	track, _ := sampleTrack(t, webrtc.MimeTypeVP8)
	p := newPeer(t, track)
	p.publish(s.url)
	ufrag := iceFragments(p.pc.LocalDescription().SDP)[0]
	const candidate = "a=mid:0\r\na=candidate:1 1 udp 2130706431 127.0.0.1 40000 typ host\r\na=end-of-candidates\r\n"
	fragment := []string{"Content-Type", "application/trickle-ice-sdpfrag"}
	for _, test := range []struct {
		name, body string
		header     []string
		code       int
	}{
		{"a candidate", "a=ice-ufrag:" + ufrag + "\r\n" + candidate, fragment, http.StatusNoContent},
		{"restart", "a=ice-ufrag:other\r\n" + candidate, fragment, http.StatusUnprocessableEntity},
		{"no candidate", "a=candidate:nonsense\r\n", fragment, http.StatusBadRequest},
		{"content type", candidate, []string{"Content-Type", "text/plain"}, http.StatusUnsupportedMediaType},
		{"too many", strings.Repeat(candidate, 200), fragment, http.StatusBadRequest},
	} {
		if code, text, _ := ask(t, http.MethodPatch, p.session, test.body, test.header...); code != test.code {
			t.Errorf("%s: %d %s, want %d", test.name, code, text, test.code)
		}
	}
}

// FuzzWHIPOffer posts any offer; whatever happens, the camera's place is free again afterwards.
func FuzzWHIPOffer(f *testing.F) {
	f.Add("v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=ice-ufrag:abcd\r\na=ice-pwd:0123456789012345678901\r\n" +
		"a=fingerprint:sha-256 " + strings.Repeat("AA:", 31) + "AA\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 0.0.0.0\r\n" +
		"a=setup:actpass\r\na=mid:0\r\na=sendonly\r\na=rtcp-mux\r\na=rtpmap:96 VP8/90000\r\n")
	f.Add("v=0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\n")
	f.Fuzz(func(t *testing.T, offer string) {
		s := newWHIPServer(t, "")
		s.connectTime = time.Millisecond
		watch(t, s.source)
		waitFor(t, s.source.free)
		ask(t, http.MethodPost, s.url, offer, "Content-Type", "application/sdp")
		waitFor(t, s.source.free)
	})
}
