// Package catalogue knows originals that models are made of, and fetches them so that nothing else ever takes their names.
package catalogue

import (
	"bytes"
	_ "embed" // the list
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

//go:embed catalogue.yaml
var list []byte

// Entry is an original.
type Entry struct {
	Name    string  `yaml:"name" json:"name"`
	File    string  `yaml:"file" json:"file"` // the name that it is saved under
	Family  string  `yaml:"family" json:"family"`
	Input   string  `yaml:"input" json:"input"` // width x height
	Classes int     `yaml:"classes" json:"classes"`
	AP      float64 `yaml:"ap" json:"ap"` // on COCO val2017, as its authors measured
	Licence string  `yaml:"licence" json:"licence"`
	Page    string  `yaml:"page" json:"page"`         // about it
	URL     string  `yaml:"url" json:"url,omitempty"` // that gives these bytes; "": none is known, see PullOptions.From
	Bytes   int64   `yaml:"bytes" json:"bytes"`
	SHA256  string  `yaml:"sha256" json:"sha256"`
	SumOf   string  `yaml:"sum_of" json:"sum_of"` // what the sum is the sum of: release or copy; see catalogue.yaml
}

// Entries lists the originals.
func Entries() ([]Entry, error) {
	var all struct {
		Originals []Entry `yaml:"originals"`
	}
	d := yaml.NewDecoder(bytes.NewReader(list))
	d.KnownFields(true)
	if err := d.Decode(&all); err != nil {
		return nil, fmt.Errorf("read catalogue: %w", err)
	}
	return all.Originals, nil
}

// Find gives the original of a name.
func Find(name string) (Entry, error) {
	all, err := Entries()
	if err != nil {
		return Entry{}, err
	}
	var names []string
	for _, e := range all {
		if e.Name == name {
			return e, nil
		}
		names = append(names, e.Name)
	}
	return Entry{}, fmt.Errorf("%.60q is not in the catalogue: it has %s", name, strings.Join(names, ", "))
}
