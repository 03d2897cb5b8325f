// Package sinks takes frames and detections from the bus to the world: annotated video over WHEP, snapshots, a list of
// cameras for the viewer page, and a file of detections.
package sinks

import (
	"time"

	"github.com/sightline/sightline/pipeline/bus"
)

// The routes of [Server.Handler]. Names of cameras match [A-Za-z0-9_-]{1,64}.
//
//	GET    /                              the viewer page and its files (package sinks/viewer)
//	GET    /api/cameras                   JSON array of CameraInfo, by name; [] when none is known yet
//	GET    /api/events/{id}/snapshot.jpg  image/jpeg: the best picture of a track so far; id is its events' session and track_id, joined by "-"
//	GET    /{camera}/latest.jpg           image/jpeg: ?boxes=1|0 (default 0) &height=16-4320 &quality=1-100
//	POST   /{camera}/annotated/whep       application/sdp offer -> 201, Location, application/sdp answer (H.264, complete, no trickle needed)
//	PATCH  /{camera}/annotated/whep/{id}  application/trickle-ice-sdpfrag -> 204
//	DELETE /{camera}/annotated/whep/{id}  ends the session -> 200
//	OPTIONS on the last three             204 with Accept-Post or Accept-Patch
//
// Every error is {"error": "…"} with status 400, 403 (another site's page), 404, 406 (an offer without H.264), 413, 415, 500
// or 503 (with Retry-After).

// CameraInfo is what GET /api/cameras says of one camera.
type CameraInfo struct {
	Name         string         `json:"name"`
	State        string         `json:"state"`         // as its ingest worker says: online, offline, connecting…; "unknown" when it has been silent for 15 s
	Cause        string         `json:"cause"`         // why it is not online, or what is wrong all the same; no secrets
	Width        int            `json:"width"`         // of the newest detected frame, pixels; 0 before the first
	Height       int            `json:"height"`        //
	FPS          float64        `json:"fps"`           // captured frames a second; 0 when nothing came in the last 10 s
	DetectionFPS float64        `json:"detection_fps"` // frames a second that went through a detector
	LatencyMS    float64        `json:"latency_ms"`    // from captured to detections received here, smoothed over about 16 frames
	Detector     string         `json:"detector"`      // that looked at the newest detected frame; "" before the first
	Model        string         `json:"model"`         // that it did so with
	Objects      int            `json:"objects"`       // in the newest detected frame
	Counts       map[string]int `json:"counts"`        // the same by label; {} when there are none, never null
	Zones        []ZoneInfo     `json:"zones"`         // by name; [] when there are none or the tracker is silent, never null
	Lines        []LineInfo     `json:"lines"`         // the same
	Dropped      uint64         `json:"dropped"`       // frames of this camera lost anywhere before a detector, since this process began to watch
	Viewers      int            `json:"viewers"`       // WHEP sessions of the annotated stream at this server
	UpdatedAt    time.Time      `json:"updated_at"`    // when this process last heard of it
}

// ZoneInfo is what is said of one zone of a camera.
type ZoneInfo struct {
	Name    string `json:"name"`
	Objects *int   `json:"objects"` // inside, by the newest tracks; null when none came for 5 s
}

// LineInfo is what is said of one line of a camera.
type LineInfo struct {
	Name   string      `json:"name"`
	Counts *bus.Totals `json:"counts"` // crossings; null while those of former processes could not be read
}
