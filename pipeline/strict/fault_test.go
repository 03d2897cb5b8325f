package strict

import (
	"errors"
	"testing"
)

func TestFaultsComeInTheOrderOfTheirLines(t *testing.T) {
	r := NewReader("a.yaml")
	if err := r.Err(); err != nil {
		t.Errorf("an error without a fault: %v", err)
	}
	r.Lines["cameras.gate"] = 7
	r.Fault(r.LineOf("cameras.gate.source"), "cameras.gate.source", "is missing")
	r.Fault(2, "", "must hold one document")
	const want = "a.yaml:2: must hold one document\na.yaml:7: cameras.gate.source: is missing"
	if err := r.Err(); err == nil || err.Error() != want || !errors.As(err, new(Faults)) {
		t.Errorf("%v, want %s", err, want)
	}
	if got := r.LineOf("other"); got != 1 {
		t.Errorf("a key that is not there is on line %d", got)
	}
	if got := (Fault{Key: "bus.url", Text: "must be an address"}).String(); got != "bus.url: must be an address" {
		t.Errorf("%q", got)
	}
}

func TestSyntaxNamesItsLine(t *testing.T) {
	r := NewReader("a.yaml")
	for said, want := range map[string]string{
		"yaml: line 3: mapping values are not allowed": "a.yaml:3: not YAML: mapping values are not allowed",
		"yaml: invalid": "a.yaml:1: not YAML: invalid",
	} {
		if got := r.Syntax(errors.New(said)).Error(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
