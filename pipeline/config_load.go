package pipeline

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/sightline/sightline/pipeline/strict"
)

// maxConfigBytes bounds a configuration: ten thousand cameras fit, a wrong file does not fill the memory.
const maxConfigBytes = 8 << 20

// Load reads a configuration file over the defaults. The error is of type strict.Faults, all faults at once, where the file could be
// read.
func Load(path string) (Config, error) {
	data, err := readConfig(path)
	if err != nil {
		return Config{}, err
	}
	return Parse(path, data)
}

func readConfig(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxConfigBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	if len(data) > maxConfigBytes {
		return nil, fmt.Errorf("read configuration %s: larger than %d bytes", path, maxConfigBytes)
	}
	return data, nil
}

// Parse reads a configuration over the defaults; file is used in faults only.
func Parse(file string, data []byte) (Config, error) {
	cfg := Default()
	r := reader{strict.NewReader(file), &cfg}
	var doc yaml.Node
	dec := yaml.NewDecoder(bytes.NewReader(data))
	switch err := dec.Decode(&doc); {
	case errors.Is(err, io.EOF): // an empty file is the defaults
	case err != nil:
		return cfg, r.Syntax(err)
	default:
		r.value(doc.Content[0], reflect.ValueOf(&cfg).Elem(), "")
	}
	var next yaml.Node
	if err := dec.Decode(&next); !errors.Is(err, io.EOF) {
		r.Fault(cmp.Or(next.Line, 1), "", "must hold one document")
	}
	unread := map[string]bool{} // what could not be read needs no second fault for its value
	for _, fault := range r.Faults {
		unread[fault.Key] = true
	}
	for _, problem := range cfg.problems() {
		if unread[problem.Key] {
			continue
		}
		r.Fault(r.LineOf(problem.Key), problem.Key, problem.Text)
	}
	return cfg, r.Err()
}

// reader walks a YAML tree along the types of Config. The library's own strict mode stops short of what users need: the key's
// whole path, every fault at once, and map entries that begin with defaults.
type reader struct {
	strict.Reader
	root *Config
}

func (r *reader) value(n *yaml.Node, v reflect.Value, key string) {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	switch {
	case n.Tag == "!!null": // a key without a value keeps the default
	case v.Type() == reflect.TypeFor[Coordinates]():
		v.Set(reflect.ValueOf(r.coordinates(n, key)))
	case v.Kind() == reflect.Struct:
		r.structure(n, v, key)
	case v.Kind() == reflect.Map:
		r.entries(n, v, key)
	default:
		r.scalar(n, v, key)
	}
}

// structure reads fields in the order of the type, so that cameras come after the sections whose values they inherit.
func (r *reader) structure(n *yaml.Node, v reflect.Value, key string) {
	values, ok := r.mapping(n, key)
	if !ok {
		return
	}
	known := make([]string, v.NumField())
	for i := range v.NumField() {
		known[i] = v.Type().Field(i).Tag.Get("yaml")
		if child, ok := values[known[i]]; ok {
			r.value(child, v.Field(i), join(key, known[i]))
			delete(values, known[i])
		}
	}
	for name := range values {
		path := join(key, name)
		r.Fault(r.Lines[path], path, "unknown key; known here: "+strings.Join(known, ", "))
	}
}

// entries reads a map whose keys are names that the user chose.
func (r *reader) entries(n *yaml.Node, v reflect.Value, key string) {
	values, ok := r.mapping(n, key)
	if !ok {
		return
	}
	made := reflect.MakeMapWithSize(v.Type(), len(values))
	for name, child := range values {
		entry := reflect.New(v.Type().Elem()).Elem()
		switch entry.Interface().(type) {
		case CameraConfig:
			entry.Set(reflect.ValueOf(defaultCamera(*r.root)))
		case DetectorConfig:
			entry.Set(reflect.ValueOf(defaultDetector()))
		case ZoneConfig:
			entry.Set(reflect.ValueOf(defaultZone()))
		}
		r.value(child, entry, join(key, name))
		made.SetMapIndex(reflect.ValueOf(name), entry)
	}
	v.Set(made)
}

// mapping notes the line of every key, and faults what is no mapping and what is there twice.
func (r *reader) mapping(n *yaml.Node, key string) (map[string]*yaml.Node, bool) {
	if n.Kind != yaml.MappingNode {
		r.Fault(n.Line, key, "must hold keys and values, is "+describe(n))
		return nil, false
	}
	values := make(map[string]*yaml.Node, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		name, path := n.Content[i].Value, join(key, n.Content[i].Value)
		if _, twice := values[name]; twice {
			r.Fault(n.Content[i].Line, path, fmt.Sprintf("is there twice, first on line %d", r.Lines[path]))
			continue
		}
		values[name], r.Lines[path] = n.Content[i+1], n.Content[i].Line
	}
	return values, true
}

func (r *reader) scalar(n *yaml.Node, v reflect.Value, key string) {
	cut := v.Kind() == reflect.Int && n.Tag == "!!float" // the library would take the whole part
	if err := n.Decode(v.Addr().Interface()); err != nil || cut {
		r.Fault(n.Line, key, fmt.Sprintf("must be %s, is %s", wanted(v.Type()), describe(n)))
	}
}

func wanted(t reflect.Type) string {
	if t == reflect.TypeFor[Duration]() {
		return "a duration such as 10ms or 2s"
	}
	if t == reflect.TypeFor[Devices]() {
		return "a device, or a list of devices in order of preference"
	}
	if t == reflect.TypeFor[Workers]() {
		return "auto or a whole number"
	}
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int64:
		return "a whole number"
	case reflect.Float32, reflect.Float64:
		return "a number"
	case reflect.Slice:
		return "a list of texts"
	}
	return "a text"
}

// describe names what stands in the file without repeating a value that may be a secret.
func describe(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	}
	switch n.Tag {
	case "!!int", "!!float":
		return "the number " + n.Value
	case "!!bool":
		return n.Value
	}
	return "a text"
}

func join(key, name string) string {
	if key == "" {
		return name
	}
	return key + "." + name
}
