package pipeline

import (
	"context"
	"maps"
	"reflect"
	"slices"
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

// sameDetectors tells whether two configurations have the same detectors, whatever their settings.
func sameDetectors(a, b Config) bool {
	return slices.Equal(a.detectorNames(), b.detectorNames()) && a.DefaultDetector() == b.DefaultDetector()
}
