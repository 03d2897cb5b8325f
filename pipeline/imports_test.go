package pipeline_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/sightline/sightline/"

// rule says that the imports in what `in` covers are bounded by `to`, with the reason.
// A pattern "a/..." stands for a and all below it.
type rule struct {
	in      string
	to      []string
	because string
}

// mayImport says which of our packages each of our packages may import. The first row that covers a package counts; a package
// without a row is an error: whoever adds one decides here. Tests are free, since they hold packages against each other.
var mayImport = []rule{
	{"pipeline/bus", nil, "everything imports the contract"},
	{"pipeline/strict", nil, "what is wrong with a file, whatever it configures"},
	{"pipeline/picture", nil, "pixels know neither messages nor roles"},
	{"models/graph", nil, "a file is read in one place, by the tools that make networks and by the session that runs them"},
	{"models", []string{"models/graph"}, "a card describes a file, whoever runs it"},
	{"detect/track", []string{"pipeline/bus"}, "tracking is pure Go on messages, without pixels or models"},
	{"ingest/decode", []string{"pipeline/picture"}, "a codec knows pixels and nothing else"},
	{"sinks/encode", []string{"pipeline/picture"}, "a codec knows pixels and nothing else"},
	{"detect/onnx", []string{"models/..."}, "a session runs tensors, it knows neither frames nor messages"},
	{"ingest/...", []string{"ingest/...", "pipeline/bus", "pipeline/picture"}, "only messages connect the roles"},
	{"detect/...", []string{"detect/...", "models", "pipeline/bus", "pipeline/picture"}, "only messages connect the roles"},
	{"sinks/...", []string{"sinks/...", "pipeline/bus", "pipeline/picture"}, "only messages connect the roles"},
	{"pipeline/capacity", []string{"ingest/decode", "detect", "sinks/encode", "pipeline/bus", "pipeline/picture"}, "what a machine can do is measured with the parts that work on it"},
	{"pipeline", []string{"ingest/...", "detect/...", "sinks/...", "models", "pipeline/bus", "pipeline/picture", "pipeline/strict"}, "the assembly imports the workers, nobody imports the assembly but the command"},
	{"tools/...", []string{"tools/...", "models/...", "detect/...", "pipeline/picture", "pipeline/bus", "pipeline/strict"}, "the model tool is a library of its own; it measures with the detector that runs live"},
	{"cmd/...", []string{"..."}, "the command reaches everything"},
}

// standsIn says in which of our packages alone an import from outside may stand.
var standsIn = []rule{
	{"C", []string{"ingest/decode", "sinks/encode", "detect/onnx", "pipeline/picture"}, "C lives in four marked packages"},
	{"gocv.io/x/gocv", []string{"pipeline/picture"}, "OpenCV is the picture package's own business"},
	{"github.com/yalue/onnxruntime_go", []string{"detect/onnx"}, "another runtime must fit in the same place"},
	{"github.com/nats-io/...", []string{"pipeline/bus", "pipeline"}, "the transport can be read in one package; pipeline tells its version"},
	{"github.com/spf13/...", []string{"cmd/..."}, "no logic depends on the command line's library"},
}

// source is one Go file outside the tests.
type source struct {
	pkg  string // folder below the module's root
	name string
	tree *ast.File
}

func (s source) imports() []string {
	paths := make([]string, len(s.tree.Imports))
	for i, spec := range s.tree.Imports {
		paths[i], _ = strconv.Unquote(spec.Path.Value)
	}
	return paths
}

func readSources(t *testing.T) []source {
	t.Helper()
	var sources []source
	err := filepath.WalkDir("..", func(file string, entry fs.DirEntry, err error) error {
		switch name := entry.Name(); {
		case err != nil:
			return err
		case entry.IsDir() && (name == "testdata" || len(name) > 2 && name[0] == '.'):
			return filepath.SkipDir
		case entry.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go"):
			return nil
		}
		tree, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		below := strings.TrimPrefix(filepath.ToSlash(file), "../")
		sources = append(sources, source{pkg: path.Dir(below), name: below, tree: tree})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return sources
}

// covers tells whether a pattern stands for a package.
func covers(pattern, pkg string) bool {
	root, below := strings.CutSuffix(pattern, "...")
	if !below {
		return pattern == pkg
	}
	return strings.HasPrefix(pkg+"/", root)
}

func coveredBy(patterns []string, pkg string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool { return covers(pattern, pkg) })
}

func TestPatternsCoverWholeNames(t *testing.T) {
	for _, c := range []struct {
		pattern, pkg string
		want         bool
	}{
		{"ingest/...", "ingest", true},
		{"ingest/...", "ingest/decode", true},
		{"ingest/...", "ingestion", false},
		{"pipeline", "pipeline/bus", false},
		{"pipeline", "pipeline", true},
		{"...", "tools/prune", true},
	} {
		if got := covers(c.pattern, c.pkg); got != c.want {
			t.Errorf("%q covers %q: %v, want %v", c.pattern, c.pkg, got, c.want)
		}
	}
}

func TestImportsOfOurs(t *testing.T) {
	for _, file := range readSources(t) {
		row := slices.IndexFunc(mayImport, func(r rule) bool { return covers(r.in, file.pkg) })
		if row < 0 {
			t.Errorf("%s: package %s has no row in mayImport", file.name, file.pkg)
			continue
		}
		for _, imported := range file.imports() {
			ours, found := strings.CutPrefix(imported, module)
			if found && !coveredBy(mayImport[row].to, ours) {
				t.Errorf("%s imports %s: %s", file.name, ours, mayImport[row].because)
			}
		}
	}
}

func TestImportsFromOutside(t *testing.T) {
	for _, file := range readSources(t) {
		for _, imported := range file.imports() {
			for _, r := range standsIn {
				if covers(r.in, imported) && !coveredBy(r.to, file.pkg) {
					t.Errorf("%s imports %s, which may stand only in %v: %s", file.name, imported, r.to, r.because)
				}
			}
		}
	}
}

// Another library must fit under the same signatures.
func TestNoNativeTypeIsExported(t *testing.T) {
	native := []string{"C", "gocv", "onnxruntime_go", "ort"}
	for _, file := range readSources(t) {
		for _, declared := range file.tree.Decls {
			for _, surface := range exportedSurface(declared) {
				ast.Inspect(surface, func(n ast.Node) bool {
					if of, ok := n.(*ast.SelectorExpr); ok {
						if name, ok := of.X.(*ast.Ident); ok && slices.Contains(native, name.Name) {
							t.Errorf("%s: %s.%s stands in an exported signature or field", file.name, name.Name, of.Sel.Name)
						}
					}
					return true
				})
			}
		}
	}
}

// exportedSurface is what other packages see of a declaration: signatures, types and exported fields, not bodies.
func exportedSurface(declared ast.Decl) []ast.Node {
	switch d := declared.(type) {
	case *ast.FuncDecl:
		if d.Name.IsExported() {
			return []ast.Node{d.Type}
		}
	case *ast.GenDecl:
		var nodes []ast.Node
		for _, spec := range d.Specs {
			if typed, ok := spec.(*ast.TypeSpec); ok && typed.Name.IsExported() {
				nodes = append(nodes, exportedFields(typed.Type)...)
			}
		}
		return nodes
	}
	return nil
}

func exportedFields(typ ast.Expr) []ast.Node {
	fields, ok := typ.(*ast.StructType)
	if !ok {
		return []ast.Node{typ}
	}
	var nodes []ast.Node
	for _, field := range fields.Fields.List {
		embedded := len(field.Names) == 0
		if embedded || slices.ContainsFunc(field.Names, func(name *ast.Ident) bool { return name.IsExported() }) {
			nodes = append(nodes, field.Type)
		}
	}
	return nodes
}
