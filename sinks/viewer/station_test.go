package viewer

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/webrtc/v4"
	"github.com/pion/webrtc/v4/pkg/media"
)

const (
	clipWidth, clipHeight = 640, 360
	clipFPS               = 25
)

// camera is one element of GET /api/cameras.
type camera struct {
	Name         string         `json:"name"`
	State        string         `json:"state"`
	Cause        string         `json:"cause"`
	Width        int            `json:"width"`
	Height       int            `json:"height"`
	FPS          float64        `json:"fps"`
	DetectionFPS float64        `json:"detection_fps"`
	LatencyMS    float64        `json:"latency_ms"`
	Detector     string         `json:"detector"`
	Objects      int            `json:"objects"`
	Counts       map[string]int `json:"counts"`
	Zones        []zone         `json:"zones"`
	Lines        []line         `json:"lines"`
	Dropped      uint64         `json:"dropped"`
	Viewers      int            `json:"viewers"`
}

type zone struct {
	Name    string `json:"name"`
	Objects *int   `json:"objects"`
}

type line struct {
	Name   string         `json:"name"`
	Counts map[string]int `json:"counts"`
}

// station serves the page, a list of cameras, and a clip as the video of each of them: the routes that the page needs.
type station struct {
	*httptest.Server
	units  [][]byte // access units of the clip, Annex B; the first is a key frame
	api    *webrtc.API
	wire   *wire
	paused atomic.Bool // no pictures are sent
	token  string

	mu       sync.Mutex // protects what follows
	cameras  []camera
	peers    map[string]*webrtc.PeerConnection
	offers   int         // POST that were answered 201
	silent   bool        // the API breaks every connection
	unmarked []string    // requests without the right token that were not for the page
	ended    chan string // ids of sessions that the page ended by DELETE
	running  sync.WaitGroup
}

func newStation(t *testing.T, token string, cameras ...camera) *station {
	t.Helper()
	units, err := clip()
	if err != nil {
		t.Fatal(err)
	}
	s := &station{
		units: units, token: token, cameras: cameras, peers: map[string]*webrtc.PeerConnection{}, ended: make(chan string, 100),
	}
	s.connectWire(t)
	mux := http.NewServeMux()
	mux.Handle("/", Handler())
	mux.HandleFunc("GET /api/cameras", s.locked(s.list))
	mux.HandleFunc("POST /{camera}/annotated/whep", s.locked(s.offer))
	mux.HandleFunc("DELETE /{camera}/annotated/whep/{id}", s.locked(s.end))
	s.Server = httptest.NewServer(mux)
	t.Cleanup(func() {
		s.Close()
		s.hangUp()
		s.running.Wait()
	})
	return s
}

// wire is the UDP socket of all sessions. Cut, it swallows what is sent, as if this machine had lost its power.
type wire struct {
	net.PacketConn
	cut atomic.Bool
}

func (w *wire) WriteTo(packet []byte, to net.Addr) (int, error) {
	if w.cut.Load() {
		return len(packet), nil
	}
	return w.PacketConn.WriteTo(packet, to)
}

// connectWire makes the sessions' API over a socket on loopback.
func (s *station) connectWire(t *testing.T) {
	t.Helper()
	socket, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.wire = &wire{PacketConn: socket}
	mux := webrtc.NewICEUDPMux(nil, s.wire)
	t.Cleanup(func() { mux.Close() }) //nolint:errcheck // closes the socket
	settings := webrtc.SettingEngine{}
	settings.SetIncludeLoopbackCandidate(true)
	settings.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4})
	settings.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	settings.SetICEUDPMux(mux)
	engine := &webrtc.MediaEngine{}
	if err := engine.RegisterDefaultCodecs(); err != nil {
		t.Fatal(err)
	}
	s.api = webrtc.NewAPI(webrtc.WithMediaEngine(engine), webrtc.WithSettingEngine(settings))
}

// clip is a moving test picture as H.264 access units, made once.
var clip = sync.OnceValues(func() ([][]byte, error) {
	source := fmt.Sprintf("testsrc2=size=%dx%d:rate=%d:duration=4", clipWidth, clipHeight, clipFPS)
	var data, fault bytes.Buffer
	command := exec.Command("ffmpeg", "-v", "error", "-f", "lavfi", "-i", source, "-c:v", "libx264", "-profile:v", "baseline",
		"-preset", "ultrafast", "-tune", "zerolatency", "-pix_fmt", "yuv420p", "-g", "25", "-bsf:v", "h264_metadata=aud=insert", "-f", "h264", "-")
	command.Stdout, command.Stderr = &data, &fault
	if err := command.Run(); err != nil {
		return nil, fmt.Errorf("make a clip with ffmpeg: %w: %s; run `make deps`", err, fault.String())
	}
	delimiter := []byte{0, 0, 0, 1, 9}
	units := bytes.Split(data.Bytes(), delimiter)[1:]
	for i, unit := range units {
		units[i] = append(bytes.Clone(delimiter), unit...)
	}
	if len(units) != 4*clipFPS {
		return nil, fmt.Errorf("the clip has %d access units, not %d", len(units), 4*clipFPS)
	}
	return units, nil
})

// locked answers 401 to requests without the token.
func (s *station) locked(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if s.token != "" && r.Header.Get("Authorization") != "Bearer "+s.token {
			s.mu.Lock()
			s.unmarked = append(s.unmarked, r.Method+" "+r.Header.Get("Authorization"))
			s.mu.Unlock()
			w.Header().Set("WWW-Authenticate", "Bearer")
			http.Error(w, `{"error":"a bearer token is needed"}`, http.StatusUnauthorized)
			return
		}
		next(w, r)
	}
}

func (s *station) list(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.silent {
		panic(http.ErrAbortHandler)
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(s.cameras) //nolint:errcheck // the client went away
}

// say sets what the next questions for cameras are answered.
func (s *station) say(cameras ...camera) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cameras = cameras
}

// silence breaks the connections of all who ask for cameras, or ends that.
func (s *station) silence(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.silent = on
}

func (s *station) offer(w http.ResponseWriter, r *http.Request) {
	sdp, err := io.ReadAll(io.LimitReader(r.Body, 64<<10))
	if err == nil && strings.Count(string(sdp), "a=recvonly") != 1 {
		err = fmt.Errorf("the offer is not for one picture to receive")
	}
	if err == nil {
		err = s.answer(w, r.PathValue("camera"), string(sdp))
	}
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		json.NewEncoder(w).Encode(map[string]string{"error": err.Error()}) //nolint:errcheck // the client went away
	}
}

func (s *station) answer(w http.ResponseWriter, camera, offer string) error {
	peer, err := s.api.NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		return err
	}
	track, err := webrtc.NewTrackLocalStaticSample(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeH264}, "video", camera)
	if err != nil {
		return err
	}
	if _, err = peer.AddTrack(track); err != nil {
		return err
	}
	if err = peer.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: offer}); err != nil {
		return err
	}
	answer, err := peer.CreateAnswer(nil)
	if err != nil {
		return err
	}
	gathered := webrtc.GatheringCompletePromise(peer)
	if err = peer.SetLocalDescription(answer); err != nil {
		return err
	}
	<-gathered
	id := s.admit(peer, track)
	w.Header().Set("Location", "/"+camera+"/annotated/whep/"+id)
	w.Header().Set("Content-Type", "application/sdp")
	w.WriteHeader(http.StatusCreated)
	_, err = io.WriteString(w, peer.LocalDescription().SDP)
	return err
}

// admit plays the clip to peer, again and again, until it is closed.
func (s *station) admit(peer *webrtc.PeerConnection, track *webrtc.TrackLocalStaticSample) (id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.offers++
	id = fmt.Sprint("s", s.offers)
	s.peers[id] = peer
	connected, over := context.WithCancel(context.Background())
	peer.OnConnectionStateChange(func(state webrtc.PeerConnectionState) {
		if state == webrtc.PeerConnectionStateClosed || state == webrtc.PeerConnectionStateFailed {
			over()
		}
	})
	s.running.Go(func() {
		tick := time.NewTicker(time.Second / clipFPS)
		defer tick.Stop()
		for i := 0; ; i++ {
			select {
			case <-connected.Done():
				return
			case <-tick.C:
			}
			if s.paused.Load() {
				continue
			}
			track.WriteSample(media.Sample{Data: s.units[i%len(s.units)], Duration: time.Second / clipFPS}) //nolint:errcheck // not connected yet, or no more
		}
	})
	return id
}

func (s *station) end(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	s.mu.Lock()
	peer := s.peers[id]
	delete(s.peers, id)
	s.mu.Unlock()
	if peer == nil {
		http.Error(w, `{"error":"no such session"}`, http.StatusNotFound)
		return
	}
	peer.Close() //nolint:errcheck // over either way
	s.ended <- id
}

// awaitEnded returns when the page has ended the session of this id.
func (s *station) awaitEnded(t *testing.T, id string) {
	t.Helper()
	late := time.After(patience)
	for {
		select {
		case ended := <-s.ended:
			if ended == id {
				return
			}
		case <-late:
			t.Fatalf("session %s was not ended", id)
		}
	}
}

// hangUp closes every session from the server's side.
func (s *station) hangUp() {
	s.mu.Lock()
	peers := s.peers
	s.peers = map[string]*webrtc.PeerConnection{}
	s.mu.Unlock()
	for _, peer := range peers {
		peer.Close() //nolint:errcheck // over either way
	}
}

// made returns how many sessions were made.
func (s *station) made() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.offers
}
