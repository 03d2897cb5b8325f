package pipeline

import (
	"context"
	"log/slog"
	"os"
	"reflect"
	"time"
)

// reloadEvery is how often the configuration's file is looked at. Looking works for every way in which files are replaced,
// also for the links that Kubernetes turns.
const reloadEvery = time.Second

// reload follows the configuration's file until ctx ends. Cameras that changed are ended and begun anew, and detectors get another engine,
// come and go;
// what else changed is named, for it needs a restart; a file with faults changes nothing. Zones, lines, masks and objects of a camera are
// exchanged while it runs.
func (p *process) reload(ctx context.Context) error {
	tick := time.NewTicker(reloadEvery)
	defer tick.Stop()
	seen := stampOf(p.File)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		now := stampOf(p.File)
		if now == seen || now == (stamp{}) {
			continue
		}
		seen = now
		p.take(ctx)
	}
}

// take reads the file again and follows it.
func (p *process) take(ctx context.Context) {
	next, err := p.Reread()
	if err != nil {
		p.log.Error("the changed configuration is refused, nothing changes", "file", p.File, "faults", err)
		return
	}
	warnOfRest(p.log, p.cfg, next)
	if p.tracker != nil {
		if err := p.tracker.SetScenes(ctx, scenesOf(next.Cameras)); err != nil {
			p.log.Error("zones, lines and masks are not followed", "cause", err)
		}
	}
	// A detector runs before cameras are assigned to it, and until none is.
	p.beginDetectors(ctx, next)
	if p.fleet != nil {
		p.fleet.follow(next.Cameras)
	}
	p.endDetectors(next)
	for _, d := range p.detectors.list() {
		d.offer(next)
	}
	p.log.Info("configuration read again", "file", p.File, "cameras", len(next.Cameras))
}

// warnOfRest names the sections that changed and are not followed.
func warnOfRest(log *slog.Logger, before, after Config) {
	a, b := reflect.ValueOf(before), reflect.ValueOf(after)
	for i := range a.NumField() {
		name := a.Type().Field(i).Tag.Get("yaml")
		switch name {
		case "cameras", "detectors", "frames", "tiles": // cameras hold what they inherit of the last two
			continue
		}
		if !reflect.DeepEqual(a.Field(i).Interface(), b.Field(i).Interface()) {
			log.Warn("a changed section takes a restart", "section", name)
		}
	}
}

// stamp tells versions of a file apart.
type stamp struct {
	changed time.Time
	size    int64
}

// stampOf gives the zero stamp for a file that is not there, as between two steps of an editor.
func stampOf(file string) stamp {
	info, err := os.Stat(file)
	if err != nil {
		return stamp{}
	}
	return stamp{info.ModTime(), info.Size()}
}
