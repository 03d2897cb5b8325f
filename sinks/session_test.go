package sinks

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sightline/sightline/pipeline/bus"
)

func TestDeleteEndsASession(t *testing.T) {
	s := startStation(t, Config{Cameras: []string{"gate", "yard"}})
	one("gate", bus.EncodingSHM, 640, 360).roll(t, s.conn)
	p := play(t, s, "gate")
	p.next(t)
	foreign := strings.Replace(p.location, "/gate/", "/yard/", 1)
	if resp, _ := request(t, http.MethodDelete, foreign, "", ""); resp.StatusCode != 404 {
		t.Errorf("another camera's path: %s", resp.Status)
	}
	if resp, text := request(t, http.MethodDelete, p.location, "", ""); resp.StatusCode != 200 {
		t.Errorf("DELETE: %s %s", resp.Status, text)
	}
	if resp, _ := request(t, http.MethodDelete, p.location, "", ""); resp.StatusCode != 404 {
		t.Errorf("DELETE again: %s", resp.Status)
	}
	if n := s.server.Stats().Viewers; n != 0 {
		t.Errorf("%d viewers after the only one was ended", n)
	}
}

func TestAViewerThatVanishesIsForgotten(t *testing.T) {
	s := startStation(t, Config{Cameras: []string{"gate"}})
	one("gate", bus.EncodingSHM, 640, 360).roll(t, s.conn)
	p := play(t, s, "gate")
	p.next(t)
	if err := p.pc.Close(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the session ends", func() bool { return s.server.Stats().Viewers == 0 })
}

func TestAViewerThatNeverConnectsIsForgotten(t *testing.T) {
	s := startStation(t, Config{Cameras: []string{"gate"}})
	s.server.patience = 50 * time.Millisecond
	_, offer := makeOffer(t) // the answer is never taken
	if resp, text := request(t, http.MethodPost, s.url+"/gate/annotated/whep", typeSDP, offer); resp.StatusCode != 201 {
		t.Fatal(resp.Status, text)
	}
	eventually(t, "the session ends", func() bool { return s.server.Stats().Viewers == 0 })
}

func TestAMediaPortInUseIsNamed(t *testing.T) {
	taken, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := taken.LocalAddr().(*net.UDPAddr).Port
	_, err = newRTC(Config{MediaPort: port}, true, quiet())
	if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("listen on UDP port %d", port)) {
		t.Errorf("port in use: %v", err)
	}
}

func TestViewersAreLimited(t *testing.T) {
	s := startStation(t, Config{Cameras: []string{"gate", "yard"}, MaxViewers: 3, MaxCameraViewers: 2})
	var locations []string
	for i, c := range []struct {
		camera string
		want   int
		says   string
	}{{"gate", 201, ""}, {"gate", 201, ""}, {"gate", 503, "camera gate: 2 viewers"}, {"yard", 201, ""}, {"yard", 503, "3 viewers"}} {
		_, offer := makeOffer(t)
		resp, text := request(t, http.MethodPost, s.url+"/"+c.camera+"/annotated/whep", typeSDP, offer)
		if resp.StatusCode != c.want || !strings.Contains(text, c.says) || (c.want == 503 && resp.Header.Get("Retry-After") == "") {
			t.Fatalf("viewer %d of %s: %s %s", i, c.camera, resp.Status, text)
		}
		if c.want == 201 {
			locations = append(locations, s.url+resp.Header.Get("Location"))
		}
	}
	if resp, _ := request(t, http.MethodDelete, locations[0], "", ""); resp.StatusCode != 200 {
		t.Fatal(resp.Status)
	}
	_, offer := makeOffer(t)
	if resp, text := request(t, http.MethodPost, s.url+"/yard/annotated/whep", typeSDP, offer); resp.StatusCode != 201 {
		t.Errorf("after one left: %s %s", resp.Status, text)
	}
}

func TestBadOffersAreRefused(t *testing.T) {
	s := startStation(t, Config{Cameras: []string{"gate"}})
	_, offer := makeOffer(t)
	for name, c := range map[string]struct {
		path, kind, body string
		want             int
	}{
		"unknown camera": {"/nobody", typeSDP, offer, 404},
		"bad name":       {"/no.body", typeSDP, offer, 404},
		"wrong type":     {"/gate", "text/plain", offer, 415},
		"no type":        {"/gate", "", offer, 415},
		"empty":          {"/gate", typeSDP, "", 400},
		"not SDP":        {"/gate", typeSDP, "hello", 400},
		"no H.264":       {"/gate", typeSDP, strings.ReplaceAll(offer, "H264/90000", "VP9/90000"), 406},
		"no ICE":         {"/gate", typeSDP, plainOffer, 400},
		"too large":      {"/gate", typeSDP, offer + strings.Repeat("a=x\r\n", maxOffer/5), 413},
	} {
		resp, text := request(t, http.MethodPost, s.url+c.path+"/annotated/whep", c.kind, c.body)
		if resp.StatusCode != c.want || !strings.HasPrefix(text, `{"error":"`) {
			t.Errorf("%s: %s %s, want %d", name, resp.Status, text, c.want)
		}
	}
	if resp, text := request(t, http.MethodPost, s.url+"/gate/annotated/whep", typeSDP, offer, "Origin", "https://evil.example"); resp.StatusCode != 403 {
		t.Errorf("another site's page: %s %s", resp.Status, text)
	}
	if n := s.server.Stats().Viewers; n != 0 {
		t.Errorf("%d viewers left after refusals", n)
	}
}

func TestTrickleICE(t *testing.T) {
	s := startStation(t, Config{Cameras: []string{"gate"}})
	one("gate", bus.EncodingSHM, 640, 360).roll(t, s.conn)
	p := play(t, s, "gate")
	if p.etag == "" {
		t.Error("no ETag")
	}
	ufrag := ""
	for line := range strings.Lines(p.pc.LocalDescription().SDP) {
		if v, ok := strings.CutPrefix(line, "a=ice-ufrag:"); ok {
			ufrag = strings.TrimSpace(v)
		}
	}
	good := "a=ice-ufrag:" + ufrag + "\r\nm=video 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\na=candidate:1 1 udp 2122260223 127.0.0.1 9 typ host\r\n"
	for name, c := range map[string]struct {
		url, kind, body string
		want            int
	}{
		"good":       {p.location, typeFragment, good, 204},
		"wrong type": {p.location, typeSDP, good, 415},
		"nonsense":   {p.location, typeFragment, "a=candidate:nonsense\r\n", 400},
		"unknown":    {p.location + "x", typeFragment, good, 404},
	} {
		if resp, text := request(t, http.MethodPatch, c.url, c.kind, c.body); resp.StatusCode != c.want {
			t.Errorf("%s: %s %s, want %d", name, resp.Status, text, c.want)
		}
	}
	p.next(t)
}

func TestAnswersHoldLoopbackCandidatesOnlyOnLoopback(t *testing.T) {
	for listen, want := range map[string]bool{"127.0.0.1:0": true, ":0": false} {
		t.Run(listen, func(t *testing.T) {
			s := startStation(t, Config{Listen: listen, Cameras: []string{"gate"}})
			_, offer := makeOffer(t)
			resp, answer := request(t, http.MethodPost, s.url+"/gate/annotated/whep", typeSDP, offer)
			if resp.StatusCode != 201 {
				t.Fatal(resp.Status)
			}
			if got := strings.Contains(answer, " 127.0.0.1 "); got != want {
				t.Errorf("loopback candidate %v, want %v", got, want)
			}
		})
	}
}

func TestOneMediaPortServesAll(t *testing.T) {
	port := freeUDPPort(t)
	s := startStation(t, Config{Cameras: []string{"gate"}, MediaPort: port})
	one("gate", bus.EncodingSHM, 640, 360).roll(t, s.conn)
	play(t, s, "gate").next(t)
	play(t, s, "gate").next(t)
}

// freeUDPPort is a port that was free a moment ago.
func freeUDPPort(t *testing.T) int {
	t.Helper()
	c, err := net.ListenUDP("udp", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return c.LocalAddr().(*net.UDPAddr).Port
}
