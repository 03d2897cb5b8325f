package pipeline

import (
	"fmt"
	"strings"
)

// Fault is one thing wrong with a configuration.
type Fault struct {
	File string
	Line int    // 0 where the fault has no place in the file
	Key  string // path of keys with dots
	Text string // the rule that was broken
}

func (f Fault) String() string {
	switch {
	case f.File == "":
		return fmt.Sprintf("%s: %s", f.Key, f.Text)
	case f.Key == "":
		return fmt.Sprintf("%s:%d: %s", f.File, f.Line, f.Text)
	}
	return fmt.Sprintf("%s:%d: %s: %s", f.File, f.Line, f.Key, f.Text)
}

// Faults are all that is wrong with one configuration, in the order of its lines.
type Faults []Fault

func (f Faults) Error() string {
	lines := make([]string, len(f))
	for i, fault := range f {
		lines[i] = fault.String()
	}
	return strings.Join(lines, "\n")
}
