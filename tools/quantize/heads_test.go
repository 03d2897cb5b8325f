package quantize

import (
	"slices"
	"testing"

	"github.com/sightline/sightline/models/graph"
)

// TestOutputsStayFloatWhereThatIsWorthIt: where less goes wrong for few multiply-adds.
func TestOutputsStayFloatWhereThatIsWorthIt(t *testing.T) {
	s := newSmall(t, network(1))
	units := s.plan.units()
	before, err := s.detections(units, s.plan.levels)
	if err != nil {
		t.Fatal(err)
	}
	rest, err := s.floatHeads(units)
	if err != nil || len(rest) != len(units)-1 || !slices.Equal(s.report.Islands, []string{"y"}) {
		t.Fatalf("%d of %d parts, float %v, %v", len(rest), len(units), s.report.Islands, err)
	}
	if after, err := s.detections(rest, s.plan.levels); err != nil || after > (1-worthFloat)*before {
		t.Errorf("error %g, before %g, %v", after, before, err)
	}
	if again, err := s.floatHeads(rest); err != nil || len(again) != len(rest) {
		t.Errorf("nothing is left to be float, but of %d parts stay %d: %v", len(rest), len(again), err)
	}
}

// TestOutputsThatAreMuchOfTheNetworkAreInt8, however much would be gained.
func TestOutputsThatAreMuchOfTheNetworkAreInt8(t *testing.T) {
	m := network(1)
	for _, name := range []string{"d_w", "d_b"} {
		v, err := m.Graph.Initializers[name].Floats()
		if err != nil {
			t.Fatal(err)
		}
		shape := slices.Clone(m.Graph.Initializers[name].Shape)
		shape[0] *= 2
		m.Graph.Initializers[name] = graph.NewFloat(shape, slices.Concat(v, v))
	}
	s := newSmall(t, m)
	units := s.plan.units()
	if rest, err := s.floatHeads(units); err != nil || len(rest) != len(units) || s.report.Islands != nil {
		t.Errorf("%d of %d parts, float %v, %v", len(rest), len(units), s.report.Islands, err)
	}
}
