package prune

import (
	"math"
	"testing"

	"github.com/sightline/sightline/tools/onnxgraph"
)

func TestContributionsAreTold(t *testing.T) {
	set := pictures(t, 6)
	m, r := prune(t, UnstructuredOptions{Amount: 0.3, Importance: Data, Calibration: set, NoRepair: true})
	if want := int64(math.Round(0.3 * float64(r.Weights))); r.Zeros < want-1 || r.Zeros > want+1 || r.Repaired {
		t.Errorf("%+v, want %d zeros", r, want)
	}
	plain, _ := prune(t, UnstructuredOptions{Amount: 0.3})
	if by, l1 := distance(t, network(), m, set), distance(t, network(), plain, set); by > l1 {
		t.Errorf("outputs are off by %.5f, and by magnitude alone by %.5f", by, l1)
	}
	if _, _, zeros := onnxgraph.Weights(m); zeros != r.Zeros {
		t.Errorf("%d zeros, the report says %d", zeros, r.Zeros)
	}
}
