package pipeline

import (
	"context"
	"maps"
	"reflect"
	"strings"
	"time"

	"github.com/sightline/sightline/detect"
)

// watchedModel is the model that is followed, and what its files were when it was opened.
type watchedModel struct {
	path string // as it was named: links are followed each time
	seen modelStamps
}

func watchModel(path string) watchedModel { return watchedModel{path, modelStampsOf(path)} }

// modelStamps tell versions of a model apart: of the file and of the card beside it.
type modelStamps struct{ file, card stamp }

func modelStampsOf(path string) modelStamps {
	return modelStamps{stampOf(path), stampOf(strings.TrimSuffix(path, ".onnx") + ".yaml")}
}

// followDetector replaces a detector's engine when its model's file or card changes, or its settings, until ctx ends. The old one looks at
// frames until the new one has been loaded and tried; what is refused changes nothing.
func (p *process) followDetector(ctx context.Context, d *detector) error {
	tick := time.NewTicker(reloadEvery)
	defer tick.Stop()
	before := d.model.seen
	for {
		select {
		case <-ctx.Done():
			return nil
		case next := <-d.next:
			p.resetDetector(ctx, d, next)
			before = d.model.seen
			continue
		case <-tick.C:
		}
		now := modelStampsOf(d.model.path)
		// One that still changes is being copied.
		if settled := now == before; settled && now != d.model.seen && now.file != (stamp{}) {
			d.model.seen = now
			p.replaceEngine(ctx, d, d.cfg, "model")
		}
		before = now
	}
}

// resetDetector follows the settings of a detector in a configuration that was read again. All else stays as the process was started with.
func (p *process) resetDetector(ctx context.Context, d *detector, next Config) {
	settings, there := next.Detectors[d.name]
	if !there || reflect.DeepEqual(settings, d.cfg.Detectors[d.name]) {
		return
	}
	cfg := d.cfg
	cfg.Detectors = maps.Clone(cfg.Detectors)
	cfg.Detectors[d.name] = settings
	p.replaceEngine(ctx, d, cfg, "detector")
}

// replaceEngine opens a detector's engine anew and has it take over; what is said to have changed.
func (p *process) replaceEngine(ctx context.Context, d *detector, cfg Config, what string) {
	settings := cfg.Detectors[d.name]
	var next *detect.Engine
	model, err := findModel(settings.Model)
	watched := watchModel(model) // before it is opened: what changes meanwhile is seen
	if err == nil {
		next, err = OpenEngine(ctx, cfg, settings, p.log)
	}
	if err != nil {
		p.log.Error("the changed "+what+" is refused, the one before goes on", "detector", d.name, "error", err)
		return
	}
	before := d.worker.Replace(next)
	p.log.Info(what+" replaced", "detector", d.name, "before", before.Spec().ID(), "model", next.Spec().ID(), "workers", next.Workers(), "device", next.Device())
	before.Close()
	d.cfg, d.model = cfg, watched
}

// offer hands a configuration that was read again to whoever follows the detector: the newest, where it has not taken one yet.
func (d *detector) offer(next Config) {
	select {
	case <-d.next:
	default:
	}
	d.next <- next
}

// beginDetectors opens the detectors of a changed configuration that this process does not run yet. One that becomes the default one, or is
// it no longer, begins anew. What cannot be opened is said and left out.
func (p *process) beginDetectors(ctx context.Context, next Config) {
	nameless := next.DefaultDetector()
	p.nameless.Store(&nameless)
	if !p.roles.Has(RoleDetect) {
		return
	}
	runs := map[string]bool{}
	for _, d := range p.detectors.list() {
		// Where there is no default one, every camera names its own.
		if runs[d.name] = nameless == "" || d.duty.Default == (d.name == nameless); !runs[d.name] {
			p.endDetector(d)
		}
	}
	for _, name := range p.ownDetectors(next) {
		if _, there := next.Detectors[name]; !there || runs[name] {
			continue
		}
		d, err := p.openDetector(ctx, next, name)
		if err != nil {
			p.log.Error("detector not started", "detector", name, "error", err)
			continue
		}
		p.employ(d)
		p.detectors.add(d)
		p.log.Info("detector added", "detector", name, "model", d.engine.Spec().ID())
	}
}

// endDetectors ends those that a changed configuration has no more.
func (p *process) endDetectors(next Config) {
	for _, d := range p.detectors.list() {
		if _, still := next.Detectors[d.name]; !still {
			p.endDetector(d)
		}
	}
}

func (p *process) endDetector(d *detector) {
	p.detectors.remove(d)
	p.log.Info("detector removed", "detector", d.name)
}
