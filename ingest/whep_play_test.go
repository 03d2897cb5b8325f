package ingest

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/pion/webrtc/v4"

	"github.com/sightline/sightline/ingest/decode/testclip"
)

// whepServer offers one stream to watch to whoever knows the password, and says on ended that a watcher left.
type whepServer struct {
	*httptest.Server
	t       *testing.T
	clip    string
	watched chan *peer
	ended   chan struct{}
}

func newWHEPServer(t *testing.T, clip string) *whepServer {
	t.Helper()
	s := &whepServer{t: t, clip: clip, watched: make(chan *peer, 10), ended: make(chan struct{}, 10)}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /gate/whep", s.offered)
	mux.HandleFunc("DELETE /gate/whep/1", func(http.ResponseWriter, *http.Request) { s.ended <- struct{}{} })
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "admin" || password != secret {
			http.Error(w, "who is there?", http.StatusUnauthorized)
			return
		}
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *whepServer) offered(w http.ResponseWriter, r *http.Request) {
	offer, err := io.ReadAll(r.Body)
	if err != nil {
		s.t.Error(err)
	}
	track, write := sampleTrack(s.t, webrtc.MimeTypeH264)
	p := newPeer(s.t, track)
	w.Header().Set("Location", "/gate/whep/1")
	w.WriteHeader(http.StatusCreated)
	io.WriteString(w, p.answer(string(offer))) //nolint:errcheck // the test notices
	p.play(write, s.clip)
	s.watched <- p
}

// answer takes an offer to watch.
func (p *peer) answer(offer string) string {
	if err := p.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: offer}); err != nil {
		p.t.Error(err)
		return ""
	}
	answer, err := p.pc.CreateAnswer(nil)
	gathered := webrtc.GatheringCompletePromise(p.pc)
	if err = errors.Join(err, p.pc.SetLocalDescription(answer)); err != nil {
		p.t.Error(err)
		return ""
	}
	<-gathered
	return p.pc.LocalDescription().SDP
}

func TestWHEPPlaysAndEndsItsSession(t *testing.T) {
	t.Parallel()
	log := new(logged)
	server := newWHEPServer(t, testclip.Counter(t, "clip.h264", 48, 25, baseline))
	source, err := newSource(CameraConfig{Name: "gate", Source: with("admin:"+secretEscaped, server.URL+"/gate/whep"), ReadTimeout: patience}, log.logger())
	if err != nil {
		t.Fatal(err)
	}
	w := watch(t, source)
	checkCounting(t, w)
	w.stop()
	if err := w.end(); !errors.Is(err, context.Canceled) {
		t.Errorf("after cancelling: %v", err)
	}
	<-server.ended
	(<-server.watched).leave()

	w = watch(t, source)
	w.next()
	(<-server.watched).leave()
	w.fails(Retry, "read from "+server.URL+"/gate/whep", "the server left")
	<-server.ended
	checkSecrets(t, log.String())
	if strings.Contains(log.String(), "was not told") {
		t.Errorf("the session was not ended: %s", log.String())
	}
}
