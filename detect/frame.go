package detect

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sightline/sightline/models"
	"github.com/sightline/sightline/pipeline/bus"
)

// job is one region of one frame.
type job struct {
	frame  *frame
	region int
}

// frame is a picture on its way through the lanes, with the scratch that it needs; frames are pooled.
type frame struct {
	look    Look
	regions []bus.Region // the given ones, then those of second looks

	unprepared atomic.Int32
	unfinished sync.WaitGroup
	failed     atomic.Bool // lets lanes pass over what is lost

	mu             sync.Mutex // protects what follows while regions are unfinished
	err            error
	prepare, infer time.Duration
	merger         merger
}

func newFrame(iou float32) *frame { return &frame{merger: merger{iou: iou}} }

func (f *frame) begin(l Look) {
	f.look = l
	f.regions = append(f.regions[:0], l.Regions...)
	if len(f.regions) == 0 {
		f.regions = append(f.regions, bus.Region{W: l.Picture.Width, H: l.Picture.Height})
	}
	f.err, f.prepare, f.infer = nil, 0, 0
	f.failed.Store(false)
	f.unprepared.Store(int32(len(f.regions)) + 1) // one until it is known whether there are second looks
	f.unfinished.Add(len(f.regions))
	f.merger.begin(l.Picture.Width, l.Picture.Height, f.regions)
}

// second adds the regions of second looks and says where they begin, with what was found before.
func (f *frame) second() (first, found int) {
	first = len(f.regions)
	if again := f.merger.second(); len(again) > 0 {
		f.regions = append(f.regions, again...)
		f.unprepared.Add(int32(len(again)))
		f.unfinished.Add(len(again))
		found = len(f.merger.found)
		f.merger.extend(again)
	}
	return first, found
}

// withdraw gives up the second looks where one of them failed: what was found before stands.
func (f *frame) withdraw(first, found int) {
	f.err = nil
	f.regions = f.regions[:first]
	f.merger.regions, f.merger.found, f.merger.merged = f.merger.regions[:first], f.merger.found[:found], true
}

// check holds the picture and its regions against each other, so that lanes need not.
func (f *frame) check() error {
	p := f.look.Picture
	cw, ch := (p.Width+1)/2, (p.Height+1)/2
	if p.Width < 1 || p.Height < 1 || p.StrideY < p.Width || p.StrideC < cw {
		return fmt.Errorf("picture of %dx%d with strides %d and %d: sides must be positive and strides at least as long", p.Width, p.Height, p.StrideY, p.StrideC)
	}
	if len(p.Y) < (p.Height-1)*p.StrideY+p.Width || min(len(p.U), len(p.V)) < (ch-1)*p.StrideC+cw {
		return fmt.Errorf("picture of %dx%d: planes of %d, %d and %d bytes are too short", p.Width, p.Height, len(p.Y), len(p.U), len(p.V))
	}
	for _, r := range f.regions {
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
	return Result{Objects: objects, Prepare: f.prepare, Infer: f.infer, Merge: time.Since(started), Run: len(f.regions)}, nil
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
