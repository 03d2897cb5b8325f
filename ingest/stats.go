package ingest

import (
	"context"
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/sightline/sightline/pipeline/bus"
)

// State is what a camera is doing.
type State string

// The states of a camera.
const (
	StateConnecting State = "connecting" // no picture yet
	StateOnline     State = "online"
	StateOffline    State = "offline" // waiting to connect again
	StateEnded      State = "ended"   // its file was played to the end
	StateFailed     State = "failed"  // for good
	StateStopped    State = "stopped" // by us
)

// dropReason says why a picture was not published.
type dropReason uint8

const (
	droppedCorrupt  dropReason = iota // damaged, or following damage
	droppedLost                       // missing on the way here; counted once for each gap
	droppedOverflow                   // the decoder was too slow
	droppedMaxFPS                     // more than were asked for
	droppedRingFull                   // readers held all shared memory
	droppedPublish                    // the bus refused it
	dropReasons
)

var dropNames = [dropReasons]string{"corrupt", "lost", "overflow", "max_fps", "ring_full", "publish"}

// Stats is a snapshot of a camera's life. Counters run from the start of Run over all sessions.
type Stats struct {
	State         State
	Cause         string // why it is not online, or what is wrong all the same; without secrets
	Session       string
	Codec         string
	Width, Height int
	FPS           float64           // published, over the last seconds
	Frames        uint64            // published
	Dropped       map[string]uint64 // by reason: corrupt, lost, overflow, max_fps, ring_full, publish
	Reconnects    uint64
	Decode        time.Duration // of the last frame
	DecodeTotal   time.Duration // of all published frames
	DecodeCPU     time.Duration // processor time of decoding all frames, without that of the decoder's own threads
	LastFrame     time.Time     // when the last was published
}

// statusInterval is how often a camera's status is published.
const statusInterval = 5 * time.Second

// reporter keeps a camera's statistics and tells the bus about its states.
type reporter struct {
	camera string
	conn   *bus.Conn
	log    *slog.Logger

	mu       sync.Mutex // protects what follows
	stats    Stats
	dropping [dropReasons]uint64
	rate     rate
	worry    string        // what is wrong while it is online
	told     bus.EventType // the last event that was published
	quietTo  time.Time     // no complaint before this
}

func newReporter(camera string, conn *bus.Conn, log *slog.Logger) *reporter {
	return &reporter{camera: camera, conn: conn, log: log, stats: Stats{State: StateConnecting}}
}

// Stats returns a snapshot.
func (c *Camera) Stats() Stats { return c.report.snapshot(time.Now()) }

func (r *reporter) snapshot(now time.Time) Stats {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.stats
	if s.State == StateOnline {
		s.Cause = r.worry
	}
	s.FPS = r.rate.at(now)
	s.Dropped = make(map[string]uint64, dropReasons)
	for reason, n := range r.dropping {
		s.Dropped[dropNames[reason]] = n
	}
	return s
}

// start publishes the status every few seconds until the function that it returns was called.
func (r *reporter) start(ctx context.Context) func() {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	go func() {
		defer close(done)
		ticker := time.NewTicker(statusInterval)
		defer ticker.Stop()
		for {
			r.publishStatus(ctx)
			select {
			case <-ticker.C:
			case <-ctx.Done():
				return
			}
		}
	}()
	return func() {
		cancel()
		<-done
		r.publishStatus(context.WithoutCancel(ctx))
	}
}

func (r *reporter) publishStatus(ctx context.Context) {
	now := time.Now()
	s := r.snapshot(now)
	counters := map[string]float64{
		"frames": float64(s.Frames), "fps": s.FPS, "reconnects": float64(s.Reconnects), "width": float64(s.Width),
		"height": float64(s.Height), "decode_ms": float64(s.Decode) / float64(time.Millisecond),
	}
	for reason, n := range maps.All(s.Dropped) {
		counters["dropped_"+reason] = float64(n)
	}
	err := r.conn.PublishStatus(ctx, &bus.Status{
		Schema: bus.SchemaStatus, Role: "ingest", ID: r.camera, State: string(s.State), Cause: s.Cause, At: now, Counters: counters,
	})
	if err != nil {
		r.complain(err)
	}
}

// complain logs an error, one line a second at most.
func (r *reporter) complain(err error) {
	now := time.Now()
	r.mu.Lock()
	quiet := now.Before(r.quietTo)
	if !quiet {
		r.quietTo = now.Add(time.Second)
	}
	r.mu.Unlock()
	if !quiet {
		r.log.Warn("camera cannot publish", "cause", Redact(err.Error()))
	}
}

func (r *reporter) connecting(session string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stats.Session = session
	if r.stats.State != StateOffline { // the cause of the last failure stays until there are pictures
		r.stats.State = StateConnecting
	}
}

func (r *reporter) concern(text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.worry = text
}

func (r *reporter) reconnecting() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stats.Reconnects++
}

func (r *reporter) codec(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stats.Codec = name
}

func (r *reporter) dropped(n uint64, why dropReason) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.dropping[why] += n
}

// decoded adds the processor time that decoding took.
func (r *reporter) decoded(took time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stats.DecodeCPU += took
}

// published counts a frame; the first of a session makes the camera online.
func (r *reporter) published(f *bus.Frame) {
	r.mu.Lock()
	first := r.stats.State != StateOnline
	r.stats.State, r.stats.Cause = StateOnline, ""
	changed := !first && (r.stats.Width != f.Width || r.stats.Height != f.Height)
	r.stats.Width, r.stats.Height = f.Width, f.Height
	r.stats.Frames++
	r.stats.Decode = f.Decode
	r.stats.DecodeTotal += f.Decode
	r.stats.LastFrame = f.PublishedAt
	r.rate.count(f.PublishedAt)
	r.mu.Unlock()
	switch {
	case first:
		r.log.Info("camera is online", "session", f.Session, "width", f.Width, "height", f.Height, "transport", f.Encoding)
		r.event(bus.EventCameraOnline, "")
	case changed:
		r.log.Info("camera's picture size changed", "width", f.Width, "height", f.Height)
	}
}

// offline records why there are no pictures, and publishes an event where the camera was online or nothing was said yet.
func (r *reporter) offline(state State, cause string) {
	r.mu.Lock()
	r.stats.State, r.stats.Cause = state, cause
	r.rate = rate{}
	r.mu.Unlock()
	r.event(bus.EventCameraOffline, cause)
}

func (r *reporter) event(what bus.EventType, cause string) {
	r.mu.Lock()
	repeated, session := r.told == what, r.stats.Session
	r.told = what
	r.mu.Unlock()
	if repeated {
		return
	}
	// Whoever stops the camera wants to hear about it too: the context that ends it does not end this.
	err := r.conn.PublishEvent(context.Background(), &bus.Event{
		Schema: bus.SchemaEvent, Type: what, Camera: r.camera, Session: session, CapturedAt: time.Now(), Label: bus.CameraLabel,
		Cause: cause,
	})
	if err != nil {
		r.complain(err)
	}
}

// rate counts frames over windows of two seconds.
type rate struct {
	since time.Time
	n     int
	last  float64
}

const rateWindow = 2 * time.Second

func (r *rate) count(now time.Time) {
	if r.since.IsZero() {
		r.since = now
		return // the first frame begins the window
	}
	r.n++
	if d := now.Sub(r.since); d >= rateWindow {
		r.last = float64(r.n) / d.Seconds()
		r.since, r.n = now, 0
	}
}

// at returns frames a second: of the last full window, or of the running one where there is none or it has grown too old.
func (r *rate) at(now time.Time) float64 {
	d := now.Sub(r.since)
	if r.last > 0 && d < 2*rateWindow || d <= 0 || r.since.IsZero() {
		return r.last
	}
	return float64(r.n) / d.Seconds()
}
