package sinks

import (
	"cmp"
	"slices"
	"time"

	"github.com/sightline/sightline/pipeline/bus"
)

// tracksStay is how long tracks may be silent before detections are shown instead.
const tracksStay = time.Second

// finding is what is shown of one frame.
type finding struct {
	session string
	seq     uint64
	frame   bus.Size
	objects []bus.TrackObject // by falling score
}

func detected(d *bus.Detections) *finding {
	f := &finding{session: d.Session, seq: d.Seq, frame: d.Frame, objects: make([]bus.TrackObject, len(d.Objects))}
	for i := range d.Objects {
		f.objects[i].Object = d.Objects[i]
	}
	return f
}

func tracked(t *bus.Tracks) *finding {
	f := &finding{session: t.Session, seq: t.Seq, frame: t.Frame, objects: slices.Clone(t.Objects)}
	slices.SortStableFunc(f.objects, func(a, b bus.TrackObject) int { return cmp.Compare(b.Score, a.Score) })
	return f
}

// origin chooses for one camera whether detections or tracks are shown. Where every place of a frame is looked at, that is what
// the detector found, at once. Under the adaptive policy it is the tracks: what nobody looked at in this frame is there all the
// same. Where no tracks come, as when no process has their role, it is detections too.
type origin struct {
	adaptive bool      // as the newest detections say
	tracks   time.Time // when tracks last came
}

// detections takes note of newer ones and tells whether they are to be shown.
func (o *origin) detections(d *bus.Detections, now time.Time) bool {
	o.adaptive = d.Tiles.Policy == bus.PolicyAdaptive
	return !o.adaptive || now.Sub(o.tracks) > tracksStay
}

// tracked takes note of newer tracks and tells whether they are to be shown.
func (o *origin) tracked(now time.Time) bool {
	o.tracks = now
	return o.adaptive
}
