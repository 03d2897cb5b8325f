package detect

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sightline/sightline/models"
	"github.com/sightline/sightline/pipeline/bus"
)

// frame is a picture on its way through the lanes, with the scratch that it needs; frames are pooled.
type frame struct {
	look    Look
	shapes  shapes
	regions []bus.Region // the given ones, then those of second looks

	unprepared atomic.Int32
	unfinished sync.WaitGroup
	failed     atomic.Bool // lets lanes pass over what is lost

	mu             sync.Mutex // protects what follows while regions are unfinished
	err            error
	prepare, infer time.Duration
	merger         merger
}

func newFrame(iou float32, s shapes) *frame { return &frame{shapes: s, merger: merger{iou: iou}} }

// begin takes a picture in. It fails where picture or regions cannot be looked at.
func (f *frame) begin(l Look) error {
	f.look, f.regions = l, append(f.regions[:0], l.Regions...)
	f.err, f.prepare, f.infer = nil, 0, 0
	f.failed.Store(false)
	f.unprepared.Store(1) // until it is known whether there are second looks
	if err := l.check(); err != nil {
		f.prepared(1)
		return err
	}
	size := l.size()
	if len(f.regions) == 0 {
		f.regions = append(f.regions, bus.Region{W: size.Width, H: size.Height})
	}
	f.merger.begin(size.Width, size.Height)
	f.expect(0)
	return nil
}

// expect counts the regions from one on.
func (f *frame) expect(from int) {
	n := len(f.regions) - from
	f.unprepared.Add(int32(n))
	f.unfinished.Add(n)
	for _, r := range f.regions[from:] {
		f.merger.extend(r, f.shapes[f.shapes.fit(r)].scale(r))
	}
}

// second adds the regions of second looks and says where they begin, with what was found before.
func (f *frame) second() (first, found int) {
	first = len(f.regions)
	if again := f.merger.second(); len(again) > 0 {
		f.regions = append(f.regions, again...)
		found = len(f.merger.found)
		f.expect(first)
	}
	return first, found
}

// withdraw gives up the second looks where one of them failed: what was found before stands.
func (f *frame) withdraw(first, found int) {
	f.err = nil
	f.regions = f.regions[:first]
	f.merger.regions, f.merger.found, f.merger.merged = f.merger.regions[:first], f.merger.found[:found], true
}

// size is that of the frame.
func (l *Look) size() bus.Size {
	if l.Shrunk > 1 {
		return l.Frame
	}
	return bus.Size{Width: l.Picture.Width, Height: l.Picture.Height}
}

// check holds the picture and its regions against each other, so that lanes need not.
func (l *Look) check() error {
	p := l.Picture
	if n := l.Shrunk; n > 1 && (len(l.Regions) > 0 || p.Width != (l.Frame.Width+n-1)/n || p.Height != (l.Frame.Height+n-1)/n) {
		return fmt.Errorf("picture of %dx%d with %d regions: must show a frame of %dx%d at 1/%d, without regions", p.Width, p.Height, len(l.Regions), l.Frame.Width, l.Frame.Height, n)
	}
	cw, ch := (p.Width+1)/2, (p.Height+1)/2
	if p.Width < 1 || p.Height < 1 || p.StrideY < p.Width || p.StrideC < cw {
		return fmt.Errorf("picture of %dx%d with strides %d and %d: sides must be positive and strides at least as long", p.Width, p.Height, p.StrideY, p.StrideC)
	}
	if len(p.Y) < (p.Height-1)*p.StrideY+p.Width || min(len(p.U), len(p.V)) < (ch-1)*p.StrideC+cw {
		return fmt.Errorf("picture of %dx%d: planes of %d, %d and %d bytes are too short", p.Width, p.Height, len(p.Y), len(p.U), len(p.V))
	}
	for _, r := range l.Regions {
		if r.W < 1 || r.H < 1 || r.X < 0 || r.Y < 0 || r.X > p.Width-r.W || r.Y > p.Height-r.H {
			return fmt.Errorf("region %+v: must lie inside the picture of %dx%d", r, p.Width, p.Height)
		}
	}
	return nil
}

// prepared says that n regions need the picture no more; whoever says it last lets the picture go.
func (f *frame) prepared(n int) {
	if f.unprepared.Add(int32(-n)) == 0 && f.look.OnPrepared != nil {
		f.look.OnPrepared()
	}
}

// skip gives up n regions that no lane has.
func (f *frame) skip(n int) {
	f.prepared(n)
	f.unfinished.Add(-n)
}

func (f *frame) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err == nil {
		f.err = err
	}
	f.failed.Store(true)
}

// add takes what a lane found in a region, in pixels of the frame.
func (f *frame) add(found []candidate, prepare, infer time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.merger.found = append(f.merger.found, found...)
	f.prepare += prepare
	f.infer += infer
}

// end merges what was found when every region is finished, and lets go of what the caller owns.
func (f *frame) end(spec *models.Spec, filters []Filter) (Result, error) {
	f.look = Look{}
	if f.err != nil {
		return Result{}, f.err
	}
	started := time.Now()
	objects := f.merger.objects(spec.Labels, filters)
	return Result{Objects: objects, Prepare: f.prepare, Infer: f.infer, Merge: time.Since(started), Run: len(f.regions), Pixels: f.shapes.pixels(f.regions)}, nil
}

// stillValid asks the owner of the picture, one lane at a time.
func (f *frame) stillValid() bool {
	if f.look.Valid == nil {
		return true
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.look.Valid()
}
