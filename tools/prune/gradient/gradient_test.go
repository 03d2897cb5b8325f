package gradient

import (
	"errors"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/sightline/sightline/models/graph"
	"github.com/sightline/sightline/tools/onnxgraph"
)

const side = 12

type net struct {
	m      *graph.Model
	random *rand.Rand
}

func (n net) node(op, from, to string, attrs map[string]graph.Attr, more ...string) {
	n.m.Graph.Nodes = append(n.m.Graph.Nodes, &graph.Node{Op: op, Inputs: append([]string{from}, more...), Outputs: []string{to}, Attrs: attrs})
}

func (n net) floats(name string, shape ...int64) string {
	size := int64(1)
	for _, d := range shape {
		size *= d
	}
	v := make([]float32, size)
	for i := range v {
		v[i] = float32(n.random.NormFloat64()) / 3
	}
	n.m.Graph.Initializers[name] = graph.NewFloat(shape, v)
	return name
}

func (n net) conv(from, to string, out, in, k, stride, group int64) {
	p := k / 2
	n.node("Conv", from, to, map[string]graph.Attr{"pads": graph.IntsAttr(p, p, p, p), "strides": graph.IntsAttr(stride, stride), "group": graph.IntAttr(group)},
		n.floats(to+"_w", out, in/group, k, k), n.floats(to+"_b", out))
}

func (n net) silu(from, to string) {
	n.node("Sigmoid", from, from+"_s", nil)
	n.node("Mul", from, to, nil, from+"_s")
}

// network has everything that gradients are known of.
func network() *graph.Model {
	n := net{&graph.Model{IRVersion: 8, Opsets: map[string]int64{"": 13}, Graph: &graph.Graph{
		Inputs:  []graph.Value{{Name: "x", Type: graph.Float, Shape: []int64{1, 3, side, side}}},
		Outputs: []graph.Value{{Name: "y", Type: graph.Float}, {Name: "z", Type: graph.Float}}, Initializers: map[string]*graph.Tensor{},
		Values: map[string]graph.Value{},
	}}, rand.New(rand.NewPCG(1, 9))}
	n.node("Cast", "x", "x0", map[string]graph.Attr{"to": graph.IntAttr(1)})
	n.conv("x0", "a", 6, 3, 3, 2, 1)
	n.silu("a", "a1")
	n.conv("a1", "b", 6, 6, 3, 1, 6)
	n.silu("b", "b1")
	n.conv("b1", "c", 6, 6, 1, 1, 1)
	n.node("Add", "c", "c1", nil, "a1")
	n.node("MaxPool", "c1", "p", map[string]graph.Attr{"kernel_shape": graph.IntsAttr(3, 3), "pads": graph.IntsAttr(1, 1, 1, 1)})
	n.node("Concat", "c1", "d", map[string]graph.Attr{"axis": graph.IntAttr(1)}, "p")
	n.conv("d", "e", 5, 12, 3, 2, 1)
	n.node("Relu", "e", "e1", nil)
	n.m.Graph.Initializers["scales"] = graph.NewFloat([]int64{4}, []float32{1, 1, 2, 2})
	n.node("Resize", "e1", "f", map[string]graph.Attr{"mode": {Kind: graph.AttrText, Text: "nearest"},
		"coordinate_transformation_mode": {Kind: graph.AttrText, Text: "asymmetric"}, "nearest_mode": {Kind: graph.AttrText, Text: "floor"}}, "", "scales")
	n.conv("f", "g", 6, 5, 3, 1, 1)
	n.node("Sub", "g", "h", nil, "c1")
	n.node("Mul", "h", "i", nil, "c")
	n.conv("i", "y", 4, 6, 1, 1, 1)
	n.conv("e1", "z", 2, 5, 1, 1, 1)
	return n.m
}

func random(r *rand.Rand, n int64) []float32 {
	v := make([]float32, n)
	for i := range v {
		v[i] = r.Float32()
	}
	return v
}

// TestGradientsAreThoseOfTheLoss holds them against differences.
func TestGradientsAreThoseOfTheLoss(t *testing.T) {
	n, err := Open(network(), []int64{1, 3, side, side}, []Loss{{"y", false}, {"z", true}}, nil, onnxgraph.RunOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	r := rand.New(rand.NewPCG(3, 3))
	var targets []Target
	for _, name := range []string{"y", "z"} {
		size := n.Shape(name)[1] * n.Shape(name)[2] * n.Shape(name)[3]
		targets = append(targets, Target{random(r, size), random(r, size)})
	}
	targets[1].Weight = make([]float32, len(targets[1].Weight)) // its loss is not what its gradient is of
	input := random(r, 3*side*side)
	sums := n.Zeros()
	if _, err := n.Run(input, targets, sums); err != nil {
		t.Fatal(err)
	}
	if len(n.Parameters) != 14 {
		t.Errorf("%d parameters, want 14", len(n.Parameters))
	}
	for i, p := range n.Parameters {
		for j := 0; j < len(p.Value); j += 1 + len(p.Value)/7 {
			const step = 5e-3
			was := p.Value[j]
			loss := func(v float32) float64 {
				p.Value[j] = v
				l, err := n.Run(input, targets, n.Zeros())
				if err != nil {
					t.Fatal(err)
				}
				return l / 2
			}
			want := (loss(was+step) - loss(was-step)) / (2 * step)
			p.Value[j] = was
			if got := float64(sums[i][j]); math.Abs(got-want) > 0.02*math.Abs(want)+0.02 {
				t.Errorf("%s %d: gradient %g, want %g", p.Name, j, got, want)
			}
		}
	}
}

// TestSigmoidLossMeetsItsTarget: steps against the gradient bring the sigmoid to where it should be.
func TestSigmoidLossMeetsItsTarget(t *testing.T) {
	n, err := Open(network(), []int64{1, 3, side, side}, []Loss{{"z", true}}, nil, onnxgraph.RunOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	size := n.Shape("z")[1] * n.Shape("z")[2] * n.Shape("z")[3]
	target := Target{make([]float32, size), make([]float32, size)}
	for i := range target.Want {
		target.Want[i], target.Weight[i] = 0.25, 1
	}
	input := random(rand.New(rand.NewPCG(3, 3)), 3*side*side)
	var first, last float64
	for i := range 60 {
		sums := n.Zeros()
		if last, err = n.Run(input, []Target{target}, sums); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			first = last
		}
		for k, p := range n.Parameters {
			for j := range p.Value {
				p.Value[j] -= 0.02 * sums[k][j]
			}
		}
	}
	if last > first/10 {
		t.Errorf("the loss goes from %g to %g", first, last)
	}
}

func TestUnknownGradientsAreRefused(t *testing.T) {
	m := network()
	m.Graph.Nodes[len(m.Graph.Nodes)-3].Op = "Max"
	if _, err := Open(m, []int64{1, 3, side, side}, []Loss{{"y", false}}, nil, onnxgraph.RunOptions{}); !errors.Is(err, ErrUnknown) {
		t.Errorf("%v, want %v", err, ErrUnknown)
	}
}
