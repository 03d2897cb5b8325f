package graph

import (
	"errors"
	"fmt"
	"os"
)

// Limits of what is read.
const (
	maxFileBytes = 1 << 30
	maxNodes     = 100_000
	maxRank      = 16
	maxElements  = 1 << 28 // of one tensor
)

// errExternal is returned for tensors in other files.
var errExternal = errors.New("holds its data in another file: export the model as one file")

// Read reads a model file. Errors name the file, what was found and the remedy.
func Read(path string) (*Model, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("read model: %w", err)
	}
	if !info.Mode().IsRegular() || info.Size() > maxFileBytes {
		return nil, fmt.Errorf("read model %s: must be a file of at most %d bytes", path, maxFileBytes)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read model: %w", err)
	}
	m, err := Parse(data)
	if err != nil {
		return nil, fmt.Errorf("read model %s: %w", path, err)
	}
	return m, nil
}

// Parse reads a model. The model keeps no reference to data.
func Parse(data []byte) (*Model, error) {
	m := &Model{Opsets: map[string]int64{}, Metadata: map[string]string{}}
	if err := eachField(data, m.field); err != nil {
		return nil, fmt.Errorf("no sound ONNX model (%w): name an .onnx file, exported again if it is one", err)
	}
	if m.Graph == nil || m.Opset() == 0 {
		return nil, errors.New("no ONNX model: it has no graph or no opset; name an .onnx file")
	}
	if err := m.Sort(); err != nil {
		return nil, err
	}
	if err := m.Check(); err != nil {
		return nil, err
	}
	return m, nil
}

func (m *Model) field(f field) (err error) {
	switch f.num {
	case 1:
		m.IRVersion = f.int()
	case 2:
		m.Producer = f.text()
	case 3:
		m.ProducerVersion = f.text()
	case 7:
		m.Graph = newGraph()
		err = eachField(f.bytes, m.Graph.field)
	case 8:
		err = m.opset(f.bytes)
	case 14:
		err = m.metadata(f.bytes)
	case 20, 25:
		err = errors.New("it has functions or training information, which are not known here: export it for inference")
	}
	return err
}

func (m *Model) opset(data []byte) error {
	domain, version := "", int64(0)
	err := eachField(data, func(f field) error {
		switch f.num {
		case 1:
			domain = f.text()
		case 2:
			version = f.int()
		}
		return nil
	})
	if domain == "ai.onnx" {
		domain = ""
	}
	m.Opsets[domain] = version
	return err
}

func (m *Model) metadata(data []byte) error {
	key, value := "", ""
	err := eachField(data, func(f field) error {
		switch f.num {
		case 1:
			key = f.text()
		case 2:
			value = f.text()
		}
		return nil
	})
	m.Metadata[key] = value
	return err
}

func newGraph() *Graph {
	return &Graph{Initializers: map[string]*Tensor{}, Values: map[string]Value{}}
}

func (g *Graph) field(f field) (err error) {
	switch f.num {
	case 1:
		err = g.node(f.bytes)
	case 2:
		g.Name = f.text()
	case 5:
		var name string
		var t *Tensor
		if name, t, err = parseTensor(f.bytes); err == nil {
			g.Initializers[name] = t
		}
	case 11, 12, 13:
		var v Value
		if v, err = parseValue(f.bytes); err == nil {
			g.value(f.num == 11, f.num == 12, v)
		}
	case 15:
		err = errors.New("it has sparse initializers, which are not known here: export it with dense ones")
	}
	return err
}

func (g *Graph) value(input, output bool, v Value) {
	switch {
	case input:
		g.Inputs = append(g.Inputs, v)
	case output:
		g.Outputs = append(g.Outputs, v)
	default:
		g.Values[v.Name] = v
	}
}

func (g *Graph) node(data []byte) error {
	if len(g.Nodes) == maxNodes {
		return fmt.Errorf("more than %d nodes", maxNodes)
	}
	n := &Node{Attrs: map[string]Attr{}}
	g.Nodes = append(g.Nodes, n)
	return eachField(data, func(f field) (err error) {
		switch f.num {
		case 1:
			n.Inputs = append(n.Inputs, f.text())
		case 2:
			n.Outputs = append(n.Outputs, f.text())
		case 3:
			n.Name = f.text()
		case 4:
			n.Op = f.text()
		case 5:
			err = n.attribute(f.bytes)
		case 7:
			if n.Domain = f.text(); n.Domain == "ai.onnx" {
				n.Domain = ""
			}
		}
		return err
	})
}

func (n *Node) attribute(data []byte) error {
	name := ""
	var a Attr
	err := eachField(data, func(f field) (err error) {
		switch f.num {
		case 1:
			name = f.text()
		case 2:
			a.Float = f.float()
		case 3:
			a.Int = f.int()
		case 4:
			a.Text = f.text()
		case 5:
			_, a.Tensor, err = parseTensor(f.bytes)
		case 6:
			a.Graph = append([]byte{}, f.bytes...)
		case 7:
			a.Floats, err = f.floats(a.Floats)
		case 8:
			a.Ints, err = f.varints(a.Ints)
		case 9:
			a.Texts = append(a.Texts, f.text())
		case 20:
			a.Kind = AttrKind(f.int())
		case 10, 11, 14, 15, 21, 22, 23:
			err = fmt.Errorf("attribute %.40q of node %.60q is of a kind that is not known here", name, n.Name)
		}
		return err
	})
	n.Attrs[name] = a
	return err
}

func parseValue(data []byte) (v Value, err error) {
	err = eachField(data, func(f field) error {
		switch f.num {
		case 1:
			v.Name = f.text()
		case 2: // TypeProto
			return eachField(f.bytes, func(f field) error {
				if f.num == 1 { // of a tensor
					return eachField(f.bytes, v.tensorType)
				}
				return nil
			})
		}
		return nil
	})
	return v, err
}

func (v *Value) tensorType(f field) error {
	switch f.num {
	case 1:
		v.Type = f.number()
	case 2:
		v.Shape = []int64{}
		return eachField(f.bytes, func(f field) error {
			if f.num != 1 || len(v.Shape) == maxRank {
				return nil
			}
			size := int64(-1)
			err := eachField(f.bytes, func(f field) error {
				if f.num == 1 && f.int() > 0 {
					size = f.int()
				}
				return nil
			})
			v.Shape = append(v.Shape, size)
			return err
		})
	}
	return nil
}
