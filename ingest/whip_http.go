package ingest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/pion/webrtc/v4"
)

const (
	maxSDP        = 64 << 10
	maxMediaLines = 8   // of an offer
	maxCandidates = 128 // of an offer
)

// ServeHTTP answers POST on /<camera>/whip, and DELETE and PATCH on the session's address that POST gave. Any number of
// requests may be under way.
func (w *WHIP) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	rw.Header().Set("Cache-Control", "no-store")
	if !w.sameOrigin(rw, r) {
		http.Error(rw, "pages of other origins may publish only with a token", http.StatusForbidden)
		return
	}
	if r.Method == http.MethodOptions {
		rw.Header().Set("Accept-Post", "application/sdp")
		rw.WriteHeader(http.StatusNoContent)
		return
	}
	if !w.admitted(bearer(r)) { // the same answer whether the camera exists or not
		rw.Header().Set("WWW-Authenticate", `Bearer realm="sightline"`)
		http.Error(rw, "a bearer token is needed", http.StatusUnauthorized)
		return
	}
	name, id, ok := whipPath(r.URL.Path)
	camera := w.camera(name)
	if !ok || camera == nil {
		http.Error(rw, "no camera with source whip has this address", http.StatusNotFound)
		return
	}
	if id == "" {
		w.endpoint(rw, r, camera)
	} else {
		w.session(rw, r, camera, id)
	}
}

// whipPath takes /<camera>/whip and /<camera>/whip/<id> apart.
func whipPath(path string) (camera, id string, ok bool) {
	parts := strings.Split(strings.TrimPrefix(path, "/"), "/")
	switch {
	case len(parts) == 2 && parts[1] == "whip":
		return parts[0], "", true
	case len(parts) == 3 && parts[1] == "whip" && parts[2] != "":
		return parts[0], parts[2], true
	}
	return "", "", false
}

// bearer returns the token of a request, "" where there is none.
func bearer(r *http.Request) string {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}

// sameOrigin sets the CORS headers, and says whether the page that asks may go on.
func (w *WHIP) sameOrigin(rw http.ResponseWriter, r *http.Request) bool {
	h := rw.Header()
	h.Add("Vary", "Origin")
	origin := r.Header.Get("Origin")
	if origin == "" {
		return true
	}
	u, err := url.Parse(origin)
	if err != nil || !strings.EqualFold(u.Host, r.Host) {
		if w.token == nil {
			return false
		}
		h.Set("Access-Control-Allow-Origin", origin)
		h.Set("Access-Control-Allow-Methods", "POST, PATCH, DELETE, OPTIONS")
		h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, If-Match")
		h.Set("Access-Control-Expose-Headers", "Location")
	}
	return true
}

// endpoint starts a session.
func (w *WHIP) endpoint(rw http.ResponseWriter, r *http.Request, camera *whipSource) {
	if r.Method != http.MethodPost {
		rw.Header().Set("Allow", "POST, OPTIONS")
		http.Error(rw, "publish by POST with an SDP offer", http.StatusMethodNotAllowed)
		return
	}
	offer, status, err := readOffer(rw, r)
	if err != nil {
		http.Error(rw, err.Error(), status)
		return
	}
	id, answer, err := w.publish(r.Context(), camera, offer, throughLoopback(r))
	if err != nil {
		status := whipStatus(err)
		if status == http.StatusServiceUnavailable {
			rw.Header().Set("Retry-After", "1")
		}
		w.log.Info("publisher refused", "camera", camera.camera, "error", err)
		http.Error(rw, err.Error(), status)
		return
	}
	rw.Header().Set("Content-Type", "application/sdp")
	rw.Header().Set("Location", r.URL.EscapedPath()+"/"+id)
	rw.WriteHeader(http.StatusCreated)
	io.WriteString(rw, answer) //nolint:errcheck // then it never connects and is put out
}

// readOffer reads the body within its limits.
func readOffer(rw http.ResponseWriter, r *http.Request) (offer string, status int, err error) {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/sdp" {
		return "", http.StatusUnsupportedMediaType, errors.New("the offer must be application/sdp")
	}
	body, err := io.ReadAll(http.MaxBytesReader(rw, r.Body, maxSDP))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return "", http.StatusRequestEntityTooLarge, fmt.Errorf("the offer is larger than %d bytes", maxSDP)
	case err != nil:
		return "", http.StatusBadRequest, errors.New("the offer did not arrive whole")
	}
	offer = string(body)
	switch {
	case strings.Count(offer, "\nm=") > maxMediaLines:
		return "", http.StatusBadRequest, fmt.Errorf("the offer has more than %d media", maxMediaLines)
	case strings.Count(offer, "\na=candidate:") > maxCandidates:
		return "", http.StatusBadRequest, fmt.Errorf("the offer has more than %d candidates", maxCandidates)
	case !strings.Contains(offer, "\nm=video "):
		return "", http.StatusBadRequest, errors.New("the offer has no video")
	}
	return offer, 0, nil
}

var (
	errOffer  = errors.New("the offer cannot be read")
	errCodecs = errors.New("offer video to send in H.264 or VP8")
	errTooFew = errors.New("too many publishers connect at this moment; try again")
)

func whipStatus(err error) int {
	switch {
	case errors.Is(err, errBusy):
		return http.StatusConflict
	case errors.Is(err, errNotOpen), errors.Is(err, errTooFew):
		return http.StatusServiceUnavailable
	case errors.Is(err, errOffer):
		return http.StatusBadRequest
	case errors.Is(err, errCodecs):
		return http.StatusNotAcceptable
	}
	return http.StatusInternalServerError
}

// publish negotiates with a publisher and hands it to its camera.
func (w *WHIP) publish(ctx context.Context, camera *whipSource, offer string, loopback bool) (id, answer string, err error) {
	select {
	case w.negotiating <- struct{}{}:
		defer func() { <-w.negotiating }()
	default:
		return "", "", errTooFew
	}
	p := newWHIPSession("publisher", camera.silent, w.connectTime, camera.log)
	if err := camera.claim(ctx, p); err != nil {
		return "", "", err
	}
	peers := w.remote
	if loopback {
		peers = w.local
	}
	answer, err = p.negotiate(ctx, peers, offer)
	if err == nil {
		err = camera.hand(p)
	}
	if err != nil {
		p.close()
		camera.release(p)
		return "", "", err
	}
	return p.id, answer, nil
}

// throughLoopback says whether the request came by the loopback interface: then candidates on it are of use.
func throughLoopback(r *http.Request) bool {
	address, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if address == nil {
		return false
	}
	host, _, err := net.SplitHostPort(address.String())
	return err == nil && net.ParseIP(host).IsLoopback()
}

// session answers requests to a running session.
func (w *WHIP) session(rw http.ResponseWriter, r *http.Request, camera *whipSource, id string) {
	p := camera.find(id)
	if p == nil {
		http.Error(rw, "no such session", http.StatusNotFound)
		return
	}
	switch r.Method {
	case http.MethodDelete:
		p.end(errors.New("the publisher hung up"))
		rw.WriteHeader(http.StatusOK)
	case http.MethodPatch:
		w.trickle(rw, r, p)
	default:
		rw.Header().Set("Allow", "DELETE, PATCH, OPTIONS")
		http.Error(rw, "end the session by DELETE", http.StatusMethodNotAllowed)
	}
}

// trickle takes candidates that the publisher found after its offer (RFC 8840). ICE restarts are not supported.
func (w *WHIP) trickle(rw http.ResponseWriter, r *http.Request, p *whipSession) {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/trickle-ice-sdpfrag" {
		http.Error(rw, "candidates must be application/trickle-ice-sdpfrag", http.StatusUnsupportedMediaType)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(rw, r.Body, maxSDP))
	if err != nil {
		http.Error(rw, "the candidates did not arrive whole, or are too many", http.StatusBadRequest)
		return
	}
	candidates, fragment := trickled(string(body))
	if !p.sameICE(fragment) {
		http.Error(rw, "ICE restarts are not supported", http.StatusUnprocessableEntity)
		return
	}
	for _, c := range candidates {
		if err := p.addCandidate(c); err != nil {
			http.Error(rw, "a candidate cannot be used", http.StatusBadRequest)
			return
		}
	}
	rw.WriteHeader(http.StatusNoContent)
}

// trickled reads an SDP fragment: its candidates and its ICE user name fragment ("" where it has none).
func trickled(body string) (candidates []webrtc.ICECandidateInit, fragment string) {
	mid := "0"
	for line := range strings.Lines(body) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "a=mid:"):
			mid = strings.TrimPrefix(line, "a=mid:")
		case strings.HasPrefix(line, "a=ice-ufrag:"):
			fragment = strings.TrimPrefix(line, "a=ice-ufrag:")
		case strings.HasPrefix(line, "a=candidate:"):
			candidates = append(candidates, webrtc.ICECandidateInit{Candidate: strings.TrimPrefix(line, "a="), SDPMid: &mid})
		}
	}
	return candidates, fragment
}
