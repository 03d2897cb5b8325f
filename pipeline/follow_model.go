package pipeline

import (
	"context"
	"strings"
	"time"
)

// watchedModel is the model that is followed, and what its files were when it was opened.
type watchedModel struct {
	path string // as it was named: links are followed each time
	seen modelStamps
}

// modelStamps tell versions of a model apart: of the file and of the card beside it.
type modelStamps struct{ file, card stamp }

func modelStampsOf(path string) modelStamps {
	return modelStamps{stampOf(path), stampOf(strings.TrimSuffix(path, ".onnx") + ".yaml")}
}

// followModel replaces a detector's engine when its model's file or card changes, until ctx ends. The old one looks at frames until the new
// one has been loaded and tried; a model that is refused changes nothing.
func (p *process) followModel(ctx context.Context, d *detector) error {
	tick := time.NewTicker(reloadEvery)
	defer tick.Stop()
	seen, before := d.model.seen, d.model.seen
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		now := modelStampsOf(d.model.path)
		// One that still changes is being copied.
		if settled := now == before; settled && now != seen && now.file != (stamp{}) {
			seen = now
			p.replaceModel(ctx, d)
		}
		before = now
	}
}

func (p *process) replaceModel(ctx context.Context, d *detector) {
	next, err := OpenEngine(ctx, p.cfg, p.cfg.Detectors[d.name], p.log)
	if err != nil {
		p.log.Error("the changed model is refused, the one before goes on", "detector", d.name, "error", err)
		return
	}
	before := d.worker.Replace(next)
	p.log.Info("model replaced", "detector", d.name, "before", before.Spec().ID(), "model", next.Spec().ID())
	before.Close()
}
