package detect

import (
	"slices"
	"strings"
	"testing"

	"github.com/sightline/sightline/pipeline/bus"
)

// TestWorkersOfAProcessAreToldApart, whatever their detectors are called.
func TestWorkersOfAProcessAreToldApart(t *testing.T) {
	long := strings.Repeat("x", 63)
	seen := map[string]bool{}
	for _, d := range []Duty{{"default", true}, {"big", false}, {long + "a", false}, {long + "b", false}} {
		id := d.id()
		if bus.ValidateName("worker", id) != nil || seen[id] {
			t.Errorf("%+v: %q", d, id)
		}
		seen[id] = true
	}
	if got := (Duty{"big", true}).frames(); !slices.Equal(got, []string{"big", ""}) {
		t.Errorf("the default detector takes the frames of %q", got)
	}
	if a, b := (Duty{}).frames(), (Duty{Detector: "big"}).frames(); len(a) != 1 || a[0] != "" || len(b) != 1 || b[0] != "big" {
		t.Errorf("%q, %q", a, b)
	}
}

// TestStatusTellsWhoLooks and with what.
func TestStatusTellsWhoLooks(t *testing.T) {
	w, _ := startLanes(t, 2)
	if d := w.status().Detector; d == nil || d.Name != "default" || !d.Default || !strings.HasPrefix(d.Model, "tiny@") || d.Device != (Config{Devices: testDevices}).device() || d.Workers != 2 {
		t.Errorf("%+v", d)
	}
}
