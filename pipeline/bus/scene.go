package bus

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
)

// SchemaScene is the schema of Scene.
const SchemaScene = "sightline.scene/1"

// Limits of a scene.
const (
	MaxMasks   = 64 // masks of a camera
	MinCorners = 3  // of a zone or a mask
	MaxCorners = 64
	maxLabels  = 256 // of a zone or a line
)

// Scene tells what places in the picture of a camera mean, for those who draw them: the role track publishes it when it changes,
// soon after a line was crossed, and every five seconds. A camera without places has none, or one with empty lists.
type Scene struct {
	Schema string      `json:"schema"`
	Camera string      `json:"camera"`
	At     time.Time   `json:"at"`
	Zones  []SceneZone `json:"zones"` // never null; by name
	Lines  []SceneLine `json:"lines"` // never null; by name
	Masks  []SceneMask `json:"masks"` // never null
}

// Point is x, y of the frame: 0, 0 is its top left corner and 1, 1 its bottom right one.
type Point [2]float64

// SceneZone is an area that tracks enter and leave.
type SceneZone struct {
	Name        string   `json:"name"`
	Coordinates []Point  `json:"coordinates"`      // its corners
	Labels      []string `json:"labels,omitempty"` // of the objects that count; empty: all
}

// SceneLine is a line that tracks cross.
type SceneLine struct {
	Name        string   `json:"name"`
	Coordinates [2]Point `json:"coordinates"`      // its ends; in is from left to right for who stands at the first and looks to the second
	Labels      []string `json:"labels,omitempty"` // of the objects that count; empty: all
	Counts      *Totals  `json:"counts,omitempty"` // nil while those of former processes could not be read
}

// SceneMask is an area in which objects are ignored.
type SceneMask struct {
	Coordinates []Point `json:"coordinates"` // its corners
}

// Empty tells whether nothing is there to be drawn.
func (s *Scene) Empty() bool { return len(s.Zones)+len(s.Lines)+len(s.Masks) == 0 }

// Validate refuses a scene that breaks a rule of the contract.
func (s *Scene) Validate() error {
	var v validator
	v.schema(s.Schema, SchemaScene)
	v.check(ValidateCamera(s.Camera))
	v.check(validateTime("at", s.At))
	v.that(s.Zones != nil && s.Lines != nil && s.Masks != nil, "zones, lines, masks: must be there, as lists")
	v.that(len(s.Zones) <= MaxZones && len(s.Lines) <= MaxLines && len(s.Masks) <= MaxMasks,
		"%d zones, %d lines, %d masks: must be at most %d, %d, %d", len(s.Zones), len(s.Lines), len(s.Masks), MaxZones, MaxLines, MaxMasks)
	if v.err != nil {
		return v.err
	}
	for i := range s.Zones {
		v.named("zone", s.Zones[i].Name, s.Zones[i].Labels)
		v.corners(s.Zones[i].Coordinates)
	}
	for i := range s.Lines {
		v.named("line", s.Lines[i].Name, s.Lines[i].Labels)
		v.points(s.Lines[i].Coordinates[:])
	}
	for i := range s.Masks {
		v.corners(s.Masks[i].Coordinates)
	}
	return v.err
}

func (v *validator) named(kind, name string, labels []string) {
	v.check(validateName(kind, name))
	v.that(len(labels) <= maxLabels, "%s %s: %d labels, must be at most %d", kind, name, len(labels), maxLabels)
	for _, label := range labels[:min(len(labels), maxLabels)] {
		v.that(label != "" && len(label) <= maxText, "%s %s: a label must have 1 to %d bytes", kind, name, maxText)
	}
}

func (v *validator) corners(points []Point) {
	v.that(len(points) >= MinCorners && len(points) <= MaxCorners, "coordinates: must be %d to %d points, not %d", MinCorners, MaxCorners, len(points))
	v.points(points[:min(len(points), MaxCorners)])
}

func (v *validator) points(points []Point) {
	for _, p := range points {
		v.that(p[0] >= 0 && p[0] <= 1 && p[1] >= 0 && p[1] <= 1, "coordinates: point %v must be from 0, 0 to 1, 1", p)
	}
}

// UnmarshalJSON accepts exactly two numbers.
func (p *Point) UnmarshalJSON(data []byte) error {
	var v []float64
	if err := json.Unmarshal(data, &v); err != nil {
		return err
	}
	if len(v) != len(p) {
		return fmt.Errorf("a point has %d numbers, not %d", len(p), len(v))
	}
	copy(p[:], v)
	return nil
}

// UnmarshalJSON accepts exactly two ends.
func (l *SceneLine) UnmarshalJSON(data []byte) error {
	type plain SceneLine // without this method
	var v struct {
		plain
		Coordinates []Point `json:"coordinates"`
	}
	if err := json.Unmarshal(data, &v); err != nil {
		return err
	}
	if len(v.Coordinates) != len(l.Coordinates) {
		return fmt.Errorf("a line has %d points, not %d", len(l.Coordinates), len(v.Coordinates))
	}
	*l = SceneLine(v.plain)
	copy(l.Coordinates[:], v.Coordinates)
	return nil
}

func (s *Scene) complete() Scene {
	m := *s
	m.Schema, m.At = SchemaScene, s.At.UTC()
	if m.Zones == nil {
		m.Zones = []SceneZone{}
	}
	if m.Lines == nil {
		m.Lines = []SceneLine{}
	}
	if m.Masks == nil {
		m.Masks = []SceneMask{}
	}
	return m
}

// ParseScene reads a scene as ParseDetections does.
func ParseScene(data []byte) (*Scene, error) { return parse(new(Scene), "scene", data) }

// Scene carries the scene of a camera.
func (s Subjects) Scene(camera string) string { return s.prefix + ".scene." + camera }

// PublishScene queues the scene of a camera.
func (c *Conn) PublishScene(ctx context.Context, s *Scene) error {
	m := s.complete()
	return c.publish(ctx, c.subjects.Scene(m.Camera), "", &m)
}

// SubscribeScenes calls fn for the scenes of a camera, or of all for "*".
func (c *Conn) SubscribeScenes(camera string, fn func(*Scene)) (*Subscription, error) {
	return subscribe(c, camera, c.subjects.Scene, pendingMessages, fromBody(ParseScene), fn)
}
