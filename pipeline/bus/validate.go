package bus

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"
)

// Limits of messages other than frames.
const (
	MaxMessage = 4 << 20 // bytes of a JSON message
	MaxObjects = 10_000  // objects of a frame
	MaxZones   = 64      // zones of a camera
	MaxLines   = 64      // lines of a camera
	maxText    = 256     // characters of a label, model, state
	maxCause   = 2048    // characters of a cause
	maxCounter = 1000    // counters of a status
	// MaxKeptLines bounds the lines of a Counts message, which holds also those that are no longer configured.
	MaxKeptLines = 4 * MaxLines
)

// validator keeps the first fault, so that a message reads as a list of rules.
type validator struct{ err error }

func (v *validator) check(err error) {
	if v.err == nil {
		v.err = err
	}
}

func (v *validator) that(ok bool, format string, args ...any) {
	if v.err == nil && !ok {
		v.err = fmt.Errorf(format, args...)
	}
}

func (v *validator) text(what, s string, limit int) {
	v.that(len(s) <= limit, "%s: %d bytes, must be at most %d", what, len(s), limit)
}

func (v *validator) schema(got, want string) {
	v.that(got == want, "schema %.40q: must be %q", got, want)
}

// frame checks what all messages about a frame share.
func (v *validator) frame(camera, session string, at time.Time, clock Clock, size Size, model string) {
	v.check(ValidateCamera(camera))
	v.check(validateName("session", session))
	v.check(validateTime("captured_at", at))
	v.check(clock.validate())
	v.check(validateSize(size.Width, size.Height))
	v.text("model", model, maxText)
}

// detector checks the name of the one that looked at a frame; not all have one.
func (v *validator) detector(name string) {
	if name != "" {
		v.check(validateName("detector", name))
	}
}

func (v *validator) tiles(t *Tiles, frame Size) {
	v.that(t.Run >= 0 && t.Of >= 0, "tiles: run %d, of %d: must not be negative", t.Run, t.Of)
	v.that(t.CoverageAge >= 0 && t.CoverageAge <= float64(maxAge.Milliseconds()), "tiles.coverage_age_ms %v: must be 0 to that of a day", t.CoverageAge)
	v.that(len(t.Regions) <= MaxRegions, "tiles: %d regions: must be at most %d", len(t.Regions), MaxRegions)
	for _, r := range t.Regions[:min(len(t.Regions), MaxRegions)] {
		v.check(r.validate(frame.Width, frame.Height))
	}
}

// object, as box, asks before it says anything: what could be said takes memory, and there are many in a frame.
func (v *validator) object(i int, o *Object) {
	if o.Label == "" || len(o.Label) > maxText {
		v.that(false, "object %d: the label must have 1 to %d bytes", i, maxText)
	}
	if o.ClassID < 0 {
		v.that(false, "object %d: class_id %d: must not be negative", i, o.ClassID)
	}
	if !(o.Score >= 0 && o.Score <= 1) {
		v.that(false, "object %d: score %v: must be between 0 and 1", i, o.Score)
	}
	v.box(i, o.Box)
}

func (v *validator) box(i int, b Box) {
	for _, x := range b {
		if !(math.Abs(float64(x)) <= 4*MaxSide) { // nor is NaN
			v.that(false, "object %d: box %v: must be pixels near the frame", i, b)
			return
		}
	}
	if b[0] > b[2] || b[1] > b[3] {
		v.that(false, "object %d: box %v: must be x1, y1, x2, y2", i, b)
	}
}

// Validate refuses detections that break a rule of the contract.
func (d *Detections) Validate() error {
	var v validator
	v.schema(d.Schema, SchemaDetections)
	v.frame(d.Camera, d.Session, d.CapturedAt, d.Clock, d.Frame, d.Model)
	v.detector(d.Detector)
	v.that(d.Dropped >= 0 && d.Dropped <= maxDropped, "dropped %d: must not be negative", d.Dropped)
	v.check(d.Tiles.Policy.validate())
	v.tiles(&d.Tiles, d.Frame)
	for _, ms := range []float64{d.Timing.Decode, d.Timing.Queue, d.Timing.Prepare, d.Timing.Infer, d.Timing.Merge, d.Timing.Total} {
		v.that(!math.IsNaN(ms) && !math.IsInf(ms, 0), "timing_ms: must be numbers")
	}
	v.that(d.Objects != nil, "objects: must be there, as a list")
	v.that(len(d.Objects) <= MaxObjects, "%d objects: must be at most %d", len(d.Objects), MaxObjects)
	for i := range min(len(d.Objects), MaxObjects) {
		v.object(i, &d.Objects[i])
	}
	return v.err
}

// Validate refuses tracks that break a rule of the contract.
func (t *Tracks) Validate() error {
	var v validator
	v.schema(t.Schema, SchemaTracks)
	v.frame(t.Camera, t.Session, t.CapturedAt, t.Clock, t.Frame, t.Model)
	v.detector(t.Detector)
	v.that(t.Objects != nil, "objects: must be there, as a list")
	v.that(len(t.Objects) <= MaxObjects, "%d objects: must be at most %d", len(t.Objects), MaxObjects)
	for i := range min(len(t.Objects), MaxObjects) {
		v.object(i, &t.Objects[i].Object)
		v.box(i, t.Objects[i].Predicted)
		v.that(t.Objects[i].TrackID > 0, "object %d: track_id must not be 0", i)
		v.zones(i, t.Objects[i].Zones)
		v.rest(&t.Objects[i].Rest)
	}
	return v.err
}

func (v *validator) rest(r *Rest) {
	if !r.MotionlessSince.IsZero() {
		v.check(validateTime("motionless_since", r.MotionlessSince))
	}
	v.that(r.MotionlessCount >= 0, "motionless_count %d: must not be negative", r.MotionlessCount)
}

func (v *validator) best(b *Best) {
	if b == nil {
		return
	}
	v.check(validateTime("best.captured_at", b.CapturedAt))
	v.that(b.Score >= 0 && b.Score <= 1, "best.score %v: must be between 0 and 1", b.Score)
	v.box(0, b.Box)
}

func (v *validator) zones(i int, names []string) {
	v.that(len(names) <= MaxZones, "object %d: in %d zones: must be at most %d", i, len(names), MaxZones)
	for _, name := range names[:min(len(names), MaxZones)] {
		v.check(validateName("zone", name))
	}
}

// Validate refuses an event that breaks a rule of the contract.
func (e *Event) Validate() error {
	var v validator
	v.schema(e.Schema, SchemaEvent)
	v.check(ValidateCamera(e.Camera))
	v.check(validateName("event type", string(e.Type)))
	if e.Session != "" {
		v.check(validateName("session", e.Session))
	}
	v.check(validateTime("captured_at", e.CapturedAt))
	v.detector(e.Detector)
	if !e.StartedAt.IsZero() {
		v.check(validateTime("started_at", e.StartedAt))
	}
	v.that(e.Label != "" && len(e.Label) <= maxText, "the label must have 1 to %d bytes", maxText)
	v.that(e.Score >= 0 && e.Score <= 1, "score %v: must be between 0 and 1", e.Score)
	if e.Box != nil {
		v.box(0, *e.Box)
	}
	v.text("cause", e.Cause, maxCause)
	v.place(e)
	v.rest(&e.Rest)
	v.best(e.Best)
	return v.err
}

// place checks what only events of zones and lines have.
func (v *validator) place(e *Event) {
	if e.Zone != "" || e.Type == EventZoneEnter || e.Type == EventZoneLeave {
		v.check(validateName("zone", e.Zone))
	}
	if e.DwellMS != nil {
		v.that(*e.DwellMS >= 0 && !math.IsInf(*e.DwellMS, 0), "dwell_ms %v: must be a number that is not negative", *e.DwellMS)
	}
	if e.Line != "" || e.Type == EventLineCross {
		v.check(validateName("line", e.Line))
	}
	if e.Direction != "" || e.Type == EventLineCross {
		v.check(new(Direction).UnmarshalText([]byte(e.Direction)))
	}
}

// Validate refuses counts that break a rule of the contract.
func (c *Counts) Validate() error {
	var v validator
	v.schema(c.Schema, SchemaCounts)
	v.check(ValidateCamera(c.Camera))
	v.check(validateTime("at", c.At))
	v.that(c.Lines != nil, "lines: must be there")
	v.that(len(c.Lines) <= MaxKeptLines, "%d lines: must be at most %d", len(c.Lines), MaxKeptLines)
	for name := range c.Lines {
		v.check(validateName("line", name))
	}
	return v.err
}

// Validate refuses a status that breaks a rule of the contract.
func (s *Status) Validate() error {
	var v validator
	v.schema(s.Schema, SchemaStatus)
	v.check(validateName("role", s.Role))
	v.check(validateName("worker", s.ID))
	v.that(s.State != "" && len(s.State) <= maxText, "the state must have 1 to %d bytes", maxText)
	v.text("cause", s.Cause, maxCause)
	v.check(validateTime("at", s.At))
	if d := s.Detector; d != nil {
		v.check(validateName("detector", d.Name))
		v.text("model", d.Model, maxText)
		v.text("device", d.Device, maxText)
		v.that(d.Workers >= 0, "workers %d: must not be negative", d.Workers)
	}
	v.that(len(s.Counters) <= maxCounter, "%d counters: must be at most %d", len(s.Counters), maxCounter)
	for name, n := range s.Counters {
		v.that(name != "" && len(name) <= maxText && !math.IsNaN(n) && !math.IsInf(n, 0), "counter %.40q: must have a name and a number", name)
	}
	return v.err
}

// complete fills in what a sender may leave out, in a copy.
func (d *Detections) complete() Detections {
	m := *d
	m.Schema, m.CapturedAt = SchemaDetections, d.CapturedAt.UTC()
	if m.Objects == nil {
		m.Objects = []Object{}
	}
	return m
}

func (t *Tracks) complete() Tracks {
	m := *t
	m.Schema, m.CapturedAt = SchemaTracks, t.CapturedAt.UTC()
	if m.Objects == nil {
		m.Objects = []TrackObject{}
	}
	return m
}

func (e *Event) complete() Event {
	m := *e
	m.Schema, m.CapturedAt = SchemaEvent, e.CapturedAt.UTC()
	if !m.StartedAt.IsZero() {
		m.StartedAt = m.StartedAt.UTC()
	}
	if !m.MotionlessSince.IsZero() {
		m.MotionlessSince = m.MotionlessSince.UTC()
	}
	return m
}

func (s *Status) complete() Status {
	m := *s
	m.Schema, m.At = SchemaStatus, s.At.UTC()
	return m
}

func (c *Counts) complete() Counts {
	m := *c
	m.Schema, m.At = SchemaCounts, c.At.UTC()
	if m.Lines == nil {
		m.Lines = map[string]Totals{}
	}
	return m
}

// UnmarshalJSON accepts exactly four numbers. It is called for every object of every frame: by general means, half of the time that
// detections take to read is that of their boxes.
func (b *Box) UnmarshalJSON(data []byte) error {
	parts, ok := four(data)
	if !ok {
		return errors.New("a box: must be a list of 4 numbers")
	}
	for i, part := range parts {
		v, err := strconv.ParseFloat(string(part), 32)
		if err != nil {
			return fmt.Errorf("a box: %w", err)
		}
		b[i] = float32(v)
	}
	return nil
}

// four cuts a list of four into its parts. That it is JSON was seen by who calls an UnmarshalJSON.
func four(data []byte) (parts [4][]byte, ok bool) {
	inner, begins := bytes.CutPrefix(bytes.TrimSpace(data), []byte("["))
	inner, ends := bytes.CutSuffix(inner, []byte("]"))
	if !begins || !ends || bytes.Count(inner, []byte(","))+1 != len(parts) {
		return parts, false
	}
	for i := range parts {
		parts[i], inner, _ = bytes.Cut(inner, []byte(","))
		parts[i] = bytes.TrimSpace(parts[i])
	}
	return parts, true
}

// ParseDetections reads detections, with limits, and checks them. Fields that it does not know are passed over, since
// fields are added within a version.
func ParseDetections(data []byte) (*Detections, error) {
	return parse(new(Detections), "detections", data)
}

// ParseTracks reads tracks as ParseDetections does.
func ParseTracks(data []byte) (*Tracks, error) { return parse(new(Tracks), "tracks", data) }

// ParseEvent reads an event as ParseDetections does.
func ParseEvent(data []byte) (*Event, error) { return parse(new(Event), "event", data) }

// ParseStatus reads a status as ParseDetections does.
func ParseStatus(data []byte) (*Status, error) { return parse(new(Status), "status", data) }

// ParseCounts reads counts as ParseDetections does.
func ParseCounts(data []byte) (*Counts, error) { return parse(new(Counts), "counts", data) }

func parse[T interface{ Validate() error }](m T, what string, data []byte) (T, error) {
	var none T
	if len(data) > MaxMessage {
		return none, fmt.Errorf("parse %s: %d bytes, must be at most %d", what, len(data), MaxMessage)
	}
	if err := json.Unmarshal(data, m); err != nil {
		return none, fmt.Errorf("parse %s: %w", what, err)
	}
	if err := m.Validate(); err != nil {
		return none, fmt.Errorf("parse %s: %w", what, err)
	}
	return m, nil
}
