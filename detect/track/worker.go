package track

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"reflect"
	"sync"
	"time"

	"github.com/sightline/sightline/pipeline/bus"
)

const (
	maxCameras  = 4096                   // followed at one time; of more, the one that was silent for longest is forgotten
	sweepEvery  = time.Second            // between two looks for silent cameras
	quiet       = 100 * time.Millisecond // without a frame: what was on its way when Run was stopped has come
	endPatience = 2 * time.Second        // for that, and again for the last messages
)

// Worker follows the objects of all cameras: it takes detections from the bus and publishes tracks and events. The role runs
// once in an installation: a second worker would publish every track a second time, with ids of its own. It may be restarted
// at any moment: tracks then begin anew, and their ids are above all that were given before in the same session. The totals of
// lines go on: an orderly end loses none, a crash those of the last moment.
type Worker struct {
	conn   *bus.Conn
	cfg    Config
	log    *slog.Logger
	ledger *ledger

	mu      sync.Mutex // protects what follows
	scenes  map[string]Scene
	notices map[string]*notice // by camera with a scene
	cameras map[string]*camera
	stats   Stats
	said    time.Time // when a failure was logged
}

// Stats count what a worker did since it was made.
type Stats struct {
	Cameras int    // followed now
	Frames  uint64 // tracked and published
	Objects uint64 // published with an id
	Events  uint64 // published
	Late    uint64 // frames older than one that was tracked already, or of a session that is over
	Refused uint64 // objects that began no track because the camera had Config.MaxTracks
	Failed  uint64 // messages that could not be published
}

// camera is what the worker remembers of one camera.
type camera struct {
	session string
	retired string // the session before; what detectors still have of it comes late
	seq     uint64
	heard   time.Time // by the clock of this process
	tracker *Tracker
}

// NewWorker makes a worker; Run makes it work. The zero Config has all defaults.
func NewWorker(conn *bus.Conn, cfg Config, log *slog.Logger) *Worker {
	return &Worker{conn: conn, cfg: cfg.withDefaults(), log: log, ledger: newLedger(conn, log), notices: map[string]*notice{}, cameras: map[string]*camera{}}
}

// SetScenes says what places in the pictures of cameras mean, by the camera's name, from now on; a camera without a scene has
// none. It may be called at any time from any goroutine, also before Run. Cameras whose scene did not change do not notice, and
// no track ends. Nothing changes where a scene is not valid.
func (w *Worker) SetScenes(ctx context.Context, scenes map[string]Scene) error {
	for name, s := range scenes {
		if err := s.Validate(); err != nil {
			return fmt.Errorf("scene of camera %s: %w", name, err)
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	before := w.scenes
	w.scenes = maps.Clone(scenes)
	w.ledger.follow(scenes)
	for name := range changed(before, scenes) {
		w.notify(ctx, name, false)
		if c := w.cameras[name]; c != nil {
			w.tell(ctx, c.tracker.SetScene(scenes[name]))
		}
	}
	return nil
}

// changed gives the cameras whose scenes differ.
func changed(before, after map[string]Scene) map[string]bool {
	names := map[string]bool{}
	for _, scenes := range [...]map[string]Scene{before, after} {
		for name := range scenes {
			if !reflect.DeepEqual(before[name], after[name]) {
				names[name] = true
			}
		}
	}
	return names
}

// Run works until ctx ends; then it takes what is still on its way, and ends every track and tells of it. It fails at once
// where the configuration is not valid or the connection is closed.
func (w *Worker) Run(ctx context.Context) error {
	if err := w.cfg.Validate(); err != nil {
		return fmt.Errorf("track: %w", err)
	}
	publish := context.WithoutCancel(ctx)
	defer w.keepCounts(ctx)()
	w.sweep(publish, time.Now())
	sub, err := w.conn.SubscribeDetections("*", func(d *bus.Detections) { w.take(publish, d, time.Now()) })
	if err != nil {
		return fmt.Errorf("track: %w", err)
	}
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case now := <-tick.C:
			w.sweep(publish, now)
		case <-ctx.Done():
			w.drain()
			sub.Close()
			last, cancel := context.WithTimeout(publish, endPatience)
			defer cancel()
			w.endAll(last)
			return nil
		}
	}
}

// keepCounts starts the ledger, and waits for the stored totals, within bounds: they shall be known before the first crossing.
// What it returns stores the last ones.
func (w *Worker) keepCounts(ctx context.Context) (finish func()) {
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		w.ledger.run(life)
	}()
	wait, cancel := context.WithTimeout(ctx, loadTime)
	defer cancel()
	w.ledger.ready(wait)
	return func() {
		end()
		<-ended
	}
}

// drain returns when no frame came for a moment.
func (w *Worker) drain() {
	tick := time.NewTicker(quiet)
	defer tick.Stop()
	for range endPatience / quiet {
		before := w.Stats()
		<-tick.C
		if w.Stats() == before {
			return
		}
	}
}

// Stats may be called at any time from any goroutine.
func (w *Worker) Stats() Stats {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.stats
	s.Cameras = len(w.cameras)
	return s
}

// take tracks one frame and publishes what came of it. No publishing waits for the broker, so the lock may be held.
func (w *Worker) take(ctx context.Context, d *bus.Detections, now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := w.follow(ctx, d, now)
	if c == nil {
		w.stats.Late++
		return
	}
	c.seq, c.heard = d.Seq, now
	refused := c.tracker.Refused()
	tracks, events := c.tracker.Update(d)
	w.stats.Refused += c.tracker.Refused() - refused
	w.publish(ctx, d, tracks)
	w.tell(ctx, events)
}

// follow finds the camera of a frame; nil where the frame is late. A new session ends the tracks of the one before.
func (w *Worker) follow(ctx context.Context, d *bus.Detections, now time.Time) *camera {
	c := w.cameras[d.Camera]
	switch {
	case c == nil:
		w.makeRoom(ctx)
		c = &camera{}
		w.cameras[d.Camera] = c
	case c.session == d.Session:
		if d.Seq <= c.seq {
			return nil
		}
		return c
	// Were it not for the time, the retired session of two that are published at once could never come back.
	case c.retired == d.Session && now.Sub(c.heard) <= w.cfg.Lost:
		return nil
	default:
		w.tell(ctx, c.tracker.End())
	}
	c.retired, c.session = c.session, d.Session
	c.tracker = NewTracker(w.cfg, d.Camera, d.Session)
	c.tracker.SetScene(w.scenes[d.Camera])
	return c
}

// makeRoom forgets the camera that was silent for longest where there are too many.
func (w *Worker) makeRoom(ctx context.Context) {
	if len(w.cameras) < maxCameras {
		return
	}
	var oldest string
	for name, c := range w.cameras {
		if oldest == "" || c.heard.Before(w.cameras[oldest].heard) {
			oldest = name
		}
	}
	w.tell(ctx, w.cameras[oldest].tracker.End())
	delete(w.cameras, oldest)
}

// sweep tells of scenes where it is time to, ends the tracks of cameras that fell silent, and forgets those that stay so.
func (w *Worker) sweep(ctx context.Context, now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.announceDue(ctx, now)
	for name, c := range w.cameras {
		silent := now.Sub(c.heard)
		if silent > w.cfg.Lost+sweepEvery {
			w.tell(ctx, c.tracker.End())
		}
		if silent > w.cfg.Forget {
			delete(w.cameras, name)
		}
	}
}

// endAll ends all tracks and forgets all cameras.
func (w *Worker) endAll(ctx context.Context) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for name, c := range w.cameras {
		w.tell(ctx, c.tracker.End())
		delete(w.cameras, name)
	}
}

func (w *Worker) publish(ctx context.Context, d *bus.Detections, tracks []bus.TrackObject) {
	err := w.conn.PublishTracks(ctx, &bus.Tracks{
		Schema: bus.SchemaTracks, Camera: d.Camera, Session: d.Session, Seq: d.Seq, CapturedAt: d.CapturedAt, Clock: d.Clock,
		RTPTimestamp: d.RTPTimestamp, Frame: d.Frame, Model: d.Model, Detector: d.Detector, Objects: tracks,
	})
	if err != nil {
		w.failed(err)
		return
	}
	w.stats.Frames++
	w.stats.Objects += uint64(len(tracks))
}

func (w *Worker) tell(ctx context.Context, events []bus.Event) {
	for i := range events {
		e := &events[i]
		if e.Type == bus.EventLineCross {
			e.Counts = w.ledger.count(e.Camera, e.Line, e.Direction)
			w.notify(ctx, e.Camera, true)
		}
		if err := w.conn.PublishEvent(ctx, e); err != nil {
			w.failed(err)
			continue
		}
		w.stats.Events++
	}
}

// failed counts a message that nobody gets, and says so once a second at most.
func (w *Worker) failed(err error) {
	w.stats.Failed++
	if now := time.Now(); now.Sub(w.said) >= time.Second {
		w.said = now
		w.log.Warn("could not publish tracks", "cause", err, "failed", w.stats.Failed)
	}
}
