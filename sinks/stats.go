package sinks

import "sync/atomic"

// Stats are counted since the server was made.
type Stats struct {
	Viewers    int    // WHEP sessions now
	Annotators int    // cameras being annotated now
	Pictures   uint64 // encoded
	KeyFrames  uint64 // of these
	Plain      uint64 // of these, shown without boxes because no detections came
	Skipped    uint64 // scaled pictures that were not shown because their detections did not come in time
	Unreadable uint64 // frames whose pixels could not be read: slot reused, broken JPEG
	Dropped    uint64 // access units that a slow viewer did not get
	Snapshots  uint64

	Kept        int    // best pictures of tracks, now
	KeptBytes   int64  // of memory that they take
	KeptDropped uint64 // those given up for newer ones
	KeptMissed  uint64 // best frames whose pixels were gone before their tracks came, or could not be read
}

type counters struct {
	pictures, keyFrames, plain, skipped, unreadable, dropped, snapshots atomic.Uint64
}

func (c *counters) stats() Stats {
	return Stats{Pictures: c.pictures.Load(), KeyFrames: c.keyFrames.Load(), Plain: c.plain.Load(), Skipped: c.skipped.Load(),
		Unreadable: c.unreadable.Load(), Dropped: c.dropped.Load(), Snapshots: c.snapshots.Load()}
}
