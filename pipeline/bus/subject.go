package bus

import (
	"fmt"
	"strings"
)

// DefaultPrefix begins every subject where no other prefix is configured.
const DefaultPrefix = "sightline"

const (
	maxName   = 64  // characters of a camera, session, pool, role or worker name
	maxPrefix = 128 // characters of a subject prefix
)

// ValidateCamera refuses a camera name that does not match [A-Za-z0-9_-]{1,64}: it becomes a part of subjects, file
// names and web addresses.
func ValidateCamera(name string) error { return validateName("camera", name) }

// ValidateName refuses a name that does not match [A-Za-z0-9_-]{1,64}; kind says in the error what it names.
func ValidateName(kind, name string) error { return validateName(kind, name) }

func validateName(kind, name string) error {
	if name == "" || len(name) > maxName {
		return fmt.Errorf("%s name %.70q: must have 1 to %d characters", kind, name, maxName)
	}
	for i := range len(name) {
		if !nameByte(name[i]) {
			return fmt.Errorf("%s name %q: must match [A-Za-z0-9_-]{1,%d}", kind, name, maxName)
		}
	}
	return nil
}

func nameByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-'
}

// Subjects are the names under which messages travel, all below one prefix.
type Subjects struct{ prefix string }

// NewSubjects checks the prefix: names of [A-Za-z0-9_-] joined by dots, such as acme.berlin.sightline. Empty means
// DefaultPrefix.
func NewSubjects(prefix string) (Subjects, error) {
	if prefix == "" {
		prefix = DefaultPrefix
	}
	if len(prefix) > maxPrefix {
		return Subjects{}, fmt.Errorf("subject prefix %.40q…: must have at most %d characters", prefix, maxPrefix)
	}
	for token := range strings.SplitSeq(prefix, ".") {
		if err := validateName("part of the subject prefix, the", token); err != nil {
			return Subjects{}, fmt.Errorf("subject prefix %q: %w", prefix, err)
		}
	}
	return Subjects{prefix}, nil
}

// Prefix is what every subject begins with, without the dot behind it.
func (s Subjects) Prefix() string { return s.prefix }

// Frames carries the frames of a camera; "*" stands for all cameras here and below.
func (s Subjects) Frames(camera string) string { return s.prefix + ".frames." + camera }

// Packets carries the coded access units of a camera.
func (s Subjects) Packets(camera string) string { return s.prefix + ".packets." + camera }

// Detections carries the objects of each frame of a camera.
func (s Subjects) Detections(camera string) string { return s.prefix + ".detections." + camera }

// Tracks carries the objects of each frame of a camera with identities.
func (s Subjects) Tracks(camera string) string { return s.prefix + ".tracks." + camera }

// Event carries one kind of event of a camera. Characters of the label that a subject cannot hold become "_":
// "traffic light" is found under traffic_light.
func (s Subjects) Event(camera, label string, kind EventType) string {
	return s.prefix + ".events." + camera + "." + token(label) + "." + string(kind)
}

// Events matches all events of a camera.
func (s Subjects) Events(camera string) string { return s.prefix + ".events." + camera + ".>" }

// Status carries the last state of one worker or camera.
func (s Subjects) Status(role, id string) string { return s.prefix + ".status." + role + "." + id }

// Counts carries the totals of the lines of a camera.
func (s Subjects) Counts(camera string) string { return s.prefix + ".counts." + camera }

// stream names a stream so that two prefixes in one account never share one. The default prefix has the plain names.
func (s Subjects) stream(kind string) string {
	if s.prefix == DefaultPrefix {
		return kind
	}
	return kind + "~" + strings.ReplaceAll(s.prefix, ".", "~") // "~" occurs in no prefix, and stream names cannot hold dots
}

// token makes one part of a subject of free text.
func token(text string) string {
	clean := strings.Map(func(r rune) rune {
		if r < 0x80 && nameByte(byte(r)) {
			return r
		}
		return '_'
	}, text)
	if clean == "" {
		return "_"
	}
	return clean[:min(len(clean), maxName)]
}
