package sinks

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/sightline/sightline/pipeline/bus"
	"github.com/sightline/sightline/pipeline/picture"
)

const snapshotWait = 2 * time.Second

// shotQuery is what a request for a still picture asks.
type shotQuery struct {
	boxes   bool
	height  int // 0: as it comes
	quality int
}

func parseShotQuery(q url.Values, quality int) (shotQuery, error) {
	out := shotQuery{quality: quality}
	for key, values := range q {
		v := values[0]
		var err error
		switch key {
		case "boxes":
			out.boxes, err = parseSwitch(v)
		case "height":
			out.height, err = parseRange(v, 16, 4320)
		case "quality":
			out.quality, err = parseRange(v, 1, 100)
		default: // cache busters of many clients
			continue
		}
		if err != nil || len(values) > 1 {
			return out, fmt.Errorf("%s=%.20q: must be %s", key, v, map[string]string{"boxes": "0 or 1", "height": "16 to 4320", "quality": "1 to 100"}[key])
		}
	}
	return out, nil
}

var errOutOfRange = errors.New("out of range")

func parseSwitch(v string) (bool, error) {
	switch v {
	case "1", "true":
		return true, nil
	case "0", "false":
		return false, nil
	}
	return false, errOutOfRange
}

func parseRange(v string, low, high int) (int, error) {
	n, err := strconv.Atoi(v)
	if err == nil && (n < low || n > high) {
		err = errOutOfRange
	}
	return n, err
}

// latest serves the next detected picture of a camera as JPEG.
func (s *Server) latest(w http.ResponseWriter, r *http.Request) {
	q, err := parseShotQuery(r.URL.Query(), s.cfg.Quality)
	if err != nil {
		fail(w, http.StatusBadRequest, "%v", err)
		return
	}
	camera, ok := s.pathCamera(w, r)
	if !ok {
		return
	}
	a, release, err := s.acquire(camera)
	if err != nil {
		fail(w, http.StatusServiceUnavailable, "%v", err)
		return
	}
	defer release()
	pic, err := waitForPicture(r, a, q.boxes)
	if err != nil {
		fail(w, http.StatusServiceUnavailable, "camera %s: %v", camera, err)
		return
	}
	coded, err := codeSnapshot(pic, q)
	if err != nil {
		fail(w, http.StatusInternalServerError, "camera %s: %v", camera, err)
		return
	}
	s.counters.snapshots.Add(1)
	writeJPEG(w, coded)
}

// trackSnapshot serves the best picture of a track.
func (s *Server) trackSnapshot(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("event")
	key, ok := parseTrackKey(name)
	switch {
	case !ok:
		fail(w, http.StatusBadRequest, "event %.100q: must be the session and the track_id of an event, joined by a hyphen", name)
		return
	case s.album == nil:
		fail(w, http.StatusNotFound, "no pictures of tracks are kept here (see sinks.snapshots in the configuration)")
		return
	}
	k := s.album.find(key)
	if k == nil {
		fail(w, http.StatusNotFound, "no picture of track %s is kept: there is no such track, or newer pictures took its place", name)
		return
	}
	h := w.Header()
	h.Set("Sightline-Camera", k.camera)
	h.Set("Sightline-Seq", strconv.FormatUint(k.seq, 10))
	h.Set("Sightline-Captured-At", k.capturedAt.UTC().Format(time.RFC3339Nano))
	writeJPEG(w, k.jpeg)
}

// parseTrackKey reads SESSION-TRACK.
func parseTrackKey(name string) (trackKey, bool) {
	at := strings.LastIndexByte(name, '-')
	if at < 1 || bus.ValidateName("session", name[:at]) != nil {
		return trackKey{}, false
	}
	id, err := strconv.ParseUint(name[at+1:], 10, 64)
	return trackKey{name[:at], id}, err == nil && id > 0
}

func writeJPEG(w http.ResponseWriter, coded []byte) {
	w.Header().Set("Content-Type", "image/jpeg")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Length", strconv.Itoa(len(coded)))
	_, _ = w.Write(coded)
}

func waitForPicture(r *http.Request, a *annotator, boxes bool) (*picture.I420, error) {
	req := &shotRequest{boxes: boxes, done: make(chan struct{})}
	a.request(req)
	defer a.withdraw(req)
	timeout := time.NewTimer(snapshotWait)
	defer timeout.Stop()
	select {
	case <-req.done:
		return req.pic, nil
	case <-a.ended:
		return nil, errors.New("the server is stopping")
	case <-r.Context().Done():
		return nil, r.Context().Err()
	case <-timeout.C:
		if boxes {
			return nil, errors.New("no frame with detections came within 2 s: is the camera online and a detector running?")
		}
		return nil, errors.New("no frame came within 2 s: is the camera online?")
	}
}

func codeSnapshot(pic *picture.I420, q shotQuery) ([]byte, error) {
	if q.height > 0 && q.height < pic.Height {
		w, h := outputSize(pic.Width, pic.Height, pic.Width, q.height)
		small := picture.New(w, h)
		if err := picture.Scale(pic, small); err != nil {
			return nil, fmt.Errorf("scale snapshot: %w", err)
		}
		pic = small
	}
	return encodeJPEG(pic, q.quality)
}

func encodeJPEG(pic *picture.I420, quality int) ([]byte, error) {
	e, err := picture.NewJPEGEncoder(quality)
	if err != nil {
		return nil, fmt.Errorf("code snapshot: %w", err)
	}
	defer e.Close()
	coded, err := e.Encode(pic, nil)
	if err != nil {
		return nil, fmt.Errorf("code snapshot: %w", err)
	}
	return coded, nil
}
