package pipeline

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/sightline/sightline/detect/track"
	"github.com/sightline/sightline/pipeline/bus"
)

// ZoneConfig is an area of a camera's picture; its name is the key in the map.
type ZoneConfig struct {
	Coordinates   Coordinates `yaml:"coordinates"`
	Labels        []string    `yaml:"labels"`
	Inertia       int         `yaml:"inertia"`
	LoiteringTime Duration    `yaml:"loitering_time"`
}

// LineConfig is a line that objects cross; its name is the key in the map.
type LineConfig struct {
	Coordinates Coordinates `yaml:"coordinates"`
	Labels      []string    `yaml:"labels"`
}

// MaskConfig is an area in which objects are ignored; its name is the key in the map.
type MaskConfig struct {
	Coordinates Coordinates `yaml:"coordinates"`
}

// Coordinates are points x, y of the frame, from 0, 0 at its top left to 1, 1 at its bottom right.
type Coordinates [][2]float64

func defaultZone() ZoneConfig { return ZoneConfig{Inertia: track.DefaultInertia} }

func (c Coordinates) polygon() track.Polygon {
	p := make(track.Polygon, len(c))
	for i, xy := range c {
		p[i] = track.Point{X: xy[0], Y: xy[1]}
	}
	return p
}

// scene is what the tracker knows of a camera; the configuration is valid.
func (c CameraConfig) scene() track.Scene {
	s := track.Scene{Labels: c.Objects.Track}
	for _, name := range slices.Sorted(maps.Keys(c.Zones)) {
		z := c.Zones[name]
		s.Zones = append(s.Zones, track.Zone{
			Name: name, Area: z.Coordinates.polygon(), Labels: z.Labels, Inertia: z.Inertia, Loitering: time.Duration(z.LoiteringTime),
		})
	}
	for _, name := range slices.Sorted(maps.Keys(c.Lines)) {
		ends := c.Lines[name].Coordinates.polygon()
		s.Lines = append(s.Lines, track.Line{Name: name, From: ends[0], To: ends[1], Labels: c.Lines[name].Labels})
	}
	for _, name := range slices.Sorted(maps.Keys(c.Masks)) {
		s.Masks = append(s.Masks, c.Masks[name].Coordinates.polygon())
	}
	if len(c.Objects.Filters) > 0 {
		s.Filters = make(map[string]track.Filter, len(c.Objects.Filters))
	}
	for label, f := range c.Objects.Filters {
		s.Filters[label] = track.Filter{MinScore: f.MinScore, MinArea: f.MinArea, MaxArea: f.MaxArea}
	}
	return s
}

// scenesOf are those of all cameras that have one.
func scenesOf(cameras map[string]CameraConfig) map[string]track.Scene {
	scenes := map[string]track.Scene{}
	for name, c := range cameras {
		if s := c.scene(); !reflect.DeepEqual(s, track.Scene{}) {
			scenes[name] = s
		}
	}
	return scenes
}

// sameStream tells whether nothing differs but what the tracker looks at, and who detects: the owner of the camera goes on.
func (c CameraConfig) sameStream(o CameraConfig) bool {
	for _, one := range []*CameraConfig{&c, &o} {
		one.Detector, one.Zones, one.Lines, one.Masks, one.Objects = "", nil, nil, nil, ObjectsConfig{}
	}
	return reflect.DeepEqual(c, o)
}

func checkScene(k *checker, key string, c CameraConfig) {
	k.that(len(c.Zones) <= bus.MaxZones, key+".zones", "must hold at most %d zones; found %d", bus.MaxZones, len(c.Zones))
	k.that(len(c.Lines) <= bus.MaxLines, key+".lines", "must hold at most %d lines; found %d", bus.MaxLines, len(c.Lines))
	k.that(len(c.Masks) <= track.MaxMasks, key+".masks", "must hold at most %d masks; found %d", track.MaxMasks, len(c.Masks))
	for _, name := range slices.Sorted(maps.Keys(c.Zones)) {
		checkZone(k, key+".zones."+name, name, c.Zones[name])
	}
	for _, name := range slices.Sorted(maps.Keys(c.Lines)) {
		checkLine(k, key+".lines."+name, name, c.Lines[name])
	}
	for _, name := range slices.Sorted(maps.Keys(c.Masks)) {
		checkPlace(k, key+".masks."+name, name, nil)
		checkPolygon(k, key+".masks."+name, c.Masks[name].Coordinates)
	}
}

func checkZone(k *checker, key, name string, z ZoneConfig) {
	checkPlace(k, key, name, z.Labels)
	checkPolygon(k, key, z.Coordinates)
	k.that(z.Inertia >= 1 && z.Inertia <= track.MaxInertia, key+".inertia", "must be 1 to %d frames", track.MaxInertia)
	k.that(z.LoiteringTime >= 0 && z.LoiteringTime <= Duration(track.MaxLoitering), key+".loitering_time", "must be 0s to 24h")
}

func checkLine(k *checker, key, name string, l LineConfig) {
	checkPlace(k, key, name, l.Labels)
	if ends := l.Coordinates.polygon(); len(ends) == 2 {
		err := track.ValidateLine(ends[0], ends[1])
		k.that(err == nil, key+".coordinates", "%v", err)
		return
	}
	k.that(false, key+".coordinates", "must have 2 points; found %d", len(l.Coordinates))
}

func checkPlace(k *checker, key, name string, labels []string) {
	k.that(bus.ValidateName("place", name) == nil, key, "a name must match [A-Za-z0-9_-]{1,64}")
	err := track.ValidateLabels(labels)
	k.that(err == nil, key+".labels", "%v", err)
}

func checkPolygon(k *checker, key string, c Coordinates) {
	err := c.polygon().Validate()
	k.that(err == nil, key+".coordinates", "%v", err)
}

// coordinates reads points, each fault with the line of its point.
func (r *reader) coordinates(n *yaml.Node, key string) Coordinates {
	if n.Kind != yaml.SequenceNode {
		r.Fault(n.Line, key, "must be a list of points [x, y], is "+describe(n))
		return nil
	}
	if len(n.Content) > track.MaxCorners {
		r.Fault(n.Line, key, fmt.Sprintf("must have at most %d points; found %d", track.MaxCorners, len(n.Content)))
		return nil
	}
	points := make(Coordinates, len(n.Content))
	for i, point := range n.Content {
		if !isPoint(point) || point.Decode(&points[i]) != nil {
			r.Fault(point.Line, key, fmt.Sprintf("point %d must be [x, y], two numbers from 0 to 1", i+1))
		}
	}
	return points
}

// isPoint is strict where the library is not: it takes nothing for zero.
func isPoint(n *yaml.Node) bool {
	if n.Kind != yaml.SequenceNode || len(n.Content) != 2 {
		return false
	}
	for _, number := range n.Content {
		if number.Kind != yaml.ScalarNode || number.Tag != "!!int" && number.Tag != "!!float" {
			return false
		}
	}
	return true
}
