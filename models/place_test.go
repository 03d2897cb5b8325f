package models

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// outside is an initialiser whose numbers lie in another file; more are further pairs of key and value.
func outside(location string, more ...string) []byte {
	parts := [][]byte{tensorParts("kernel", elemFloat32, 4), entry(13, "location", location), number(14, 1)}
	for i := 0; i+1 < len(more); i += 2 {
		parts = append(parts, entry(13, more[i], more[i+1]))
	}
	return message(5, parts...)
}

// savePair saves a model with a file of 16 bytes beside it and one outside its folder, both called weights.bin.
func savePair(t *testing.T, data []byte) string {
	t.Helper()
	path := save(t, data, "")
	folder := filepath.Dir(path)
	for _, p := range []string{filepath.Join(folder, "weights.bin"), filepath.Join(filepath.Dir(folder), "weights.bin")} {
		if err := os.WriteFile(p, make([]byte, 16), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("../weights.bin", filepath.Join(folder, "out.bin")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(folder, "inner"), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestExternalFilesMustLieInTheFolder(t *testing.T) {
	for _, parts := range [][]string{{}, {"offset", "0", "length", "16"}, {"offset", "16", "length", "0"}, {"checksum", "00"}} {
		if _, err := Load(savePair(t, yoloxNet().with(outside("weights.bin", parts...)).bytes())); err != nil {
			t.Errorf("%q beside the model: %v", parts, err)
		}
	}
	for name, c := range map[string]struct {
		initialiser []byte
		want        string
	}{
		"above":     {outside("../weights.bin"), `"../weights.bin", which is outside the model's folder`},
		"roundWay":  {outside("inner/../../weights.bin"), "which is outside the model's folder"},
		"absolute":  {outside("/etc/passwd"), `"/etc/passwd", which is outside the model's folder`},
		"nowhere":   {outside("none.bin"), "which is not there"},
		"nameless":  {outside(""), "which is outside the model's folder"},
		"unsaid":    {message(5, tensorParts("kernel", elemFloat32, 4), number(14, 1)), "which is outside the model's folder"},
		"link":      {outside("out.bin"), "a symbolic link that leads out of the model's folder"},
		"folder":    {outside("inner"), "which is no file"},
		"longer":    {outside("weights.bin", "length", "17"), "which has 16 bytes, fewer than it takes"},
		"later":     {outside("weights.bin", "offset", "12", "length", "5"), "which has 16 bytes, fewer than it takes"},
		"overflow":  {outside("weights.bin", "offset", "9223372036854775807", "length", "9223372036854775807"), "fewer than it takes"},
		"sum":       {outside("weights.bin", "offset", "8", "length", "9223372036854775807"), "fewer than it takes"},
		"negative":  {outside("weights.bin", "offset", "-1"), `with the place "-1"`},
		"no number": {outside("weights.bin", "length", "all"), `with the place "all"`},
	} {
		t.Run(name, func(t *testing.T) {
			refused(t, savePair(t, yoloxNet().with(c.initialiser).bytes()), `tensor "kernel" lies in the external file`, c.want,
				"must lie in the model's folder; export the model as one file")
		})
	}
}

// TestExternalFilesAreFoundWhereverTensorsHide: in attributes, in graphs inside graphs, in sparse tensors, in functions.
func TestExternalFilesAreFoundWhereverTensorsHide(t *testing.T) {
	hidden := tensorParts("kernel", elemFloat32, 4)
	hidden = append(hidden, entry(13, "location", "../weights.bin")...)
	attribute := func(parts ...[]byte) []byte { return message(1, message(5, parts...)) } // of a node
	sparse := message(1, hidden)
	inner := func(depth int) []byte {
		node := attribute(message(5, hidden))
		for range depth {
			node = attribute(message(6, node))
		}
		return node
	}
	for name, n := range map[string]*network{
		"attribute":        yoloxNet().with(attribute(message(5, hidden))),
		"list":             yoloxNet().with(attribute(message(10, hidden))),
		"sparse attribute": yoloxNet().with(attribute(message(22, sparse))),
		"sparse list":      yoloxNet().with(attribute(message(23, sparse))),
		"sparse values":    yoloxNet().with(message(15, message(1, hidden))),
		"sparse indices":   yoloxNet().with(message(15, message(2, hidden))),
		"branch":           yoloxNet().with(attribute(message(6, message(5, hidden)))),
		"branches":         yoloxNet().with(attribute(message(11, message(15, message(1, hidden))))),
		"deep":             yoloxNet().with(inner(maxDepth - 1)),
	} {
		t.Run(name, func(t *testing.T) {
			refused(t, savePair(t, n.bytes()), `tensor "kernel" lies in the external file`, "export the model as one file")
		})
	}
	for name, field := range map[string][]byte{
		"function": message(25, message(7, message(5, message(5, hidden)))),
		"training": message(20, message(1, message(5, hidden))),
	} {
		n := yoloxNet()
		n.more = [][]byte{field}
		t.Run(name, func(t *testing.T) {
			refused(t, savePair(t, n.bytes()), `tensor "kernel" lies in the external file`, "export the model as one file")
		})
	}
	refused(t, savePair(t, yoloxNet().with(inner(maxDepth)).bytes()), "in the graph: more than 16 graphs inside each other", "exported again")
}

// TestLinksInsideTheFolder: a model may be a link to its neighbour, as volumes of Kubernetes are, however the path is written.
func TestLinksInsideTheFolder(t *testing.T) {
	tiny := read(t, "tiny.onnx")
	path := save(t, tiny, cardOf(t, "red", "rouge"))
	folder := filepath.Dir(path)
	links := map[string]string{"near.onnx": "model.onnx", "far.onnx": path, "near.yaml": "model.yaml", "far.yaml": filepath.Join(folder, "model.yaml")}
	for link, to := range links {
		if err := os.Symlink(to, filepath.Join(folder, link)); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(folder)
	for _, name := range []string{"near", "far"} {
		for _, folder := range []string{"", ".", folder, "../" + filepath.Base(folder)} {
			s, err := Load(filepath.Join(folder, name+".onnx"))
			if err != nil {
				t.Errorf("%s in %q: %v", name, folder, err)
			} else if s.Name != name || s.Labels[0] != "rouge" || filepath.Base(s.Path) != "model.onnx" || s.ID() != fmt.Sprintf("%s@%.8s", name, s.SHA256) {
				t.Errorf("%s in %q: %s of %s with %v", name, folder, s.ID(), s.Path, s.Labels)
			}
		}
	}
	if err := os.Symlink(filepath.Join(t.TempDir(), "card.yaml"), filepath.Join(folder, "alone.yaml")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("alone.onnx", tiny, 0o600); err != nil {
		t.Fatal(err)
	}
	refused(t, "alone.onnx", "its card", "no such file") // a dangling link is no missing card
}
