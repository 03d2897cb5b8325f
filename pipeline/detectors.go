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
	return cmp.Or(inFrames, p.cfg.DefaultDetector(), defaultDetectorName)
}

// openDetectors loads the models of those detectors that this process runs. Each has its own sessions.
func (p *process) openDetectors(ctx context.Context) error {
	names := p.Detectors
	if len(names) == 0 {
		names = p.cfg.detectorNames()
	}
	for _, name := range slices.Compact(slices.Sorted(slices.Values(names))) {
		d, err := p.openDetector(ctx, name)
		if err != nil {
			return fmt.Errorf("detector %s: %w", name, err)
		}
		p.detectors = append(p.detectors, d)
	}
	return p.checkLabels()
}

func (p *process) openDetector(ctx context.Context, name string) (*detector, error) {
	cfg, err := p.cfg.Detector(name)
	if err != nil {
		return nil, err
	}
	c, err := EngineConfig(p.cfg, cfg)
	if err != nil {
		return nil, err
	}
	d := &detector{
		name: name, duty: detect.Duty{Detector: name, Default: name == p.cfg.DefaultDetector()}, cfg: p.cfg, next: make(chan Config, 1),
		model: watchModel(c.Model),
	}
	d.engine, err = OpenEngine(ctx, p.cfg, cfg, p.log.With("detector", name))
	return d, err
}

// checkLabels refuses labels that no detector reports, where all of them are here, and warns of detectors that report nothing. Of a single
// detector the engine has checked them.
func (p *process) checkLabels() error {
	known := map[string]bool{}
	for _, d := range p.detectors {
		some := len(p.cfg.Objects.Track) == 0
		for _, label := range d.engine.Spec().Labels {
			known[label] = true
			some = some || slices.Contains(p.cfg.Objects.Track, label)
		}
		if !some {
			p.log.Warn("detector reports nothing: its model has none of the labels of objects.track", "detector", d.name, "model", d.engine.Spec().ID())
		}
	}
	if len(p.detectors) < len(p.cfg.Detectors) {
		return nil
	}
	for _, label := range slices.Concat(p.cfg.Objects.Track, slices.Sorted(maps.Keys(p.cfg.Objects.Filters))) {
		if !known[label] {
			return fmt.Errorf("objects: no detector's model has the label %.60q", label)
		}
	}
	return nil
}

// detect runs all detectors, and follows their models and settings, until ctx ends or one of them fails.
func (p *process) detect(ctx context.Context) error {
	running, ctx := errgroup.WithContext(ctx)
	for _, d := range p.detectors {
		running.Go(func() error {
			if err := d.worker.Run(ctx); err != nil {
				return fmt.Errorf("detector %s: %w", d.name, err)
			}
			return nil
		})
		running.Go(func() error { return p.followDetector(ctx, d) })
	}
	return running.Wait()
}
