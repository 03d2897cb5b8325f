package pipeline

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/sightline/sightline/detect"
)

const (
	// maxDetectors bounds the models of a configuration.
	maxDetectors = 32
	// defaultDetectorName is that of the detector of cameras that name none, where there are several.
	defaultDetectorName = "default"
)

// detector is one detector of this process.
type detector struct {
	name   string
	duty   detect.Duty
	engine *detect.Engine // until there is a worker, who may replace it
	worker *detect.Worker
	model  watchedModel
	cfg    Config      // that it was opened by; of its follower
	next   chan Config // the newest that was read; of length 1
	run    func(context.Context) error

	stop  context.CancelFunc // of run, where it runs; with ended
	ended chan struct{}
}

func (d *detector) close() {
	if d.worker != nil {
		d.worker.Engine().Close()
		return
	}
	d.engine.Close()
}

// DefaultDetector names the detector of cameras that name none: the only one, or the one called default; "" for none.
func (c Config) DefaultDetector() string {
	if _, there := c.Detectors[defaultDetectorName]; there {
		return defaultDetectorName
	}
	if len(c.Detectors) != 1 {
		return ""
	}
	return c.detectorNames()[0]
}

func (c Config) detectorNames() []string { return slices.Sorted(maps.Keys(c.Detectors)) }

// Detector gives the detector of a name, "" for the default one. The error says which there are.
func (c Config) Detector(name string) (DetectorConfig, error) {
	if fault := c.detectorFault(name); fault != "" {
		return DetectorConfig{}, fmt.Errorf("detector %q: %s", name, fault)
	}
	if name == "" {
		name = c.DefaultDetector()
	}
	return c.Detectors[name], nil
}

// detectorFault tells what is wrong with a detector's name, "" for nothing.
func (c Config) detectorFault(name string) string {
	if _, there := c.Detectors[name]; there {
		return ""
	}
	known := strings.Join(c.detectorNames(), ", ")
	switch {
	case name != "":
		return fmt.Sprintf("there is no detector %.64q; there are: %s", name, known)
	case c.DefaultDetector() == "":
		return "must name one of: " + known + "; none of them is called default"
	}
	return ""
}

// detectorName is how a detector is told of that frames name; those that name none are for the default one.
func (p *process) detectorName(inFrames string) string {
	return cmp.Or(inFrames, *p.nameless.Load(), defaultDetectorName)
}

// ownDetectors names those of a configuration that a process with the role runs.
func (p *process) ownDetectors(c Config) []string {
	if len(p.Detectors) == 0 {
		return c.detectorNames()
	}
	return slices.Compact(slices.Sorted(slices.Values(p.Detectors)))
}

// openDetectors loads the models of those detectors that this process runs. Each has its own sessions.
func (p *process) openDetectors(ctx context.Context) error {
	for _, name := range p.ownDetectors(p.cfg) {
		d, err := p.openDetector(ctx, p.cfg, name)
		if err != nil {
			return fmt.Errorf("detector %s: %w", name, err)
		}
		p.detectors.add(d)
	}
	return p.checkLabels()
}

// openDetector loads the model of a configuration's detector.
func (p *process) openDetector(ctx context.Context, all Config, name string) (*detector, error) {
	cfg, err := all.Detector(name)
	if err != nil {
		return nil, err
	}
	c, err := EngineConfig(all, cfg)
	if err != nil {
		return nil, err
	}
	d := &detector{
		name: name, duty: detect.Duty{Detector: name, Default: name == all.DefaultDetector()}, cfg: all, next: make(chan Config, 1),
		model: watchModel(c.Model),
	}
	if d.engine, err = OpenEngine(ctx, all, cfg, p.log.With("detector", name)); err != nil {
		return nil, err
	}
	p.warnOfNothing(d)
	return d, nil
}

// warnOfNothing tells of a detector that reports nothing.
func (p *process) warnOfNothing(d *detector) {
	wanted := d.cfg.Objects.Track
	if len(wanted) > 0 && !slices.ContainsFunc(wanted, func(label string) bool { return slices.Contains(d.engine.Spec().Labels, label) }) {
		p.log.Warn("detector reports nothing: its model has none of the labels of objects.track", "detector", d.name, "model", d.engine.Spec().ID())
	}
}

// employ gives a detector its worker.
func (p *process) employ(d *detector) {
	d.worker = detect.NewWorker(d.duty, d.engine, p.conn, p.log)
	d.run = func(ctx context.Context) error {
		working, ctx := errgroup.WithContext(ctx)
		working.Go(func() error { return d.worker.Run(ctx) })
		working.Go(func() error { return p.followDetector(ctx, d) })
		return working.Wait()
	}
}

// checkLabels refuses labels that no detector reports, where all of them are here. Of a single detector the engine has checked them.
func (p *process) checkLabels() error {
	known, all := map[string]bool{}, p.detectors.list()
	for _, d := range all {
		for _, label := range d.engine.Spec().Labels {
			known[label] = true
		}
	}
	if len(all) < len(p.cfg.Detectors) {
		return nil
	}
	for _, label := range slices.Concat(p.cfg.Objects.Track, slices.Sorted(maps.Keys(p.cfg.Objects.Filters))) {
		if !known[label] {
			return fmt.Errorf("objects: no detector's model has the label %.60q", label)
		}
	}
	return nil
}
