package pipeline

import (
	"fmt"
	"slices"
	"strings"
)

// Role is one part of the work; only messages connect the roles.
type Role string

// The roles.
const (
	RoleIngest Role = "ingest" // cameras -> frames
	RoleDetect Role = "detect" // frames -> detections
	RoleTrack  Role = "track"  // detections -> tracks and events; exactly one process
	RoleSinks  Role = "sinks"  // detections and pictures -> page, video, files
)

// allRoles in the order in which they stop: what feeds others first.
var allRoles = []Role{RoleIngest, RoleDetect, RoleTrack, RoleSinks}

// Roles is a set of roles.
type Roles []Role

// Has tells whether the set holds a role.
func (r Roles) Has(role Role) bool { return slices.Contains(r, role) }

// ParseRoles reads a list such as "ingest,detect"; an empty text means all.
func ParseRoles(text string) (Roles, error) {
	if text == "" {
		return allRoles, nil
	}
	var roles Roles
	for word := range strings.SplitSeq(text, ",") {
		role := Role(strings.TrimSpace(word))
		if !slices.Contains(allRoles, role) {
			return nil, fmt.Errorf("role %q: must be ingest, detect, track or sinks", word)
		}
		if !roles.Has(role) {
			roles = append(roles, role)
		}
	}
	return roles, nil
}
