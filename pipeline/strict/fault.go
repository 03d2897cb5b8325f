// Package strict tells all that is wrong with a YAML file at once, each fault with file, line and key.
package strict

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Fault is one thing wrong with a file.
type Fault struct {
	File string
	Line int    // 0 where the fault has no place in the file
	Key  string // path of keys with dots
	Text string // the rule that was broken
}

// String is file:line: key: text, without what is not known.
func (f Fault) String() string {
	switch {
	case f.File == "":
		return fmt.Sprintf("%s: %s", f.Key, f.Text)
	case f.Key == "":
		return fmt.Sprintf("%s:%d: %s", f.File, f.Line, f.Text)
	}
	return fmt.Sprintf("%s:%d: %s: %s", f.File, f.Line, f.Key, f.Text)
}

// Faults are all that is wrong with one file, in the order of its lines.
type Faults []Fault

// Error is a line for each fault.
func (f Faults) Error() string {
	lines := make([]string, len(f))
	for i, fault := range f {
		lines[i] = fault.String()
	}
	return strings.Join(lines, "\n")
}

// Reader collects the faults of a file, and where its keys stand.
type Reader struct {
	File   string
	Lines  map[string]int // key path -> line
	Faults Faults
}

// NewReader begins a file; its name is used in faults only.
func NewReader(file string) Reader { return Reader{File: file, Lines: map[string]int{}} }

// Fault adds one.
func (r *Reader) Fault(line int, key, text string) {
	r.Faults = append(r.Faults, Fault{r.File, line, key, text})
}

// LineOf finds the line of a key, or of the nearest key above it that is in the file.
func (r *Reader) LineOf(key string) int {
	for key != "" {
		if line, ok := r.Lines[key]; ok {
			return line
		}
		key = key[:max(strings.LastIndexByte(key, '.'), 0)]
	}
	return 1
}

// Err gives all faults in the order of their lines, nil where there are none.
func (r *Reader) Err() error {
	if len(r.Faults) == 0 {
		return nil
	}
	slices.SortStableFunc(r.Faults, func(a, b Fault) int { return cmp.Compare(a.Line, b.Line) })
	return r.Faults
}

var yamlLine = regexp.MustCompile(`line (\d+): (.*)`)

// Syntax puts the YAML library's own words into our form.
func (r *Reader) Syntax(err error) error {
	line, text := 1, strings.TrimPrefix(err.Error(), "yaml: ")
	if m := yamlLine.FindStringSubmatch(text); m != nil {
		line, _ = strconv.Atoi(m[1])
		text = m[2]
	}
	return Faults{{File: r.File, Line: line, Text: "not YAML: " + text}}
}
