package sinks

// viewerQueue bounds the access units that wait for one viewer: about a second of video.
const viewerQueue = 32

// watcher is one watcher's queue. It begins with a key frame; when it overflows, it goes on from the next key frame.
type watcher struct {
	units   chan *accessUnit
	started bool // false: skip up to a key frame. Guarded by the annotator's mutex
}

func newWatcher() *watcher { return &watcher{units: make(chan *accessUnit, viewerQueue)} }

// offer never blocks. It returns false when the unit was lost to a full queue.
func (v *watcher) offer(u *accessUnit) bool {
	if !v.started && !u.key {
		return true
	}
	select {
	case v.units <- u:
		v.started = true
		return true
	default:
		v.started = false
		return false
	}
}
