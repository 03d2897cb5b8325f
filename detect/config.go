// Package detect turns frames with regions into objects: letterbox, batch, network, decoding, merge across regions.
package detect

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/sightline/sightline/models"
)

// Config says what to detect with and what to report.
type Config struct {
	Model         string            // path of an .onnx file, with or without a card beside it
	Library       string            // path of libonnxruntime.so; "": looked for, see onnx.FindLibrary
	Devices       []string          // see onnx.ParseDevice; the first that can be used is; empty: cpu
	Fallback      string            // why a device that was preferred is not used, for those who ask; see Settle
	Workers       int               // sessions; 0: one per processor, and two to four on another device
	Threads       int               // of each session; 0: one
	MaxBatch      int               // regions that go through the network together; 0 and 1: no batching
	MaxQueueDelay time.Duration     // how long a batch that is not full may wait
	Score         float32           // objects below it are not reported; 0: DefaultScore
	IoU           float32           // boxes of one class that overlap more are one object; 0: DefaultIoU
	OneShape      bool              // all is looked at in the model's own shape: for comparison
	Labels        []string          // labels to report; empty: all that the model knows
	Filters       map[string]Filter // by label
	// Shared says that Labels and Filters are those of several models: labels that this one does not have are passed over.
	Shared bool

	patience   time.Duration // least limit of a run; 0: leastPatience
	checkEvery time.Duration // how often sessions are checked; 0: checkEvery
	held       bool          // sessions on the processor are held against it too: for tests
}

// Defaults of Config.
const (
	DefaultScore = 0.4
	DefaultIoU   = 0.65
)

const (
	maxWorkers = 1024
	maxBatch   = 256
)

// Filter drops objects of one label. Areas are in pixels of the frame; 0 means no limit. MinScore takes the place of Config.Score.
type Filter struct{ MinScore, MinArea, MaxArea float32 }

// validate tells all faults at once.
func (c Config) validate(labels []string) error {
	var faults []error
	that := func(ok bool, format string, args ...any) {
		if !ok {
			faults = append(faults, fmt.Errorf(format, args...))
		}
	}
	that(c.Workers >= 0 && c.Workers <= maxWorkers, "workers %d: must be 0 to %d", c.Workers, maxWorkers)
	that(c.Threads >= 0 && c.Threads <= maxWorkers, "threads %d: must be 0 to %d", c.Threads, maxWorkers)
	that(c.MaxBatch >= 0 && c.MaxBatch <= maxBatch, "max_batch_size %d: must be 1 to %d", c.MaxBatch, maxBatch)
	that(c.MaxQueueDelay >= 0, "max_queue_delay %s: must not be negative", c.MaxQueueDelay)
	that(c.Score >= 0 && c.Score <= 1, "min_score %g: must be 0 to 1", c.Score)
	that(c.IoU >= 0 && c.IoU <= 1, "iou %g: must be 0 to 1", c.IoU)
	for _, label := range c.Labels {
		that(c.Shared || slices.Contains(labels, label), "objects.track: the model has no label %.60q", label)
	}
	for label, f := range c.Filters {
		that(c.Shared || slices.Contains(labels, label), "objects.filters: the model has no label %.60q", label)
		that(f.MinScore >= 0 && f.MinScore <= 1, "objects.filters.%s.min_score %g: must be 0 to 1", label, f.MinScore)
		that(f.MinArea >= 0 && f.MaxArea >= 0, "objects.filters.%s: areas must not be negative", label)
	}
	return errors.Join(faults...)
}

// thresholds gives the lowest score of every class; one that is not wanted has one above every score.
func (c Config) thresholds(labels []string) []float32 {
	t := make([]float32, len(labels))
	for i, label := range labels {
		switch f := c.Filters[label]; {
		case len(c.Labels) > 0 && !slices.Contains(c.Labels, label):
			t[i] = math.MaxFloat32
		case f.MinScore > 0:
			t[i] = f.MinScore
		case c.Score > 0:
			t[i] = c.Score
		default:
			t[i] = DefaultScore
		}
	}
	return t
}

// areas gives the filters by class.
func (c Config) areas(labels []string) []Filter {
	filters := make([]Filter, len(labels))
	for i, label := range labels {
		filters[i] = c.Filters[label]
	}
	return filters
}

func (c Config) iou() float32 {
	if c.IoU > 0 {
		return c.IoU
	}
	return DefaultIoU
}

// batch is the largest batch for a model. One that was made for single pictures stays so on processors, which gain nothing by batches.
func (c Config) batch(spec models.Spec) int {
	if spec.Batch == 1 && OnProcessor(c.device()) {
		return 1
	}
	return max(1, c.MaxBatch)
}
