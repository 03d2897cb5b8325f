package ingest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"

	"github.com/sightline/sightline/pipeline/bus"
)

// Transport says how the pixels of a camera travel.
type Transport string

// The transports.
const (
	TransportAuto Transport = "auto" // shm when the broker is on this host, else jpeg
	TransportSHM  Transport = "shm"  // references into shared memory of this host
	TransportJPEG Transport = "jpeg" // the picture in the message
)

// Pace says how fast a file is played.
type Pace string

// The paces.
const (
	PaceRealtime Pace = "realtime" // as its timestamps say
	// PaceFast loses nothing and takes no longer than it must: a frame is published when the detections of the one before
	// have arrived, or five seconds have passed; the next is decoded meanwhile. For measurements and tests.
	PaceFast Pace = "fast"
)

// TilesConfig says which regions of each frame are looked at.
type TilesConfig struct {
	Policy  bus.Policy // "" = adaptive
	Size    int        // pixels a side; 0 = 640 with an overlap of 0.2
	Overlap float64    // share of the tile's side, 0 to below 1
	// Budget is how many tiles of a frame are looked at beside the whole under the adaptive policy; 0 = 5. More are where Sweep
	// could not be kept otherwise.
	Budget int
	// Sweep is the time within which every tile is looked at under the adaptive policy; 0 = 5 s.
	Sweep time.Duration
	// Regions are parts of the frame that are looked at in each one, whatever the policy: x1, y1, x2, y2, from 0 to 1. One that is larger
	// than a tile is looked at in tiles.
	Regions []bus.Box
}

// CameraConfig describes one camera. Only Name and Source have no default.
type CameraConfig struct {
	Name        string
	Source      string    // path of a file, rtsp:// or rtsps:// address (user and password inside), or "whip"
	Detector    string    // who shall look at its frames; "": the default one
	Transport   Transport // "" = auto
	JPEGQuality int       // 1-100; 0 = 90
	Loop        bool      // files: start over at the end, in the same session
	Pace        Pace      // files; "" = realtime
	MaxFPS      float64   // of what is published; the rest is shed evenly; 0 = all
	Tiles       TilesConfig
	Threads     int           // of the decoder; 0 = 1, more hold back a picture for each
	DialTimeout time.Duration // network sources: until the first answer; 0 = 5 s
	ReadTimeout time.Duration // network sources: without a packet the camera is stalled; 0 = 5 s
}

// withDefaults fills in what was left out.
func (c CameraConfig) withDefaults() CameraConfig {
	if c.Transport == "" {
		c.Transport = TransportAuto
	}
	if c.JPEGQuality == 0 {
		c.JPEGQuality = 90
	}
	if c.Pace == "" {
		c.Pace = PaceRealtime
	}
	if c.Tiles.Policy == "" {
		c.Tiles.Policy = bus.PolicyAdaptive
	}
	if c.Tiles.Size == 0 {
		c.Tiles.Size, c.Tiles.Overlap = 640, 0.2
	}
	if c.Tiles.Budget == 0 {
		c.Tiles.Budget = 5
	}
	if c.Tiles.Sweep == 0 {
		c.Tiles.Sweep = 5 * time.Second
	}
	if c.DialTimeout == 0 {
		c.DialTimeout = 5 * time.Second
	}
	if c.ReadTimeout == 0 {
		c.ReadTimeout = 5 * time.Second
	}
	c.Threads = max(c.Threads, 1)
	return c
}

// phase is one of its own for each session, so that cameras that begin together are not thinned out to the same moments: their frames
// would come at once, and wait for each other. What is played fast has no moments, and is to be the same each time.
func (c CameraConfig) phase() float64 {
	if c.Pace == PaceFast {
		return 1
	}
	return 1 - rand.Float64()
}

// check returns all that is wrong with a configuration with its defaults filled in.
func (c CameraConfig) check() error {
	var faults []error
	rule := func(ok bool, format string, args ...any) {
		if !ok {
			faults = append(faults, fmt.Errorf(format, args...))
		}
	}
	if err := bus.ValidateCamera(c.Name); err != nil {
		faults = append(faults, err)
	}
	if c.Detector != "" {
		if err := bus.ValidateName("detector", c.Detector); err != nil {
			faults = append(faults, err)
		}
	}
	rule(c.Transport == TransportAuto || c.Transport == TransportSHM || c.Transport == TransportJPEG,
		"transport %.40q: must be auto, shm or jpeg", c.Transport)
	rule(c.Pace == PaceRealtime || c.Pace == PaceFast, "pace %.40q: must be realtime or fast", c.Pace)
	rule(slices.Contains([]bus.Policy{bus.PolicyOff, bus.PolicyGrid, bus.PolicyAdaptive}, c.Tiles.Policy),
		"tiles.policy %.40q: must be off, grid or adaptive", c.Tiles.Policy)
	rule(c.Tiles.Budget >= 1 && c.Tiles.Budget < bus.MaxRegions, "tiles.budget %d: must be between 1 and %d", c.Tiles.Budget, bus.MaxRegions-1)
	rule(c.Tiles.Sweep >= time.Second && c.Tiles.Sweep <= time.Hour, "tiles.sweep %v: must be between 1s and 1h", c.Tiles.Sweep)
	rule(c.Tiles.Size >= 32, "tiles.size %d: must be at least 32", c.Tiles.Size)
	rule(c.Tiles.Overlap >= 0 && c.Tiles.Overlap <= 0.9, "tiles.overlap %g: must be between 0 and 0.9", c.Tiles.Overlap)
	rule(len(c.Tiles.Regions) <= bus.MaxFixed, "%d tiles.regions: must be at most %d", len(c.Tiles.Regions), bus.MaxFixed)
	for _, b := range c.Tiles.Regions {
		rule(b[0] >= 0 && b[1] >= 0 && b[0] < b[2] && b[1] < b[3] && b[2] <= 1 && b[3] <= 1, "tiles.regions %v: must be x1, y1, x2, y2 from 0 to 1", b)
	}
	rule(c.JPEGQuality >= 1 && c.JPEGQuality <= 100, "jpeg quality %d: must be between 1 and 100", c.JPEGQuality)
	rule(c.MaxFPS >= 0 && c.MaxFPS <= 1000, "fps %g: must be between 0 (all) and 1000", c.MaxFPS)
	rule(c.Threads <= 16, "decoder threads %d: must be at most 16", c.Threads)
	return errors.Join(faults...)
}

// Camera is the owner of one camera: all state of it lives here, and Run's goroutine is the only one that touches it. Stats
// and the detector's methods may be called from anywhere.
type Camera struct {
	cfg      CameraConfig
	conn     *bus.Conn
	log      *slog.Logger
	source   Source
	redact   redactor
	report   *reporter
	retry    backoff
	detector atomic.Pointer[string]
}

// NewCamera checks cfg and makes the owner of a camera; nothing is opened before Run. The error says all that is wrong with
// cfg, without passwords.
func NewCamera(cfg CameraConfig, conn *bus.Conn, log *slog.Logger) (*Camera, error) {
	cfg = cfg.withDefaults()
	redact := newRedactor(cfg.Source)
	log = log.With("camera", cfg.Name)
	err := cfg.check()
	var source Source
	if err == nil {
		source, err = newSource(cfg, log)
	}
	if err != nil {
		return nil, fmt.Errorf("make camera %.64q: %w", cfg.Name, redact.error(err))
	}
	c := &Camera{
		cfg: cfg, conn: conn, log: log, source: source, redact: redact, report: newReporter(cfg.Name, conn, log),
	}
	c.detector.Store(&cfg.Detector)
	return c, nil
}

// Name returns the camera's name.
func (c *Camera) Name() string { return c.cfg.Name }

// Detector names who shall look at the camera's frames, "" for the default one.
func (c *Camera) Detector() string { return *c.detector.Load() }

// SetDetector gives the frames from now on to another detector.
func (c *Camera) SetDetector(name string) error {
	if name != "" {
		if err := bus.ValidateName("detector", name); err != nil {
			return fmt.Errorf("camera %s: %w", c.cfg.Name, err)
		}
	}
	c.detector.Store(&name)
	return nil
}

// SetConcern says what is wrong although there are pictures, "" for nothing. Who watches the camera's state sees it as its cause.
func (c *Camera) SetConcern(text string) { c.report.concern(text) }

// Run plays the camera until ctx is done, its file ends (both nil), or its source fails for good (an error that says why,
// without passwords). A network source is connected again for ever. Only one Run at a time.
func (c *Camera) Run(ctx context.Context) error {
	stop := c.report.start(ctx)
	defer stop()
	for {
		good, err := c.connect(ctx)
		switch {
		case ctx.Err() != nil:
			c.report.offline(StateStopped, "stopped")
			return nil
		case err == nil:
			c.report.offline(StateEnded, "end of file")
			return nil
		}
		err = c.redact.error(err)
		class := classOf(err)
		if class == Permanent {
			c.report.offline(StateFailed, err.Error())
			return err
		}
		wait := c.retry.wait(class, good)
		c.log.Warn("camera is offline", "cause", err.Error(), "attempt", c.retry.attempt, "retry_in", wait.Round(time.Millisecond))
		c.report.offline(StateOffline, err.Error())
		if !sleep(ctx, wait) {
			c.report.offline(StateStopped, "stopped")
			return nil
		}
		c.report.reconnecting()
	}
}

// connect plays one connection of the source, which is one session. It returns for how long there were pictures, and the
// source's error.
func (c *Camera) connect(ctx context.Context) (time.Duration, error) {
	ctx, cancel := context.WithCancel(ctx)
	queue := NewQueue()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		queue.close(c.source.Run(ctx, queue))
	}()
	session, err := newSession(c)
	if err == nil {
		err = session.play(ctx, queue)
		session.close()
	}
	cancel()
	<-ended
	if err != nil {
		return session.good(), err
	}
	if session.began.IsZero() {
		err = &Error{Permanent, fmt.Errorf("play %s: not one picture in it could be decoded; name another file", c.cfg.Source)}
	}
	return session.good(), err
}

// sleep waits, and returns false when ctx is done first.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
