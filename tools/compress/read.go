package compress

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/sightline/sightline/pipeline/strict"
)

const maxRecipeBytes = 1 << 20

// Load reads a recipe file strictly. The error is of type strict.Faults, all at once, where the file could be read.
func Load(path string) (Recipe, error) {
	info, err := os.Stat(path)
	if err != nil {
		return Recipe{}, fmt.Errorf("read recipe: %w", err)
	}
	if !info.Mode().IsRegular() || info.Size() > maxRecipeBytes {
		return Recipe{}, fmt.Errorf("read recipe %s: must be a file of at most %d bytes", path, maxRecipeBytes)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return Recipe{}, fmt.Errorf("read recipe: %w", err)
	}
	return Parse(path, data)
}

// Parse reads a recipe; file is used in faults only.
func Parse(file string, data []byte) (Recipe, error) {
	var recipe Recipe
	r := reader{strict.NewReader(file)}
	var doc, next yaml.Node
	d := yaml.NewDecoder(bytes.NewReader(data))
	switch err := d.Decode(&doc); {
	case errors.Is(err, io.EOF):
		r.Fault(1, "", "is empty: a recipe has a schema and steps")
		return recipe, r.Err()
	case err != nil:
		return recipe, r.Syntax(err)
	}
	r.structure(doc.Content[0], reflect.ValueOf(&recipe).Elem(), "")
	if err := d.Decode(&next); !errors.Is(err, io.EOF) {
		r.Fault(max(1, next.Line), "", "must hold one document")
	}
	if len(r.Faults) == 0 {
		for _, p := range recipe.problems() {
			r.Fault(r.LineOf(p.key), p.key, p.text)
		}
	}
	return recipe, r.Err()
}

// reader walks a YAML tree along the types of Recipe, so that each fault has its line and the whole path of its key.
type reader struct{ strict.Reader }

func (r *reader) structure(n *yaml.Node, v reflect.Value, path string) {
	if n.Kind != yaml.MappingNode {
		r.Fault(n.Line, path, "must hold keys and values")
		return
	}
	var known []string
	for i := range v.NumField() {
		name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("yaml"), ",")
		known = append(known, name)
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		name, line := n.Content[i].Value, n.Content[i].Line
		key := strings.TrimPrefix(path+"."+name, ".")
		if first, twice := r.Lines[key]; twice {
			r.Fault(line, key, fmt.Sprintf("is there twice, first on line %d", first))
			continue
		}
		r.Lines[key] = line
		if at := slices.Index(known, name); at >= 0 {
			r.value(n.Content[i+1], v.Field(at), key)
			continue
		}
		r.Fault(line, key, "unknown key; known here: "+strings.Join(known, ", "))
	}
}

// value reads a step over its defaults, or a plain value.
func (r *reader) value(n *yaml.Node, v reflect.Value, key string) {
	switch step := v.Addr().Interface().(type) {
	case **Prune:
		*step = defaultPrune()
	case **Quantize:
		*step = defaultQuantize()
	case **Check:
		*step = &Check{}
	default:
		cut := v.Kind() == reflect.Int && n.Tag == "!!float" // the library would take the whole part
		if n.Kind != yaml.ScalarNode || n.Tag == "!!null" || cut || n.Decode(step) != nil {
			r.Fault(n.Line, key, "must be "+wanted(v.Type()))
		}
		return
	}
	if n.Tag != "!!null" { // a step without keys has the defaults
		r.structure(n, v.Elem(), key)
	}
}

func wanted(t reflect.Type) string {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t.Kind() {
	case reflect.Int:
		return "a whole number"
	case reflect.Float64:
		return "a number"
	}
	return "a text"
}
