package graph

import (
	"fmt"
)

// targetOpset is what models are brought to: per-channel DequantizeLinear needs 13.
const targetOpset = 13

// oldestOpset is the first whose operators mean here what they mean at targetOpset, but for those that upgrade knows.
const oldestOpset = 11

// newestOpset is the last that was tried: int8 is found by onnxruntime as in 13, and the operators here mean the same.
const newestOpset = 23

// CheckOpset tells whether the operators of a model mean what is known of them here.
func CheckOpset(m *Model) error {
	if v := m.Opset(); v < oldestOpset || v > newestOpset {
		return fmt.Errorf("the model has opset %d: must be %d to %d; export it with opset 17", v, oldestOpset, newestOpset)
	}
	return nil
}

// UpgradeOpset brings a model to opset 13, by putting into inputs what older operators had in attributes.
func UpgradeOpset(m *Model) error {
	if err := CheckOpset(m); err != nil || m.Opset() >= targetOpset {
		return err
	}
	for _, n := range m.Graph.Nodes {
		if n.Domain != "" {
			continue
		}
		if err := m.upgrade(n); err != nil {
			return fmt.Errorf("bring node %.60q to opset %d: %w", n.Name, targetOpset, err)
		}
	}
	m.Opsets[""] = targetOpset
	m.IRVersion = max(m.IRVersion, 7)
	return nil
}

func (m *Model) upgrade(n *Node) error {
	switch n.Op {
	case "Squeeze", "Unsqueeze", "ReduceSum":
		m.attrToInput(n, "axes", 1)
	case "Split":
		m.attrToInput(n, "split", 1)
	case "Softmax", "LogSoftmax", "Hardmax":
		// Before 13 these flattened all axes from the given one on, and 1 was the default.
		if axis := n.Int("axis", 1); axis != -1 && axis != 3 {
			return fmt.Errorf("%s along axis %d means something else since opset 13; export the model again with opset 13 or later", n.Op, axis)
		}
	case "Loop", "If", "Scan":
		return fmt.Errorf("%s is not known here", n.Op)
	}
	return nil
}

func (m *Model) attrToInput(n *Node, attr string, at int) {
	values := n.Ints(attr)
	if values == nil {
		return
	}
	delete(n.Attrs, attr)
	name := m.Graph.Fresh(n.Output() + "_" + attr)
	m.Graph.Initializers[name] = NewInt64([]int64{int64(len(values))}, values)
	for len(n.Inputs) < at {
		n.Inputs = append(n.Inputs, "")
	}
	n.Inputs = append(n.Inputs[:at], name)
}

// ToFloat32 makes float32 of a model that was exported in half precision, and returns how many tensors it widened.
func ToFloat32(m *Model) (int, error) {
	widened := 0
	widen := func(t *Tensor) (*Tensor, error) {
		if t == nil || t.Type != Float16 {
			return t, nil
		}
		v, err := t.Floats()
		if err != nil {
			return nil, err
		}
		widened++
		return NewFloat(t.Shape, v), nil
	}
	g := m.Graph
	for name, t := range g.Initializers {
		wide, err := widen(t)
		if err != nil {
			return 0, err
		}
		g.Initializers[name] = wide
	}
	for _, n := range g.Nodes {
		for name, a := range n.Attrs {
			wide, err := widen(a.Tensor)
			if err != nil {
				return 0, err
			}
			if a.Tensor = wide; n.Op == "Cast" && name == "to" && DataType(a.Int) == Float16 {
				a.Int = int64(Float)
			}
			n.Attrs[name] = a
		}
	}
	for _, list := range [][]Value{g.Inputs, g.Outputs} {
		for i := range list {
			if list[i].Type == Float16 {
				list[i].Type = Float
			}
		}
	}
	if widened > 0 {
		clear(g.Values)
	}
	return widened, nil
}
