package bus

import (
	"fmt"
	"time"
)

// Schema names, carried by every message. Within a version fields are only added.
const (
	SchemaFrame      = "sightline.frame/1"
	SchemaDetections = "sightline.detections/1"
	SchemaTracks     = "sightline.tracks/1"
	SchemaEvent      = "sightline.event/1"
	SchemaStatus     = "sightline.status/1"
	SchemaCounts     = "sightline.counts/1"
)

// Clock says where a capture time comes from.
type Clock string

// The clocks a capture time may come from.
const (
	ClockRTCP    Clock = "rtcp"    // the camera's own clock, by RTCP sender reports
	ClockArrival Clock = "arrival" // the moment the packet reached the ingest worker
	ClockFile    Clock = "file"    // the container's timestamps, from the moment playing began
)

// UnmarshalText refuses any text that names no clock.
func (c *Clock) UnmarshalText(text []byte) error {
	switch v := Clock(text); v {
	case ClockRTCP, ClockArrival, ClockFile:
		*c = v
		return nil
	}
	return fmt.Errorf("clock %.40q: must be rtcp, arrival or file", text)
}

// Encoding says how the pixels of a frame travel.
type Encoding string

// The ways the pixels of a frame travel.
const (
	EncodingJPEG Encoding = "jpeg" // the body is a baseline JPEG, 4:2:0
	EncodingSHM  Encoding = "shm"  // the body is empty, Ref names a slot of shared memory on this host
)

// UnmarshalText refuses any text that names no encoding.
func (e *Encoding) UnmarshalText(text []byte) error {
	switch v := Encoding(text); v {
	case EncodingJPEG, EncodingSHM:
		*e = v
		return nil
	}
	return fmt.Errorf("encoding %.40q: must be jpeg or shm", text)
}

// Policy says how the regions of a frame were chosen.
type Policy string

// The region policies.
const (
	PolicyOff  Policy = "off"  // the whole frame, letterboxed
	PolicyGrid Policy = "grid" // the whole frame and every tile
	// PolicyAdaptive is the whole frame and the tiles where it pays to look; none stays unseen for long.
	PolicyAdaptive Policy = "adaptive"
)

// UnmarshalText refuses any text that names no policy.
func (p *Policy) UnmarshalText(text []byte) error {
	switch v := Policy(text); v {
	case PolicyOff, PolicyGrid, PolicyAdaptive:
		*p = v
		return nil
	}
	return fmt.Errorf("tile policy %.40q: must be off, grid or adaptive", text)
}

// Region is a rectangle of the frame that a detector shall look at, in pixels of the frame.
type Region struct{ X, Y, W, H int }

// Frame is one picture of a camera, or a reference to it, with the regions to look at.
// It travels as NATS headers and a body; see EncodeHeader.
type Frame struct {
	Camera       string
	Session      string // new at every (re)connection of the camera
	Seq          uint64 // counts the frames of a session; a gap is a loss
	CapturedAt   time.Time
	Clock        Clock
	RTPTimestamp uint32 // 90 kHz; made from the container's time for files
	Width        int    // of the whole frame, pixels
	Height       int
	Encoding     Encoding
	Ref          string // EncodingSHM: see Ring
	Policy       Policy
	Regions      []Region
	Of           int           // regions of the full grid; 0: as many as Regions
	CoverageAge  time.Duration // by this frame's capture time, of the tile that was looked at longest ago; see Tiles
	Dropped      int           // frames of this session lost since the previous published one
	Decode       time.Duration // spent decoding this frame
	PublishedAt  time.Time
	Detector     string // who shall look at it; "": the default one, see PullFrames
	Body         []byte // EncodingJPEG: the picture
}

// Detections are the objects found in one frame; published also when there are none.
type Detections struct {
	Schema       string    `json:"schema"`
	Camera       string    `json:"camera"`
	Session      string    `json:"session"`
	Seq          uint64    `json:"seq"`
	CapturedAt   time.Time `json:"captured_at"`
	Clock        Clock     `json:"clock"`
	RTPTimestamp uint32    `json:"rtp_timestamp"`
	Frame        Size      `json:"frame"`
	Model        string    `json:"model"`              // name@first 8 digits of the file's sha256
	Detector     string    `json:"detector,omitempty"` // who looked at the frame; "": one without a name
	Dropped      int       `json:"dropped"`
	Tiles        Tiles     `json:"tiles"`
	Timing       Timing    `json:"timing_ms"`
	Objects      []Object  `json:"objects"` // never null; by falling score
}

// Size is the size of a frame in pixels.
type Size struct {
	Width  int `json:"width"`
	Height int `json:"height"`
}

// Tiles says how much of the frame was looked at closely.
type Tiles struct {
	Policy Policy `json:"policy"`
	Run    int    `json:"run"` // regions that went through the network
	Of     int    `json:"of"`  // regions of the full grid
	// CoverageAge is how long ago the tile was looked at that waits longest, once these were: milliseconds of capture time.
	// A tile counts as waiting from the session's first frame on.
	CoverageAge float64 `json:"coverage_age_ms"`
	// Regions are the tiles looked at under PolicyAdaptive, without the whole frame.
	Regions []Region `json:"regions,omitempty"`
}

// Timing holds the milliseconds that each stage took for one frame.
type Timing struct {
	Decode  float64 `json:"decode"`
	Queue   float64 `json:"queue"`   // from published to pulled
	Prepare float64 `json:"prepare"` // summed over regions
	Infer   float64 `json:"infer"`   // summed over batches' shares
	Merge   float64 `json:"merge"`
	Total   float64 `json:"total"` // from captured to published
}

// Box is x1, y1, x2, y2 in pixels of the original frame, origin top left.
type Box [4]float32

// Object is one thing found in a frame.
type Object struct {
	Label   string  `json:"label"`
	ClassID int     `json:"class_id"`
	Score   float32 `json:"score"`
	Box     Box     `json:"box"`
}

// Tracks are the detections of one frame with identities.
type Tracks struct {
	Schema       string        `json:"schema"`
	Camera       string        `json:"camera"`
	Session      string        `json:"session"`
	Seq          uint64        `json:"seq"`
	CapturedAt   time.Time     `json:"captured_at"`
	Clock        Clock         `json:"clock"`
	RTPTimestamp uint32        `json:"rtp_timestamp"`
	Frame        Size          `json:"frame"`
	Model        string        `json:"model"`
	Detector     string        `json:"detector,omitempty"` // that of the detections
	Objects      []TrackObject `json:"objects"`            // never null; by rising track id
}

// TrackObject is an object with an identity.
type TrackObject struct {
	Object
	TrackID   uint64 `json:"track_id"`  // unique within a session
	Predicted Box    `json:"predicted"` // where it is expected in the next frame
	// Carried says that nobody looked closely at its place in this frame: it stands where it was last seen, or moves and is
	// where it is expected.
	Carried bool `json:"carried,omitempty"`
	// Zones are the names of those that it has entered and not left; a carried object keeps its own.
	Zones []string `json:"zones,omitempty"`
	// Best says that this frame has the best look at it so far: it is the one to keep a picture of.
	Best bool `json:"best,omitempty"`
	Rest
}

// Rest says that a track stands still; zero where it does not, or not for long enough yet.
type Rest struct {
	Stationary bool `json:"stationary,omitempty"`
	// MotionlessSince is the capture time of the first frame in which it was seen in this place.
	MotionlessSince time.Time `json:"motionless_since,omitzero"`
	MotionlessCount int       `json:"motionless_count,omitempty"` // frames in which it was seen there since
}

// EventType says what happened.
type EventType string

// The things that happen to tracks and cameras.
const (
	EventStart         EventType = "start"
	EventUpdate        EventType = "update"
	EventEnd           EventType = "end"
	EventZoneEnter     EventType = "zone_enter"
	EventZoneLeave     EventType = "zone_leave"
	EventLineCross     EventType = "line_cross"
	EventCameraOnline  EventType = "camera_online"
	EventCameraOffline EventType = "camera_offline"
)

// Direction says which way a line was crossed, as seen in the picture by somebody at its first point who looks to its second.
type Direction string

// The directions of a crossing.
const (
	DirectionIn  Direction = "in"  // from left to right
	DirectionOut Direction = "out" // from right to left
)

// UnmarshalText refuses any text that names no direction.
func (d *Direction) UnmarshalText(text []byte) error {
	switch v := Direction(text); v {
	case DirectionIn, DirectionOut:
		*d = v
		return nil
	}
	return fmt.Errorf("direction %.40q: must be in or out", text)
}

// Totals are the crossings of a line since it was first configured, of all labels.
type Totals struct {
	In  uint64 `json:"in"`
	Out uint64 `json:"out"`
}

// CameraLabel is the label token of events about the camera itself.
const CameraLabel = "camera"

// Event is something that happened to a track or to a camera.
type Event struct {
	Schema     string    `json:"schema"`
	Type       EventType `json:"type"`
	Camera     string    `json:"camera"`
	Session    string    `json:"session,omitempty"`
	Seq        uint64    `json:"seq,omitempty"`
	CapturedAt time.Time `json:"captured_at"`
	Detector   string    `json:"detector,omitempty"` // who looked at the camera's newest frame; "": one without a name
	Label      string    `json:"label"`              // CameraLabel for camera events
	TrackID    uint64    `json:"track_id,omitempty"`
	StartedAt  time.Time `json:"started_at,omitzero"` // of the track
	Score      float32   `json:"score,omitempty"`     // best so far
	Box        *Box      `json:"box,omitempty"`
	Cause      string    `json:"cause,omitempty"` // camera_offline: why, without secrets
	Zone       string    `json:"zone,omitempty"`  // zone_enter, zone_leave
	// DwellMS is for how many milliseconds of capture time the object of a zone_leave was seen in the zone.
	DwellMS   *float64  `json:"dwell_ms,omitempty"`
	Line      string    `json:"line,omitempty"` // line_cross
	Direction Direction `json:"direction,omitempty"`
	// Counts are the line's totals, this crossing included; nil while those of former processes could not be read.
	Counts *Totals `json:"counts,omitempty"`
	// Best is the best look at the track so far, of a start, update or end.
	Best *Best `json:"best,omitempty"`
	Rest
}

// Best is the frame of the event's session that shows a track best: surely, large, and whole.
type Best struct {
	Seq        uint64    `json:"seq"`
	CapturedAt time.Time `json:"captured_at"`
	Box        Box       `json:"box"`
	Score      float32   `json:"score"`
}

// Counts are the totals of all lines of a camera. The newest message of each camera is kept for ever.
type Counts struct {
	Schema string            `json:"schema"`
	Camera string            `json:"camera"`
	At     time.Time         `json:"at"`
	Lines  map[string]Totals `json:"lines"` // by name, never null
}

// DetectorStatus says who looks at frames, and with what.
type DetectorStatus struct {
	Name    string `json:"name"`
	Default bool   `json:"default"` // it also looks at frames that name no detector
	Model   string `json:"model"`
	Device  string `json:"device"` // that the network really runs on
	Workers int    `json:"workers"`
}

// Status is the last known state of a worker or a camera, every five seconds.
type Status struct {
	Schema   string             `json:"schema"`
	Role     string             `json:"role"` // ingest, detect, track, sinks
	ID       string             `json:"id"`   // the camera of an ingest worker, else the process
	State    string             `json:"state"`
	Cause    string             `json:"cause,omitempty"`
	At       time.Time          `json:"at"`
	Counters map[string]float64 `json:"counters,omitempty"`
	Detector *DetectorStatus    `json:"detector,omitempty"` // of the role detect
}
