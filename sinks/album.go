package sinks

import (
	"container/list"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/sightline/sightline/pipeline/bus"
)

// pictureEach is how many bytes a picture takes beside its JPEG.
const pictureEach = 512

// trackKey names a track. Sessions are unique among cameras.
type trackKey struct {
	session string
	id      uint64
}

// kept is the best picture of a track.
type kept struct {
	key        trackKey
	camera     string
	seq        uint64
	capturedAt time.Time
	jpeg       []byte
}

// album keeps the best picture of each track, the newest of all within bounds. Frames wait a moment until their tracks come; where
// these come in time, no pixel is touched before one says that this is its best frame. Frames and tracks come from one goroutine
// of the bus each.
type album struct {
	limit  int64
	log    *slog.Logger
	recent recent
	cutter cutter // belongs to the tracks' goroutine, as does cameras
	// cameras holds the tracks of which a picture was tried, by camera.
	cameras map[string]*albumCamera

	mu       sync.Mutex // guards what follows
	pictures map[trackKey]*list.Element
	ages     *list.List // of kept, the one that was written longest ago first
	bytes    int64      // of pictures
	dropped  uint64     // pictures given up for newer ones
	missed   uint64     // best frames whose pixels were gone or could not be read
}

// albumCamera is what was seen of the tracks of a camera's newest frame.
type albumCamera struct {
	session string
	seq     uint64
	taken   map[uint64]bool // by track: whether there is, or was, a picture
	next    map[uint64]bool // empty between frames
}

func newAlbum(cfg Config, mapper *bus.Mapper, log *slog.Logger) *album {
	return &album{limit: cfg.SnapshotBytes, log: log, recent: newRecent(cfg, mapper), cutter: cutter{mapper: mapper, height: cfg.SnapshotHeight, quality: cfg.SnapshotQuality},
		cameras: map[string]*albumCamera{}, pictures: map[trackKey]*list.Element{}, ages: list.New()}
}

// onTracks keeps pictures of the tracks that are seen best in this frame, and of those of which there is none yet because an
// earlier frame was gone.
func (a *album) onTracks(t *bus.Tracks) {
	c := a.camera(t)
	if c == nil {
		return
	}
	w := a.recent.claim(frameKey{t.Session, t.Seq})
	defer a.recent.free(w)
	for i := range t.Objects {
		o := &t.Objects[i]
		taken := c.taken[o.TrackID] || a.find(trackKey{t.Session, o.TrackID}) != nil
		if !o.Carried && (o.Best || !taken) {
			taken = a.take(w, t, o) || taken
		}
		c.next[o.TrackID] = taken
	}
	clear(c.taken)
	c.taken, c.next = c.next, c.taken
	a.cutter.done()
}

// camera gives that of newer tracks, nil for late ones.
func (a *album) camera(t *bus.Tracks) *albumCamera {
	c := a.cameras[t.Camera]
	if c == nil {
		if len(a.cameras) >= maxCameras {
			clear(a.cameras)
		}
		c = &albumCamera{taken: map[uint64]bool{}, next: map[uint64]bool{}}
		a.cameras[t.Camera] = c
	}
	if c.session == t.Session && t.Seq <= c.seq {
		return nil
	}
	if c.session != t.Session {
		clear(c.taken)
	}
	c.session, c.seq = t.Session, t.Seq
	return c
}

// take keeps a picture of a track, and tells whether it could be had.
func (a *album) take(w *waiting, t *bus.Tracks, o *bus.TrackObject) bool {
	jpeg, err := a.cutter.cut(w, o.Box)
	if err != nil {
		a.miss(t, o, err)
		return false
	}
	a.keep(&kept{trackKey{t.Session, o.TrackID}, t.Camera, t.Seq, t.CapturedAt, jpeg})
	return true
}

// miss counts a best frame that is gone, and has the camera's frames copied from now on if they are written over so soon.
func (a *album) miss(t *bus.Tracks, o *bus.TrackObject, err error) {
	if errors.Is(err, bus.ErrStale) || errors.Is(err, errOverwritten) {
		a.recent.hurry(t.Camera)
	}
	if !o.Best {
		return
	}
	a.mu.Lock()
	a.missed++
	a.mu.Unlock()
	if a.cutter.source.mayTell() {
		a.log.Debug("no picture of a track", "camera", t.Camera, "seq", t.Seq, "cause", err)
	}
}

// keep puts a picture in the place of the track's former one, and gives up the oldest ones that no longer fit.
func (a *album) keep(k *kept) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if old := a.pictures[k.key]; old != nil {
		a.remove(old)
	}
	a.pictures[k.key] = a.ages.PushBack(k)
	a.bytes += k.size()
	for a.bytes > a.limit && a.ages.Len() > 0 {
		a.remove(a.ages.Front())
		a.dropped++
	}
}

func (a *album) remove(e *list.Element) {
	k := a.ages.Remove(e).(*kept)
	delete(a.pictures, k.key)
	a.bytes -= k.size()
}

func (k *kept) size() int64 { return pictureEach + int64(len(k.jpeg)) }

// find gives the best picture of a track, nil where none is kept.
func (a *album) find(key trackKey) *kept {
	a.mu.Lock()
	defer a.mu.Unlock()
	if e := a.pictures[key]; e != nil {
		return e.Value.(*kept)
	}
	return nil
}

func (a *album) stats(s *Stats) {
	a.mu.Lock()
	defer a.mu.Unlock()
	s.Kept, s.KeptBytes, s.KeptDropped, s.KeptMissed = a.ages.Len(), a.bytes, a.dropped, a.missed
}

// close is for when neither frames nor tracks come any more.
func (a *album) close() {
	a.recent.source.close()
	a.cutter.close()
}
