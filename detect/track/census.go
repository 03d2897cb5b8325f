package track

import (
	"maps"
	"slices"

	"github.com/sightline/sightline/pipeline/bus"
)

// CameraStats are what is true of one camera now.
type CameraStats struct {
	Camera     string
	Active     map[string]int        // tracks that have begun and not ended, by label, without those that are stationary
	Stationary map[string]int        // these, by label
	Zones      map[string]int        // by zone: tracks that have entered and not left
	Lines      map[string]bus.Totals // of the configured lines; nil while those of former processes are not known
}

// CameraStats gives those of the cameras that are followed or have a scene, by name. It may be called at any time from any goroutine.
func (w *Worker) CameraStats() []CameraStats {
	w.mu.Lock()
	defer w.mu.Unlock()
	names := map[string]bool{}
	for name := range w.cameras {
		names[name] = true
	}
	for name := range w.scenes {
		names[name] = true
	}
	all := make([]CameraStats, 0, len(names))
	for _, name := range slices.Sorted(maps.Keys(names)) {
		all = append(all, w.cameraStats(name))
	}
	return all
}

func (w *Worker) cameraStats(name string) CameraStats {
	s := CameraStats{Camera: name, Active: map[string]int{}, Stationary: map[string]int{}, Zones: map[string]int{}}
	scene, totals := w.scenes[name], w.ledger.totals(name)
	for i := range scene.Zones {
		s.Zones[scene.Zones[i].Name] = 0
	}
	if c := w.cameras[name]; c != nil {
		c.tracker.count(&s)
	}
	if totals != nil {
		s.Lines = map[string]bus.Totals{}
	}
	for i := range scene.Lines {
		if line := scene.Lines[i].Name; totals != nil {
			s.Lines[line] = totals[line]
		}
	}
	return s
}

// count adds the tracks that were told of.
func (t *Tracker) count(s *CameraStats) {
	for i := range t.targets {
		g := &t.targets[i]
		if g.id == 0 {
			continue
		}
		if g.rest.stationary {
			s.Stationary[g.object.Label]++
		} else {
			s.Active[g.object.Label]++
		}
		for _, zone := range g.visit.zones {
			s.Zones[zone]++
		}
	}
}
