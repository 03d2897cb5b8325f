package detect

import (
	"errors"
	"log/slog"

	"github.com/sightline/sightline/detect/onnx"
	"github.com/sightline/sightline/models"
)

// leastElsewhere and mostElsewhere are the numbers of sessions on a device beside the processors: while it computes for one, looks are
// prepared for the others, each by one processor. On an H200 beside 16 of them 4 sessions look 1.4 times as often as 2.
const leastElsewhere, mostElsewhere = 2, 4

// longestReason bounds what is told of a device that cannot be used.
const longestReason = 1024

// device is the one to use, once it was settled on.
func (c Config) device() string {
	if len(c.Devices) == 0 {
		return string(onnx.CPU)
	}
	return c.Devices[0]
}

// anyShape tells whether a device takes inputs of several shapes in one session at little cost.
func anyShape(device string) bool {
	d, err := onnx.ParseDevice(device)
	return err == nil && d.AnyShape()
}

// OnProcessor tells whether a device, by its name in a configuration, computes in threads of the processor.
func OnProcessor(device string) bool {
	d, err := onnx.ParseDevice(device)
	return err == nil && d.OnProcessor()
}

// ownShape is the one that the model was made for.
func ownShape(spec models.Spec) shapes { return shapes{{spec.Width, spec.Height}} }

// defaultWorkers is the number of sessions on a device where nobody says one.
func defaultWorkers(device string, processors int) int {
	if OnProcessor(device) {
		return processors
	}
	return min(max(leastElsewhere, processors/4), mostElsewhere)
}

// Settle leaves the first device in a configuration that the model really runs on, and says loudly where that is not the first. A
// single device is not tried.
func Settle(cfg Config, log *slog.Logger) (Config, error) {
	if len(cfg.Devices) < 2 {
		return cfg, nil
	}
	spec, err := models.Load(cfg.Model)
	if err != nil {
		return cfg, err
	}
	var faults []error
	for _, device := range cfg.Devices {
		one := cfg
		one.Devices = []string{device}
		l, err := openLane(one, spec, ownShape(spec), newHealth(log))
		if err != nil && !errors.Is(err, errTogether) {
			faults = append(faults, err)
			continue
		}
		if l != nil {
			l.close()
		}
		if len(faults) > 0 {
			one.Fallback = errors.Join(faults...).Error()
			one.Fallback = one.Fallback[:min(len(one.Fallback), longestReason)]
			log.Warn("the network falls back to another device than the first of the configuration", "device", device, "wanted", cfg.Devices[0],
				"cause", one.Fallback)
		}
		return one, nil
	}
	return cfg, errors.Join(faults...)
}
