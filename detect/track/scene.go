package track

import (
	"errors"
	"fmt"
	"slices"

	"github.com/sightline/sightline/pipeline/bus"
)

// MaxMasks of a camera.
const MaxMasks = bus.MaxMasks

const (
	maxLabels = 256 // of a zone, line or scene
	maxLabel  = 256 // bytes
)

// Scene is what places in the picture of a camera mean. The zero Scene follows everything and means nothing.
type Scene struct {
	Zones []Zone    // at most bus.MaxZones, their names differ
	Lines []Line    // at most bus.MaxLines, their names differ
	Masks []Polygon // at most MaxMasks; objects whose bottom centre lies in one are neither followed nor told of
	// Labels are those that are followed; empty: all.
	Labels  []string
	Filters map[string]Filter // by label: which objects are followed
}

// Filter is what an object must be like; a field that is zero says nothing.
type Filter struct {
	MinScore         float32
	MinArea, MaxArea float32 // pixels of the frame
}

// Validate tells the first rule that a scene breaks.
func (s *Scene) Validate() error {
	if len(s.Zones) > bus.MaxZones || len(s.Lines) > bus.MaxLines || len(s.Masks) > MaxMasks {
		return fmt.Errorf("%d zones, %d lines, %d masks: must be at most %d, %d, %d",
			len(s.Zones), len(s.Lines), len(s.Masks), bus.MaxZones, bus.MaxLines, MaxMasks)
	}
	zones, lines := map[string]bool{}, map[string]bool{}
	for i := range s.Zones {
		if err := errors.Join(s.Zones[i].Validate(), unique("zone", zones, s.Zones[i].Name)); err != nil {
			return err
		}
	}
	for i := range s.Lines {
		if err := errors.Join(s.Lines[i].Validate(), unique("line", lines, s.Lines[i].Name)); err != nil {
			return err
		}
	}
	for i, m := range s.Masks {
		if err := m.Validate(); err != nil {
			return fmt.Errorf("mask %d: %w", i, err)
		}
	}
	return ValidateLabels(s.Labels)
}

func unique(kind string, taken map[string]bool, name string) error {
	if taken[name] {
		return fmt.Errorf("%s %q: is there twice", kind, name)
	}
	taken[name] = true
	return nil
}

func validateNamed(kind, name string, labels []string) error {
	if err := bus.ValidateName(kind, name); err != nil {
		return err
	}
	if err := ValidateLabels(labels); err != nil {
		return fmt.Errorf("%s %q: %w", kind, name, err)
	}
	return nil
}

// ValidateLabels refuses more than 256 labels, and such as no object can have.
func ValidateLabels(labels []string) error {
	if len(labels) > maxLabels {
		return fmt.Errorf("%d labels: must be at most %d", len(labels), maxLabels)
	}
	for _, label := range labels {
		if label == "" || len(label) > maxLabel {
			return fmt.Errorf("label %.40q: must have 1 to %d bytes", label, maxLabel)
		}
	}
	return nil
}

// ignores tells whether an object, cut to the frame, is not to be followed.
func (s *Scene) ignores(o *bus.Object, frame bus.Size) bool {
	if !admits(s.Labels, o.Label) || !s.Filters[o.Label].passes(o) {
		return true
	}
	if len(s.Masks) == 0 {
		return false
	}
	at := relative(bottomCentre(o.Box), frame)
	return slices.ContainsFunc(s.Masks, func(m Polygon) bool { return m.contains(at) })
}

func (f Filter) passes(o *bus.Object) bool {
	area := float32(o.Box.Area())
	return o.Score >= f.MinScore && area >= f.MinArea && (f.MaxArea == 0 || area <= f.MaxArea)
}

// segments are the lines in pixels of a frame, in the memory of those before.
func (s *Scene) segments(before []segment, frame bus.Size) []segment {
	before = before[:0]
	w, h := float64(frame.Width), float64(frame.Height)
	for i := range s.Lines {
		l := &s.Lines[i]
		before = append(before, newSegment(Point{l.From.X * w, l.From.Y * h}, Point{l.To.X * w, l.To.Y * h}))
	}
	return before
}

// admits tells whether a list of labels lets one through: the empty list lets all.
func admits(labels []string, label string) bool {
	return len(labels) == 0 || slices.Contains(labels, label)
}

// bottomCentre is where a thing stands, pixels.
func bottomCentre(b bus.Box) Point { return Point{(float64(b[0]) + float64(b[2])) / 2, float64(b[3])} }

// relative is a place in pixels as a share of the frame.
func relative(p Point, frame bus.Size) Point {
	return Point{p.X / float64(frame.Width), p.Y / float64(frame.Height)}
}
