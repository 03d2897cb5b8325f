package sinks

import (
	"sync"
	"time"

	"github.com/sightline/sightline/pipeline/bus"
	"github.com/sightline/sightline/pipeline/picture"
)

// Bounds of the frames that wait for their tracks.
const (
	recentAge   = 2 * time.Second // tracks of an older frame come too late
	recentBytes = 64 << 20        // of JPEGs and copies, of all cameras
	recentEach  = 1 << 10         // what a frame takes beside these
	recentSpare = 8               // copies' pictures that are used again
	hurryFor    = time.Minute     // the frames of a camera are copied after one was gone before its tracks came
)

// frameKey names a frame. Sessions are unique among cameras.
type frameKey struct {
	session string
	seq     uint64
}

// waiting is a frame that waits for its tracks.
type waiting struct {
	frame  *bus.Frame
	copied *picture.I420 // its pixels, scaled to output size; nil where they are still to be read
	at     time.Time
}

func (w *waiting) bytes() int64 {
	n := recentEach + int64(len(w.frame.Body))
	if w.copied != nil {
		n += int64(len(w.copied.Y) + len(w.copied.U) + len(w.copied.V))
	}
	return n
}

// recent holds the newest frames of all cameras. A reference to shared memory is held as it is; where the slots of a camera are
// written over before its tracks come, as when detectors have more to do than they can, its pixels are copied at once.
type recent struct {
	mapper     *bus.Mapper
	maxW, maxH int
	now        func() time.Time
	source     source // belongs to the frames' goroutine

	mu      sync.Mutex // guards what follows
	frames  map[frameKey]*waiting
	order   []frameKey // oldest first; also of those that were claimed
	held    int64      // bytes of frames
	hurried map[string]time.Time
	spare   []*picture.I420
}

func newRecent(cfg Config, mapper *bus.Mapper) recent {
	return recent{mapper: mapper, maxW: cfg.MaxWidth, maxH: cfg.MaxHeight, now: time.Now, frames: map[frameKey]*waiting{}, hurried: map[string]time.Time{}}
}

// add holds a frame until its tracks come, and gives up those that are too old or too many.
func (r *recent) add(f *bus.Frame) {
	w := &waiting{frame: f, at: r.now()}
	if f.Encoding == bus.EncodingSHM && r.copies(f.Camera, w.at) {
		s := shot{pic: r.picture()}
		if r.source.read(f, r.mapper, &s, r.maxW, r.maxH) == nil {
			w.copied = s.pic
		}
	}
	key := frameKey{f.Session, f.Seq}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.frames[key] != nil {
		return
	}
	r.frames[key] = w
	r.order = append(r.order, key)
	r.held += w.bytes()
	r.giveUp(w.at)
}

// giveUp forgets the oldest; r.mu is held.
func (r *recent) giveUp(now time.Time) {
	n := 0
	for ; n < len(r.order); n++ {
		w := r.frames[r.order[n]]
		if w != nil && r.held <= recentBytes && now.Sub(w.at) <= recentAge {
			break
		}
		if w != nil {
			r.drop(r.order[n], w)
			r.recycle(w)
		}
	}
	r.order = r.order[:copy(r.order, r.order[n:])]
}

// drop takes a frame out; r.mu is held.
func (r *recent) drop(key frameKey, w *waiting) {
	delete(r.frames, key)
	r.held -= w.bytes()
}

// recycle keeps the picture of a copy; r.mu is held.
func (r *recent) recycle(w *waiting) {
	if w.copied != nil && len(r.spare) < recentSpare {
		r.spare = append(r.spare, w.copied)
	}
}

// picture gives one to copy into, or nil.
func (r *recent) picture() *picture.I420 {
	r.mu.Lock()
	defer r.mu.Unlock()
	last := len(r.spare) - 1
	if last < 0 {
		return nil
	}
	p := r.spare[last]
	r.spare = r.spare[:last]
	return p
}

// claim takes a frame out, nil where it is not here; free gives it back when its pixels are no longer looked at.
func (r *recent) claim(key frameKey) *waiting {
	r.mu.Lock()
	defer r.mu.Unlock()
	w := r.frames[key]
	if w != nil {
		r.drop(key, w)
	}
	return w
}

func (r *recent) free(w *waiting) {
	if w == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.recycle(w)
}

// hurry has the frames of a camera copied for a while.
func (r *recent) hurry(camera string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.hurried) >= maxCameras {
		clear(r.hurried)
	}
	r.hurried[camera] = r.now().Add(hurryFor)
}

func (r *recent) copies(camera string, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return now.Before(r.hurried[camera])
}
