package detect

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sightline/sightline/models"
	"github.com/sightline/sightline/pipeline/bus"
	"github.com/sightline/sightline/pipeline/picture"
)

// job is one region of one frame.
type job struct {
	frame  *frame
	region int
}

// frame is a picture on its way through the lanes, with the scratch that it needs; frames are pooled.
type frame struct {
	pic        *picture.I420
	regions    []bus.Region
	whole      [1]bus.Region // what regions points to when none were given
	valid      func() bool
	onPrepared func()

	unprepared atomic.Int32
	unfinished sync.WaitGroup
	failed     atomic.Bool // lets lanes pass over what is lost

	mu             sync.Mutex // protects what follows while regions are unfinished
	err            error
	prepare, infer time.Duration
	merger         merger
}

func newFrame(iou float32) *frame { return &frame{merger: merger{iou: iou}} }

func (f *frame) begin(pic *picture.I420, regions []bus.Region, valid func() bool, onPrepared func()) {
	if len(regions) == 0 {
		f.whole[0] = bus.Region{W: pic.Width, H: pic.Height}
		regions = f.whole[:]
	}
	f.pic, f.regions, f.valid, f.onPrepared = pic, regions, valid, onPrepared
	f.err, f.prepare, f.infer = nil, 0, 0
	f.failed.Store(false)
	f.unprepared.Store(int32(len(regions)))
	f.unfinished.Add(len(regions))
	f.merger.begin(pic.Width, pic.Height, regions)
}

// check holds the picture and its regions against each other, so that lanes need not.
func (f *frame) check() error {
	p := f.pic
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
	if f.unprepared.Add(int32(-n)) == 0 && f.onPrepared != nil {
		f.onPrepared()
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
	f.pic, f.regions, f.valid, f.onPrepared = nil, nil, nil, nil
	if f.err != nil {
		return Result{}, f.err
	}
	started := time.Now()
	objects := f.merger.objects(spec.Labels, filters)
	return Result{Objects: objects, Prepare: f.prepare, Infer: f.infer, Merge: time.Since(started)}, nil
}

// stillValid asks the owner of the picture, one lane at a time.
func (f *frame) stillValid() bool {
	if f.valid == nil {
		return true
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.valid()
}
