package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"github.com/sightline/sightline/detect"
	"github.com/sightline/sightline/detect/track"
	"github.com/sightline/sightline/ingest"
	"github.com/sightline/sightline/pipeline/bus"
	"github.com/sightline/sightline/sinks"
)

// Options say what a process runs.
type Options struct {
	Config Config
	Roles  Roles
	Stderr io.Writer // takes the log and the greeting
	// Detectors are those of the configuration that this process runs; none: all.
	Detectors []string
	// File is the configuration's file, which is followed while the process runs; "" for none. Reread gives its configuration
	// as Config was made.
	File   string
	Reread func() (Config, error)
}

// Run lives one process's life: it starts the roles, works until ctx ends or every file has been played, and stops the roles in
// order, so that what was captured is still detected and written.
func Run(ctx context.Context, o Options) error {
	p := &process{Options: o, cfg: o.Config, roles: o.Roles, log: newLogger(o.Config.Log, o.Stderr)}
	nameless := p.cfg.DefaultDetector()
	p.nameless.Store(&nameless)
	defer p.close()
	if err := p.open(ctx); err != nil {
		if ctx.Err() != nil {
			return nil // told to stop while it waited for the broker
		}
		return err
	}
	p.web.show(p.handler()) // before the address is told
	p.greet(o.Stderr)
	return runStages(ctx, p.stages())
}

// process holds what one process runs; roles that it does not have stay nil.
type process struct {
	Options
	cfg        Config
	roles      Roles
	log        *slog.Logger
	listener   net.Listener
	web        *web
	server     *bus.Server
	conn       *bus.Conn
	whip       *ingest.WHIP
	fleet      *fleet
	attendance *attendance
	detectors  pool
	nameless   atomic.Pointer[string] // the detector of frames that name none
	tracker    *track.Worker
	sinks      *sinks.Server
	ndjson     *sinks.NDJSON
}

// open makes everything that can fail before the first frame: ports first, since a second process on the same machine is the
// most common fault, then the model, then the broker, which may take for ever.
func (p *process) open(ctx context.Context) error {
	if p.roles.Has(RoleIngest) && !p.roles.Has(RoleSinks) && len(p.cfg.Cameras) == 0 {
		return errors.New("no cameras: give a source, such as `sightline run clip.mp4`, or a configuration with cameras (-c FILE)")
	}
	var err error
	if p.listener, err = listen(p.cfg.HTTP.Listen); err != nil {
		return err
	}
	if p.roles.Has(RoleDetect) {
		if err := p.openDetectors(ctx); err != nil {
			return err
		}
	}
	p.web = startWeb(p.listener, authorized(p.cfg.HTTP.Token, p.waiting()))
	if err := p.connect(ctx); err != nil {
		return err
	}
	return p.openRoles()
}

// OpenEngine loads the model of a detector and makes its sessions, exactly as a running detector has them.
func OpenEngine(ctx context.Context, cfg Config, d DetectorConfig, log *slog.Logger) (*detect.Engine, error) {
	c, err := EngineConfig(cfg, d)
	if err != nil {
		return nil, err
	}
	if c, err = detect.Settle(c, log); err != nil {
		return nil, err
	}
	if d.Workers != WorkersAuto {
		return detect.Open(c, log)
	}
	l, unmeasured := openLayoutCache().choose(ctx, c, log)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if unmeasured == nil {
		c.Workers, c.Threads, c.MaxBatch = l.Workers, l.Threads, l.MaxBatch
	}
	engine, err := detect.Open(c, log) // says itself what is wrong with a network that runs in no layout
	if err == nil && unmeasured != nil {
		log.Warn("one session a processor: they could not be measured", "error", unmeasured)
	}
	return engine, err
}

// EngineConfig says how the engine of a detector is opened. Workers that are chosen by measurement are left zero.
func EngineConfig(cfg Config, d DetectorConfig) (detect.Config, error) {
	model, err := findModel(d.Model)
	if err != nil {
		return detect.Config{}, err
	}
	filters := make(map[string]detect.Filter, len(cfg.Objects.Filters))
	for label, f := range cfg.Objects.Filters {
		filters[label] = detect.Filter{MinScore: f.MinScore, MinArea: f.MinArea, MaxArea: f.MaxArea}
	}
	return detect.Config{
		Model: model, Library: cfg.ONNXRuntime.Library, Devices: d.Device, Workers: int(max(d.Workers, 0)),
		MaxBatch: d.MaxBatchSize, MaxQueueDelay: time.Duration(d.MaxQueueDelay), Score: d.MinScore,
		Labels: cfg.Objects.Track, Filters: filters, Shared: len(cfg.Detectors) > 1,
	}, nil
}

func (p *process) connect(ctx context.Context) (err error) {
	cfg := p.cfg.Bus
	if cfg.URL == "" {
		p.server, err = bus.StartServer(bus.ServerConfig{Listen: cfg.Listen, DataDir: cfg.DataDir}, p.log)
		if err != nil {
			return err
		}
	}
	p.conn, err = bus.Connect(ctx, bus.Config{
		URL: cfg.URL, Server: p.server, Prefix: cfg.Prefix, Name: "sightline", Credentials: cfg.Credentials, StoreBytes: cfg.StoreBytes,
	}, p.log)
	return err
}

func (p *process) openRoles() error {
	if p.roles.Has(RoleSinks) {
		p.sinks = sinks.New(p.sinksConfig(), p.conn, p.log)
	}
	if p.roles.Has(RoleSinks) && p.cfg.Sinks.NDJSON != "" {
		p.ndjson = sinks.NewNDJSON(p.cfg.Sinks.NDJSON, p.conn, p.log)
	}
	if p.roles.Has(RoleTrack) {
		p.tracker = track.NewWorker(p.conn, track.Config{Stationary: time.Duration(p.cfg.Tracks.StationaryAfter)}, p.log)
		if err := p.tracker.SetScenes(context.Background(), scenesOf(p.cfg.Cameras)); err != nil {
			return err
		}
	}
	for _, d := range p.detectors.list() {
		p.employ(d)
	}
	if p.roles.Has(RoleIngest) {
		return p.openCameras()
	}
	return nil
}

func (p *process) sinksConfig() sinks.Config {
	a, s := p.cfg.Sinks.Annotated, p.cfg.Sinks.Snapshots
	c := sinks.Config{
		Listen: p.cfg.HTTP.Listen, MaxWidth: a.MaxWidth, MaxHeight: a.MaxHeight, Cameras: slices.Sorted(maps.Keys(p.cfg.Cameras)),
		SnapshotBytes: s.bytes(p.conn.Local()), SnapshotHeight: s.Height, SnapshotQuality: s.Quality,
	}
	if c.SnapshotBytes < s.MaxBytes {
		p.log.Info("no pictures of tracks are kept: the broker is on another machine, and every frame would come from there; see sinks.snapshots.over_network")
	}
	return c
}

// bytes of memory for pictures: none where frames would travel for them and nobody said that they may.
func (s SnapshotsConfig) bytes(localBroker bool) int64 {
	if localBroker || s.OverNetwork {
		return s.MaxBytes
	}
	return 0
}

func (p *process) openCameras() (err error) {
	p.whip = ingest.NewWHIP(p.cfg.HTTP.Token, p.log)
	p.fleet, err = newFleet(p.conn, p.whip, p.cfg.Cameras, p.log)
	p.attendance = newAttendance()
	return err
}

// stages lists what runs, in the order of the data, which is the order of stopping.
func (p *process) stages() []stage {
	var s []stage
	if p.roles.Has(RoleIngest) {
		s = append(s, stage{"ingest", p.fleet.run, true}, stage{"attendance", p.attend, false})
	}
	if p.roles.Has(RoleDetect) {
		s = append(s, stage{"detect", p.detectors.run, false})
	}
	if p.tracker != nil {
		s = append(s, stage{"track", p.tracker.Run, false})
	}
	if p.ndjson != nil {
		s = append(s, stage{"ndjson", p.ndjson.Run, false})
	}
	if p.sinks != nil {
		s = append(s, stage{"sinks", p.sinks.Run, false})
	}
	if p.File != "" {
		s = append(s, stage{"configuration", p.reload, false})
	}
	return append(s, stage{"http", p.web.run, false})
}

// cameras lists the cameras of this process.
func (p *process) cameras() []*ingest.Camera {
	if p.fleet == nil {
		return nil
	}
	return p.fleet.cameras()
}

// waiting serves what tells of the process before it has a broker: others shall see that it lives and what it lacks.
func (p *process) waiting() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", p.healthz)
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusServiceUnavailable, readiness{Bus: "connecting", Roles: p.roles})
	})
	return mux
}

// handler puts everything that is served on one port together.
func (p *process) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", p.healthz)
	mux.HandleFunc("GET /readyz", p.readyz)
	mux.Handle("GET /metrics", p.metrics())
	if p.whip != nil {
		mux.Handle("/{camera}/whip", p.whip)
		mux.Handle("/{camera}/whip/{session}", p.whip)
	}
	if p.sinks != nil {
		mux.Handle("/", p.sinks.Handler())
	}
	return authorized(p.cfg.HTTP.Token, mux)
}

func (p *process) greet(to io.Writer) {
	if p.sinks != nil {
		fmt.Fprintf(to, "\n  page        http://%s/\n", p.listener.Addr())
	}
	if url := p.conn.URL(); url != "" {
		fmt.Fprintf(to, "  detections  nats -s %s sub '%s'\n", url, p.conn.Subjects().Detections("*"))
	}
	fmt.Fprintln(to)
}

func (p *process) close() {
	if p.web != nil {
		p.web.close()
	}
	if p.conn != nil {
		p.conn.Close()
	}
	if p.server != nil {
		p.server.Close()
	}
	p.detectors.close()
	if p.listener != nil {
		p.listener.Close()
	}
}
