package sinks

import (
	"testing"
	"time"

	"github.com/sightline/sightline/pipeline/bus"
)

func lookedAt(policy bus.Policy, labels ...string) *bus.Detections {
	d := &bus.Detections{Camera: "gate", Session: "a", Tiles: bus.Tiles{Policy: policy}}
	for _, l := range labels {
		d.Objects = append(d.Objects, bus.Object{Label: l})
	}
	return d
}

func followed(scores ...float32) *bus.Tracks {
	t := &bus.Tracks{Camera: "gate", Session: "a"}
	for i, s := range scores {
		t.Objects = append(t.Objects, bus.TrackObject{TrackID: uint64(i + 1), Object: bus.Object{Label: "person", Score: s}, Carried: i == 0})
	}
	return t
}

func TestTracksAreShownWhereNotEverythingIsLookedAt(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	var o origin
	if !o.detections(lookedAt(bus.PolicyGrid), now) || o.tracked(now) {
		t.Error("grid: detections are to be shown, at once, and tracks not")
	}
	if o.detections(lookedAt(bus.PolicyAdaptive), now) || !o.tracked(now) {
		t.Error("adaptive, tracks come: they are to be shown")
	}
	if !o.detections(lookedAt(bus.PolicyAdaptive), now.Add(tracksStay+1)) {
		t.Error("adaptive, tracks stay away: detections are to be shown")
	}
}

func TestTheBestOfATrackedFrameIsFirst(t *testing.T) {
	f := tracked(followed(0.3, 0.9, 0.5))
	if ids := [3]uint64{f.objects[0].TrackID, f.objects[1].TrackID, f.objects[2].TrackID}; ids != [3]uint64{2, 3, 1} || !f.objects[2].Carried {
		t.Errorf("tracks %v, the last of them carried: %v", ids, f.objects[2].Carried)
	}
}

// TestCountsDoNotBlink: under the adaptive policy what is carried counts.
func TestCountsDoNotBlink(t *testing.T) {
	c := newCameras([]string{"gate"})
	for seq := range uint64(3) {
		d, tr := lookedAt(bus.PolicyAdaptive), followed(0.9, 0.8)
		d.Seq, tr.Seq = seq+1, seq+1
		if seq == 0 {
			d.Objects = append(d.Objects, bus.Object{Label: "dog"}) // no track is known of it
		}
		c.onDetections(d)
		if n := c.list(nil)[0].Counts["person"]; seq > 0 && n != 2 {
			t.Fatalf("frame %d: %d persons before its tracks came, want the 2 of the frame before", seq+1, n)
		}
		c.onTracks(tr)
		if got := c.list(nil)[0]; got.Objects != 2 || got.Counts["person"] != 2 || got.Counts["dog"] != 0 {
			t.Fatalf("frame %d: %+v, want 2 persons", seq+1, got)
		}
	}
}
