package compress

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

const maxRecipeBytes = 1 << 20

// Fault is one thing wrong with a recipe.
type Fault struct {
	File string
	Line int
	Key  string // path of keys with dots
	Text string // the rule that was broken
}

func (f Fault) String() string {
	if f.Key == "" {
		return fmt.Sprintf("%s:%d: %s", f.File, f.Line, f.Text)
	}
	return fmt.Sprintf("%s:%d: %s: %s", f.File, f.Line, f.Key, f.Text)
}

// Faults are all that is wrong with a recipe, in the order of its lines.
type Faults []Fault

func (f Faults) Error() string {
	lines := make([]string, len(f))
	for i, fault := range f {
		lines[i] = fault.String()
	}
	return strings.Join(lines, "\n")
}

// Load reads a recipe file strictly. The error is of type Faults, all at once, where the file could be read.
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
	r := reader{file: file, lines: map[string]int{}}
	var doc, next yaml.Node
	d := yaml.NewDecoder(bytes.NewReader(data))
	switch err := d.Decode(&doc); {
	case errors.Is(err, io.EOF):
		r.fault(1, "", "is empty: a recipe has a schema and steps")
		return recipe, r.faults
	case err != nil:
		return recipe, r.syntax(err)
	}
	r.structure(doc.Content[0], reflect.ValueOf(&recipe).Elem(), "")
	if err := d.Decode(&next); !errors.Is(err, io.EOF) {
		r.fault(max(1, next.Line), "", "must hold one document")
	}
	if len(r.faults) == 0 {
		for _, p := range recipe.problems() {
			r.fault(r.lineOf(p.key), p.key, p.text)
		}
	}
	if len(r.faults) > 0 {
		slices.SortStableFunc(r.faults, func(a, b Fault) int { return cmp.Compare(a.Line, b.Line) })
		return recipe, r.faults
	}
	return recipe, nil
}

// reader walks a YAML tree along the types of Recipe, so that each fault has its line and the whole path of its key.
type reader struct {
	file   string
	lines  map[string]int // key path -> line
	faults Faults
}

func (r *reader) fault(line int, key, text string) {
	r.faults = append(r.faults, Fault{r.file, line, key, text})
}

var yamlLine = regexp.MustCompile(`line (\d+): (.*)`)

func (r *reader) syntax(err error) error {
	line, text := 1, strings.TrimPrefix(err.Error(), "yaml: ")
	if m := yamlLine.FindStringSubmatch(text); m != nil {
		line, _ = strconv.Atoi(m[1])
		text = m[2]
	}
	return Faults{{r.file, line, "", "not YAML: " + text}}
}

func (r *reader) lineOf(key string) int {
	for ; key != ""; key = key[:max(strings.LastIndexByte(key, '.'), 0)] {
		if line, ok := r.lines[key]; ok {
			return line
		}
	}
	return 1
}

func (r *reader) structure(n *yaml.Node, v reflect.Value, path string) {
	if n.Kind != yaml.MappingNode {
		r.fault(n.Line, path, "must hold keys and values")
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
		if first, twice := r.lines[key]; twice {
			r.fault(line, key, fmt.Sprintf("is there twice, first on line %d", first))
			continue
		}
		r.lines[key] = line
		if at := slices.Index(known, name); at >= 0 {
			r.value(n.Content[i+1], v.Field(at), key)
			continue
		}
		r.fault(line, key, "unknown key; known here: "+strings.Join(known, ", "))
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
			r.fault(n.Line, key, "must be "+wanted(v.Type()))
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
