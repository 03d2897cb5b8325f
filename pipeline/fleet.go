package pipeline

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/sightline/sightline/ingest"
	"github.com/sightline/sightline/pipeline/bus"
)

// fleet runs the owners of all cameras of this process, and follows changes of the configuration without touching cameras
// that did not change.
type fleet struct {
	conn *bus.Conn
	log  *slog.Logger
	whip *ingest.WHIP

	mu     sync.Mutex // protects what follows
	owners map[string]*owner
	failed []error
	ctx    context.Context // of run; nil before
	busy   bool            // cameras are being exchanged
	over   bool            // run ends, nothing begins any more
	gone   chan struct{}   // closed when every camera has ended by itself
}

// owner is one camera that runs or has ended.
type owner struct {
	cfg     CameraConfig
	camera  *ingest.Camera
	stop    context.CancelFunc
	running bool
	ended   chan struct{}
}

func newFleet(conn *bus.Conn, whip *ingest.WHIP, cameras map[string]CameraConfig, log *slog.Logger) (*fleet, error) {
	f := &fleet{conn: conn, log: log, whip: whip, owners: map[string]*owner{}, gone: make(chan struct{})}
	for _, name := range slices.Sorted(maps.Keys(cameras)) {
		o, err := f.make(name, cameras[name])
		if err != nil {
			return nil, err
		}
		f.owners[name] = o
	}
	return f, nil
}

func (f *fleet) make(name string, c CameraConfig) (*owner, error) {
	camera, err := ingest.NewCamera(ingest.CameraConfig{
		Name: name, Source: c.Source, Detector: c.Detector, Transport: ingest.Transport(c.Frames.Transport), JPEGQuality: c.Frames.JPEGQuality,
		Loop: c.Loop, Pace: ingest.Pace(c.Pace), MaxFPS: c.FPS,
		Tiles: ingest.TilesConfig{
			Policy: bus.Policy(c.Tiles.Policy), Size: c.Tiles.Size, Overlap: c.Tiles.Overlap,
			Budget: c.Tiles.Budget, Sweep: time.Duration(c.Tiles.Sweep), Regions: c.Tiles.boxes(),
		},
	}, f.conn, f.log)
	if err != nil {
		return nil, fmt.Errorf("camera %s: %w", name, err)
	}
	return &owner{cfg: c, camera: camera, ended: make(chan struct{})}, nil
}

// run runs every owner until ctx ends or every camera has ended by itself, as files do; without cameras it waits for some. A
// camera that fails for good does not disturb the others; its error comes back when all have ended.
func (f *fleet) run(ctx context.Context) error {
	f.mu.Lock()
	f.ctx = ctx
	for _, o := range f.owners {
		f.start(o)
	}
	f.mu.Unlock()
	select {
	case <-ctx.Done():
	case <-f.gone:
	}
	for _, o := range f.finish() {
		<-o.ended
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return errors.Join(f.failed...)
}

// finish lets nothing begin any more and gives what runs.
func (f *fleet) finish() []*owner {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.over = true
	return slices.Collect(maps.Values(f.owners))
}

// start runs an owner; f.mu is held.
func (f *fleet) start(o *owner) {
	ctx, stop := context.WithCancel(f.ctx)
	o.stop, o.running = stop, true
	f.whip.Add(o.camera)
	go func() {
		defer close(o.ended)
		err := o.camera.Run(ctx)
		f.mu.Lock()
		defer f.mu.Unlock()
		o.running = false
		if err != nil && ctx.Err() == nil {
			f.failed = append(f.failed, fmt.Errorf("camera %s: %w", o.camera.Name(), err))
			f.log.Error("camera failed", "camera", o.camera.Name(), "error", err)
		}
		f.leave()
	}()
}

// leave ends the fleet with its last camera; f.mu is held.
func (f *fleet) leave() {
	if f.busy || f.over || len(f.owners) == 0 {
		return
	}
	for _, o := range f.owners {
		if o.running {
			return
		}
	}
	f.over = true
	close(f.gone)
}

// cameras lists the owners' cameras by name.
func (f *fleet) cameras() []*ingest.Camera {
	f.mu.Lock()
	defer f.mu.Unlock()
	var all []*ingest.Camera
	for _, name := range slices.Sorted(maps.Keys(f.owners)) {
		all = append(all, f.owners[name].camera)
	}
	return all
}

// follow takes the cameras of a changed configuration: it ends those that are gone or differ and starts those that are new or
// differ; a camera whose zones, lines, masks or objects alone differ is not touched, and one whose detector differs goes on. What cannot be made is said and left out.
func (f *fleet) follow(cameras map[string]CameraConfig) {
	f.exchange(true)
	defer f.exchange(false)
	for name, o := range f.snapshot() {
		c, still := cameras[name]
		if !still || !c.sameStream(o.cfg) {
			f.end(name, o)
			continue
		}
		f.reassign(o, c.Detector)
	}
	for _, name := range slices.Sorted(maps.Keys(cameras)) {
		if err := f.begin(name, cameras[name]); err != nil {
			f.log.Error("camera not started", "error", err)
		}
	}
}

// reassign has the next frames of a camera looked at by another detector.
func (f *fleet) reassign(o *owner, detector string) {
	if o.camera.Detector() == detector {
		return
	}
	if err := o.camera.SetDetector(detector); err != nil {
		f.log.Error("detector not changed", "error", err)
		return
	}
	f.log.Info("camera has another detector", "camera", o.camera.Name(), "detector", cmp.Or(detector, "the default one"))
}

// exchange keeps the fleet from ending while its cameras are exchanged.
func (f *fleet) exchange(busy bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.busy = busy
	f.leave()
}

func (f *fleet) snapshot() map[string]*owner {
	f.mu.Lock()
	defer f.mu.Unlock()
	return maps.Clone(f.owners)
}

// end stops a camera and waits for it.
func (f *fleet) end(name string, o *owner) {
	f.whip.Remove(name)
	o.stop()
	<-o.ended
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.owners, name)
	f.log.Info("camera removed or changed", "camera", name)
}

// begin starts a camera that does not run yet.
func (f *fleet) begin(name string, c CameraConfig) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, runs := f.owners[name]; runs || f.over {
		return nil
	}
	o, err := f.make(name, c)
	if err != nil {
		return err
	}
	f.owners[name] = o
	f.start(o)
	return nil
}
