package ingest

import (
	"fmt"

	"github.com/sightline/sightline/pipeline/bus"
)

// follow lets a session's plan follow what is found in its frames, until the function it returns is called.
func follow(conn *bus.Conn, camera, session string, p *planner) (stop func(), err error) {
	detections, err := conn.SubscribeDetections(camera, func(d *bus.Detections) {
		if d.Session == session {
			p.detected(d)
		}
	})
	if err != nil {
		return nil, fmt.Errorf("plan the looks by detections: %w", err)
	}
	tracks, err := conn.SubscribeTracks(camera, func(t *bus.Tracks) {
		if t.Session == session {
			p.tracked(t)
		}
	})
	if err != nil {
		detections.Close()
		return nil, fmt.Errorf("plan the looks by tracks: %w", err)
	}
	return func() {
		detections.Close()
		tracks.Close()
	}, nil
}
