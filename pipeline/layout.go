package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strconv"

	"github.com/sightline/sightline/detect"
	"github.com/sightline/sightline/detect/onnx"
	"github.com/sightline/sightline/models"
)

// Workers is a number of sessions, or WorkersAuto.
type Workers int

// WorkersAuto has sessions, threads and batches chosen by measurement.
const WorkersAuto Workers = -1

// UnmarshalText reads a number or auto.
func (w *Workers) UnmarshalText(text []byte) error {
	if string(text) == "auto" {
		*w = WorkersAuto
		return nil
	}
	n, err := strconv.Atoi(string(text))
	if err != nil || n < 0 {
		return errors.New("must be auto or a whole number")
	}
	*w = Workers(n)
	return nil
}

// MarshalText writes what UnmarshalText reads.
func (w Workers) MarshalText() ([]byte, error) {
	if w == WorkersAuto {
		return []byte("auto"), nil
	}
	return []byte(strconv.Itoa(int(w))), nil
}

const (
	// mostLayouts are kept in the cache; beyond it the cache begins anew.
	mostLayouts = 64
	// mostLayoutBytes of a cache file are read.
	mostLayoutBytes = 1 << 20
)

// layoutCache remembers on disk which layout was the fastest for a model on this machine.
type layoutCache struct {
	path    string // "": nothing is remembered
	measure func(context.Context, detect.Config) (best detect.Layout, sure bool, err error)
}

// openLayoutCache names the cache file of the user; without a cache folder nothing is remembered.
func openLayoutCache() layoutCache {
	dir, err := os.UserCacheDir()
	if err != nil {
		return layoutCache{measure: detect.ChooseLayout}
	}
	return layoutCache{filepath.Join(dir, "sightline", "layouts.json"), detect.ChooseLayout}
}

// layoutKey names what a measurement holds for.
func layoutKey(cfg detect.Config) (string, error) {
	spec, err := models.Load(cfg.Model)
	if err != nil {
		return "", err
	}
	library, err := onnx.Version(cfg.Library)
	if err != nil {
		return "", err
	}
	device := ""
	if len(cfg.Devices) > 0 && cfg.Devices[0] != string(onnx.CPU) {
		device = cfg.Devices[0] + ", "
	}
	return fmt.Sprintf("%s, %sbatches up to %d, onnxruntime %s, %s, %s, %d processors", spec.ID(), device, cfg.MaxBatch, library, runtime.GOARCH,
		detect.Processor(), runtime.GOMAXPROCS(0)), nil
}

func (c layoutCache) read() map[string]detect.Layout {
	all := map[string]detect.Layout{}
	info, err := os.Stat(c.path)
	if err != nil || info.Size() > mostLayoutBytes {
		return all
	}
	if text, err := os.ReadFile(c.path); err == nil && json.Unmarshal(text, &all) != nil {
		return map[string]detect.Layout{} // damaged: it is measured again
	}
	return all
}

// write remembers one more, beside and renamed, so that no process reads half a file.
func (c layoutCache) write(key string, l detect.Layout) error {
	if c.path == "" {
		return nil
	}
	all := c.read()
	if len(all) >= mostLayouts {
		clear(all)
	}
	all[key] = l
	text, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(c.path), 0o755); err != nil {
		return err
	}
	beside, err := os.CreateTemp(filepath.Dir(c.path), "layouts-*")
	if err != nil {
		return err
	}
	_, err = beside.Write(text)
	if err = errors.Join(err, beside.Close()); err == nil {
		err = os.Rename(beside.Name(), c.path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(beside.Name()))
	}
	return nil
}

// choose gives the layout that is fastest for the model of cfg here: remembered, or else measured, and remembered where the measurement
// is to be relied on.
func (c layoutCache) choose(ctx context.Context, cfg detect.Config, log *slog.Logger) (detect.Layout, error) {
	key, err := layoutKey(cfg)
	if err != nil {
		return detect.Layout{}, err
	}
	if l, ok := c.read()[key]; ok && l.Workers > 0 && l.Threads > 0 && l.MaxBatch > 0 && l.MaxBatch <= max(1, cfg.MaxBatch) {
		return l, nil
	}
	best, sure, err := c.measure(ctx, cfg)
	if err != nil {
		return detect.Layout{}, fmt.Errorf("choose workers by measurement: %w", err)
	}
	switch {
	case !sure:
		log.Info("sessions, threads and batches not measured, since others are at work or it takes too long: the usual ones", "model", cfg.Model)
		return best, nil
	case best.Rate == 0: // nothing to choose from
		return best, nil
	}
	log.Info("measured", "workers", best.Workers, "threads", best.Threads, "max_batch_size", best.MaxBatch, "looks_per_second", best.Rate, "remembered_in", c.path)
	if err := c.write(key, best); err != nil {
		log.Warn("measured layout not remembered: it is measured again at the next start", "error", err)
	}
	return best, nil
}
