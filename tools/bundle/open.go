package bundle

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/sightline/sightline/models"
	"github.com/sightline/sightline/models/graph"
	"github.com/sightline/sightline/tools/onnxgraph"
)

// Original is a model in the form that the tools work on.
type Original struct {
	File  string
	Spec  models.Spec     // Width and Height are what the network looks at now, all else is the file's
	Model *graph.Model    // see onnxgraph.Simplify
	Head  *onnxgraph.Head // nil where the decode tail stayed
	// Barriers are operators that are not known here, and are left alone.
	Barriers []string
}

// Open reads a model file, checks it as a detector would, simplifies it, and gives it another input where one is asked for.
func Open(path string, size onnxgraph.Size) (Original, error) {
	spec, err := models.Load(path)
	if err != nil {
		return Original{}, err
	}
	m, err := graph.Read(path)
	if err != nil {
		return Original{}, err
	}
	onnxgraph.FixInput(m, onnxgraph.Size{Width: spec.Width, Height: spec.Height})
	simple, err := onnxgraph.Simplify(m, onnxgraph.RunOptions{})
	if err != nil {
		return Original{}, fmt.Errorf("simplify %s: %w", path, err)
	}
	if simple.Head == nil {
		simple.Head = headOf(spec)
	}
	if err := onnxgraph.SetInput(m, simple.Head, size, onnxgraph.RunOptions{}); err != nil {
		return Original{}, fmt.Errorf("%s: %w", path, err)
	}
	if size != (onnxgraph.Size{}) {
		spec.Width, spec.Height = size.Width, size.Height
	}
	return Original{path, spec, m, simple.Head, simple.Barriers}, nil
}

// headOf is the head of a model whose tail was cut off before, as its card says; nil where it was not.
func headOf(spec models.Spec) *onnxgraph.Head {
	if len(spec.Head) == 0 {
		return nil
	}
	h := &onnxgraph.Head{Family: string(spec.Family)}
	for _, l := range spec.Head {
		h.Levels = append(h.Levels, onnxgraph.Level(l))
	}
	return h
}

// CheckOut tells whether a new model may be called so.
func CheckOut(in, out string) error {
	if !strings.HasSuffix(out, ".onnx") {
		return fmt.Errorf("%s: the new model's name must end in .onnx", out)
	}
	a, err := os.Stat(in)
	if err != nil {
		return nil // told by whoever reads it
	}
	if b, err := os.Stat(out); err == nil && os.SameFile(a, b) {
		return errors.New(out + ": the new model would overwrite its original; choose another name")
	}
	return nil
}

// Card describes what was made of the original. url and licence, where not "", are what its own card does not say.
func (o Original) Card(url, licence, command string) models.Card {
	origin := models.CardOrigin{URL: url, SHA256: o.Spec.SHA256}
	switch {
	case url != "":
	case o.Spec.Origin.SHA256 == o.Spec.SHA256: // it is the original itself, with a card that says from where
		origin.URL = o.Spec.Origin.URL
	default:
		origin.URL = "file:" + filepath.Base(o.File)
	}
	return Card(o.Spec, o.Head, origin, cmp.Or(licence, o.Spec.Licence, "NOASSERTION"), command)
}
