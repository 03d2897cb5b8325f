package graph

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"syscall"
)

// Marshal writes the model; the same model gives the same bytes.
func (m *Model) Marshal() ([]byte, error) {
	if err := m.Check(); err != nil {
		return nil, err
	}
	var b message
	b.varint(1, m.IRVersion)
	b.text(2, m.Producer)
	b.text(3, m.ProducerVersion)
	b.bytes(7, m.Graph.marshal())
	for _, domain := range slices.Sorted(maps.Keys(m.Opsets)) {
		var o message
		o.text(1, domain)
		o.varint(2, m.Opsets[domain])
		b.bytes(8, o)
	}
	for _, key := range slices.Sorted(maps.Keys(m.Metadata)) {
		var p message
		p.text(1, key)
		p.text(2, m.Metadata[key])
		b.bytes(14, p)
	}
	return b, nil
}

// Write writes the model beside path and then renames it, so that no half of a file is ever seen.
func (m *Model) Write(path string) error {
	data, err := m.Marshal()
	if err != nil {
		return fmt.Errorf("write model %s: %w", path, err)
	}
	return WriteFile(path, data)
}

// WriteFile writes a file whole or not at all. Errors say what to do.
func WriteFile(path string, data []byte) error {
	if err := writeFile(path, data); err != nil {
		return fmt.Errorf("write %s: %w", path, Remedied(err))
	}
	return nil
}

func writeFile(path string, data []byte) error {
	beside, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(beside.Name())
	_, err = beside.Write(data)
	if err == nil {
		err = beside.Chmod(0o644)
	}
	if e := beside.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(beside.Name(), path)
	}
	return err
}

// Remedied says what to do about a file that could not be written.
func Remedied(err error) error {
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT), errors.Is(err, syscall.EFBIG):
		return fmt.Errorf("%w: make room, or name another folder", err)
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		return fmt.Errorf("%w: make the folder first", err)
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return fmt.Errorf("%w: name a folder that may be written to", err)
	}
	return err
}

func (g *Graph) marshal() []byte {
	var b message
	for _, n := range g.Nodes {
		b.bytes(1, n.marshal())
	}
	b.text(2, g.Name)
	for _, name := range slices.Sorted(maps.Keys(g.Initializers)) {
		b.bytes(5, g.Initializers[name].marshal(name))
	}
	for _, v := range g.Inputs {
		b.bytes(11, v.marshal())
	}
	for _, v := range g.Outputs {
		b.bytes(12, v.marshal())
	}
	for _, name := range slices.Sorted(maps.Keys(g.Values)) {
		b.bytes(13, g.Values[name].marshal())
	}
	return b
}

func (n *Node) marshal() []byte {
	var b message
	for _, s := range n.Inputs {
		b.bytes(1, []byte(s)) // also "": a place that is left out
	}
	for _, s := range n.Outputs {
		b.bytes(2, []byte(s))
	}
	b.text(3, n.Name)
	b.text(4, n.Op)
	for _, name := range slices.Sorted(maps.Keys(n.Attrs)) {
		b.bytes(5, n.Attrs[name].marshal(name))
	}
	b.text(7, n.Domain)
	return b
}

func (a Attr) marshal(name string) []byte {
	var b message
	b.text(1, name)
	switch a.Kind {
	case AttrFloat:
		b.float(2, a.Float)
	case AttrInt:
		b.varint(3, a.Int)
	case AttrText:
		b.bytes(4, []byte(a.Text))
	case AttrTensor:
		b.bytes(5, a.Tensor.marshal(""))
	case AttrGraph:
		b.bytes(6, a.Graph)
	case AttrFloats:
		for _, v := range a.Floats {
			b.float(7, v)
		}
	case AttrInts:
		b.varints(8, a.Ints)
	case AttrTexts:
		for _, s := range a.Texts {
			b.bytes(9, []byte(s))
		}
	}
	b.varint(20, int64(a.Kind))
	return b
}

func (t *Tensor) marshal(name string) []byte {
	var b message
	b.varints(1, t.Shape)
	b.varint(2, int64(t.Type))
	b.text(8, name)
	b.bytes(9, t.Data)
	return b
}

func (v Value) marshal() []byte {
	var shape message
	for i, size := range v.Shape {
		var dim message
		switch {
		case size >= 0:
			dim.varint(1, size)
		case i == 0: // the batch is the same everywhere; other open sizes are not
			dim.text(2, "N")
		}
		shape.bytes(1, dim)
	}
	var tensor, kind, b message
	tensor.varint(1, int64(v.Type))
	if v.Shape != nil {
		tensor.bytes(2, shape)
	}
	kind.bytes(1, tensor)
	b.text(1, v.Name)
	if v.Type != 0 { // else onnxruntime finds it out
		b.bytes(2, kind)
	}
	return b
}
