package sinks

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"

	"github.com/pion/webrtc/v4"
	"github.com/sightline/sightline/pipeline/bus"
)

const (
	maxOffer         = 64 << 10
	maxFragment      = 16 << 10
	maxCandidates    = 64 // in one PATCH
	maxCandidateSize = 512
)

const (
	typeSDP      = "application/sdp"
	typeFragment = "application/trickle-ice-sdpfrag"
)

// pathCamera is the camera of a request's path; where it is unknown the request is answered.
func (s *Server) pathCamera(w http.ResponseWriter, r *http.Request) (string, bool) {
	camera := r.PathValue("camera")
	if err := bus.ValidateCamera(camera); err != nil {
		fail(w, http.StatusNotFound, "camera: %v", err)
		return "", false
	}
	if !s.cameras.known(camera) {
		fail(w, http.StatusNotFound, "camera %s is not known here: see /api/cameras", camera)
		return "", false
	}
	return camera, true
}

// body reads at most limit bytes of the wanted type, or answers the request.
func body(w http.ResponseWriter, r *http.Request, want string, limit int64) ([]byte, bool) {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != want {
		fail(w, http.StatusUnsupportedMediaType, "content type %.60q: must be %s", r.Header.Get("Content-Type"), want)
		return nil, false
	}
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	if tooLarge := new(http.MaxBytesError); errors.As(err, &tooLarge) {
		fail(w, http.StatusRequestEntityTooLarge, "body: more than %d bytes", limit)
		return nil, false
	}
	if err != nil {
		fail(w, http.StatusBadRequest, "body: %v", err)
		return nil, false
	}
	return data, true
}

// whepOffer begins a viewer's session.
func (s *Server) whepOffer(w http.ResponseWriter, r *http.Request) {
	camera, ok := s.pathCamera(w, r)
	if !ok {
		return
	}
	offer, ok := body(w, r, typeSDP, maxOffer)
	if !ok {
		return
	}
	if err := checkOffer(offer); err != nil {
		fail(w, offerStatus(err), "%v", err)
		return
	}
	ses, err := s.open(camera, string(offer))
	if refused := new(fullError); errors.As(err, &refused) {
		fail(w, http.StatusServiceUnavailable, "%v", err)
		return
	}
	if err != nil {
		fail(w, offerStatus(err), "%v", err)
		return
	}
	h := w.Header()
	h.Set("Content-Type", typeSDP)
	h.Set("Location", "/"+camera+"/annotated/whep/"+ses.id)
	h.Set("ETag", `"`+ses.id[len(ses.id)-8:]+`"`)
	h.Set("Accept-Patch", typeFragment)
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusCreated)
	_, _ = io.WriteString(w, ses.pc.LocalDescription().SDP)
}

func offerStatus(err error) int {
	if errors.Is(err, errNoH264) {
		return http.StatusNotAcceptable
	}
	return http.StatusBadRequest
}

// whepPatch takes candidates that the viewer found after its offer.
func (s *Server) whepPatch(w http.ResponseWriter, r *http.Request) {
	ses := s.session(r.PathValue("camera"), r.PathValue("id"))
	if ses == nil {
		fail(w, http.StatusNotFound, "no such session")
		return
	}
	data, ok := body(w, r, typeFragment, maxFragment)
	if !ok {
		return
	}
	candidates, err := parseFragment(data)
	if err != nil {
		fail(w, http.StatusBadRequest, "%v", err)
		return
	}
	for _, c := range candidates {
		if err := ses.pc.AddICECandidate(c); err != nil {
			fail(w, http.StatusBadRequest, "candidate %.100q: %v", c.Candidate, err)
			return
		}
	}
	w.WriteHeader(http.StatusNoContent)
}

// parseFragment reads the candidates of a trickle-ice-sdpfrag body (RFC 8840).
func parseFragment(data []byte) ([]webrtc.ICECandidateInit, error) {
	var out []webrtc.ICECandidateInit
	mid, ufrag := "0", ""
	for line := range bytes.Lines(data) {
		text := strings.TrimRight(string(line), "\r\n")
		key, value, _ := strings.Cut(text, ":")
		switch key {
		case "a=mid":
			mid = value
		case "a=ice-ufrag":
			ufrag = value
		case "a=candidate":
			if len(text) > maxCandidateSize {
				return nil, fmt.Errorf("parse candidates: a line of %d bytes, at most %d are taken", len(text), maxCandidateSize)
			}
			if len(out) == maxCandidates {
				return nil, fmt.Errorf("parse candidates: more than %d", maxCandidates)
			}
			c := webrtc.ICECandidateInit{Candidate: text[2:], SDPMid: &mid}
			if ufrag != "" {
				c.UsernameFragment = &ufrag
			}
			out = append(out, c)
		}
	}
	return out, nil
}

// whepEnd ends a session. It answers when the connection is closed.
func (s *Server) whepEnd(w http.ResponseWriter, r *http.Request) {
	ses := s.session(r.PathValue("camera"), r.PathValue("id"))
	if ses == nil {
		fail(w, http.StatusNotFound, "no such session")
		return
	}
	ses.stop()
	select {
	case <-ses.ended:
	case <-r.Context().Done():
	}
	w.WriteHeader(http.StatusOK)
}

// whepOptions answers preflights; guard has refused the origins that may not ask.
func whepOptions(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Accept-Post", typeSDP)
	w.Header().Set("Accept-Patch", typeFragment)
	w.WriteHeader(http.StatusNoContent)
}
