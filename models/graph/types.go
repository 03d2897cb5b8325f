// Package graph reads, walks and writes networks in the ONNX format.
package graph

// DataType is the type of a tensor's elements, by ONNX's numbers.
type DataType int32

// The element types that networks for detection use.
const (
	Float   DataType = 1
	Uint8   DataType = 2
	Int8    DataType = 3
	Int32   DataType = 6
	Int64   DataType = 7
	Bool    DataType = 9
	Float16 DataType = 10
	Double  DataType = 11
)

// Size is the number of bytes of one element; 0 for types that are not held here.
func (d DataType) Size() int {
	switch d {
	case Uint8, Int8, Bool:
		return 1
	case Float16:
		return 2
	case Float, Int32:
		return 4
	case Int64, Double:
		return 8
	}
	return 0
}

// Model is a network with what travels beside it.
type Model struct {
	IRVersion       int64
	Opsets          map[string]int64 // by domain; "" is the default one
	Producer        string
	ProducerVersion string
	Metadata        map[string]string
	Graph           *Graph
}

// Opset is the version of the default operators.
func (m *Model) Opset() int64 { return m.Opsets[""] }

// Graph is a network. Tensors have names; each is the output of one node, an initializer or an input.
type Graph struct {
	Name         string
	Nodes        []*Node // in topological order
	Inputs       []Value // without initializers
	Outputs      []Value
	Initializers map[string]*Tensor
	Values       map[string]Value // inferred types of inner tensors; may be empty
}

// Node is one operator. A left-out input or output is "".
type Node struct {
	Name, Op, Domain string
	Inputs, Outputs  []string
	Attrs            map[string]Attr
}

// AttrKind says which field of an Attr holds the value, by ONNX's numbers.
type AttrKind int32

// The kinds of attributes.
const (
	AttrFloat  AttrKind = 1
	AttrInt    AttrKind = 2
	AttrText   AttrKind = 3
	AttrTensor AttrKind = 4
	AttrGraph  AttrKind = 5
	AttrFloats AttrKind = 6
	AttrInts   AttrKind = 7
	AttrTexts  AttrKind = 8
)

// Attr is the value of an attribute. A subgraph is kept as the bytes that it came as.
type Attr struct {
	Kind   AttrKind
	Int    int64
	Float  float32
	Text   string
	Ints   []int64
	Floats []float32
	Texts  []string
	Tensor *Tensor
	Graph  []byte
}

// Tensor is a constant; Data is little endian, row after row.
type Tensor struct {
	Type  DataType
	Shape []int64
	Data  []byte
}

// Value is the type of a tensor; -1 stands for a size that is not fixed.
type Value struct {
	Name  string
	Type  DataType
	Shape []int64
}

// Int is an attribute's number, or otherwise where the node does not have it.
func (n *Node) Int(name string, otherwise int64) int64 {
	if a, ok := n.Attrs[name]; ok && a.Kind == AttrInt {
		return a.Int
	}
	return otherwise
}

// Ints is an attribute's list of numbers, nil where the node does not have it.
func (n *Node) Ints(name string) []int64 { return n.Attrs[name].Ints }

// Input is the i-th input, "" where it is left out.
func (n *Node) Input(i int) string {
	if i < len(n.Inputs) {
		return n.Inputs[i]
	}
	return ""
}

// Output is the first output.
func (n *Node) Output() string { return n.Outputs[0] }

// IntAttr makes an attribute that is a number.
func IntAttr(v int64) Attr { return Attr{Kind: AttrInt, Int: v} }

// IntsAttr makes an attribute that is a list of numbers.
func IntsAttr(v ...int64) Attr { return Attr{Kind: AttrInts, Ints: v} }
