package track

import (
	"context"
	"time"

	"github.com/sightline/sightline/pipeline/bus"
)

const (
	sceneEvery = 5 * time.Second // the scene of a camera is told of, for those who came later
	sceneGap   = time.Second     // shortest time between two tellings
)

// notice is what was told of the scene of one camera.
type notice struct {
	told time.Time // zero: never
	due  bool      // something has changed since
}

// notify has the scene of a camera told of soon; at once where crossed says that somebody waits for its counts. w.mu is held.
func (w *Worker) notify(ctx context.Context, camera string, crossed bool) {
	n := w.notices[camera]
	if n == nil {
		n = &notice{}
		w.notices[camera] = n
	}
	n.due = true
	if now := time.Now(); crossed && now.Sub(n.told) >= sceneGap {
		w.announce(ctx, camera, n, now)
	}
}

// announceDue tells of the scenes that changed or were not told of for a while. w.mu is held.
func (w *Worker) announceDue(ctx context.Context, now time.Time) {
	for camera, n := range w.notices {
		if since := now.Sub(n.told); since >= sceneEvery || n.due && since >= sceneGap {
			w.announce(ctx, camera, n, now)
		}
	}
}

// announce tells of the scene of a camera; one without places is told of once, so that nobody draws the former ones.
func (w *Worker) announce(ctx context.Context, camera string, n *notice, now time.Time) {
	n.told, n.due = now, false
	s := w.scenes[camera]
	m := s.message(camera, w.ledger.totals(camera))
	m.At = now
	if m.Empty() {
		delete(w.notices, camera)
	}
	if err := w.conn.PublishScene(ctx, m); err != nil {
		w.failed(err)
	}
}

// message is what others are told of a scene; totals of its lines are nil while they are not known.
func (s *Scene) message(camera string, totals map[string]bus.Totals) *bus.Scene {
	m := &bus.Scene{Camera: camera}
	for i := range s.Zones {
		z := &s.Zones[i]
		m.Zones = append(m.Zones, bus.SceneZone{Name: z.Name, Coordinates: z.Area.points(), Labels: z.Labels})
	}
	for i := range s.Lines {
		l := &s.Lines[i]
		line := bus.SceneLine{Name: l.Name, Coordinates: [2]bus.Point{l.From.point(), l.To.point()}, Labels: l.Labels}
		if totals != nil {
			counts := totals[l.Name]
			line.Counts = &counts
		}
		m.Lines = append(m.Lines, line)
	}
	for _, mask := range s.Masks {
		m.Masks = append(m.Masks, bus.SceneMask{Coordinates: mask.points()})
	}
	return m
}

func (p Point) point() bus.Point { return bus.Point{p.X, p.Y} }

func (p Polygon) points() []bus.Point {
	points := make([]bus.Point, len(p))
	for i, corner := range p {
		points[i] = corner.point()
	}
	return points
}
