// Package capacity measures what a machine can do with a model: what each stage of a frame costs on one thread, how fast the
// network runs on all processors, and how many cameras fit.
package capacity

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"runtime"
	"time"

	"github.com/sightline/sightline/detect"
	"github.com/sightline/sightline/pipeline/bus"
)

// Load is the share of the processors that cameras may fill: beyond it frames wait for each other, and the rest of the machine
// for both.
const Load = 0.7

// Rates are the frame rates that cameras are counted for.
var Rates = []int{5, 10, 15, 25}

// Options say what to measure.
type Options struct {
	Detector detect.Config
	Source   string        // a video file; "": generated video of 1280x720, 1920x1080 and 3840x2160
	Tiles    Tiles         // how frames are looked at
	Each     time.Duration // for every measurement
	Progress func(what string, done, total int)
}

// Tiles are the settings of the tiling policies.
type Tiles struct {
	Size    int
	Overlap float64
	Budget  int
}

// Report is what a machine can do.
type Report struct {
	Processor  string          `json:"processor"`
	Processors int             `json:"processors"`
	Model      string          `json:"model"`
	Device     string          `json:"device"`  // that the network runs on
	Input      string          `json:"input"`   // of the network, width x height
	Layouts    []detect.Layout `json:"layouts"` // the fastest first
	Videos     []Video         `json:"videos"`
}

// Video is what frames of one video cost: milliseconds of one thread.
type Video struct {
	Name    string  `json:"name"`
	Width   int     `json:"width"`
	Height  int     `json:"height"`
	Decode  float64 `json:"decode_ms"`
	Plan    float64 `json:"plan_ms"`    // motion, under the adaptive policy
	Prepare float64 `json:"prepare_ms"` // of one look: crop, scale, colour
	Merge   float64 `json:"merge_ms"`   // under the grid policy
	Picture float64 `json:"picture_ms"` // of the annotated video, while somebody watches: scale and code
	Fits    []Fit   `json:"fits"`
}

// Fit is what fits under one policy. The adaptive one is there twice: where nothing moves, and where its budget is spent.
type Fit struct {
	Policy  bus.Policy `json:"policy"`
	Looks   int        `json:"looks"`   // of one frame
	Inputs  float64    `json:"inputs"`  // of the network's own size that are as large together as what the looks take
	Cost    float64    `json:"cost_ms"` // of one frame, milliseconds of one thread, with inference where the processors compute it
	Fastest float64    `json:"fastest"` // frames a second of all processors, and of the device that the network runs on
	Cameras []int      `json:"cameras"` // for each of Rates, at Load
}

// Measure takes some seconds, with nothing else running.
func Measure(ctx context.Context, o Options) (Report, error) {
	layouts, err := detect.MeasureLayouts(ctx, o.Detector, 2*o.Each, func(done, total int) { o.Progress("layouts", done, total) })
	if err != nil {
		return Report{}, err
	}
	r := Report{Processor: detect.Processor(), Processors: runtime.GOMAXPROCS(0), Layouts: layouts}
	cfg := o.Detector
	cfg.Workers, cfg.Threads, cfg.MaxBatch = 1, 1, 1
	engine, err := detect.Open(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		return Report{}, err
	}
	defer engine.Close()
	spec := engine.Spec()
	r.Model, r.Device, r.Input = spec.ID(), engine.Device(), fmt.Sprintf("%dx%d", spec.Width, spec.Height)
	clips, err := clipsOf(ctx, o)
	if err != nil {
		return Report{}, err
	}
	for i, c := range clips {
		v, err := c.measure(ctx, engine, o)
		if err != nil {
			return Report{}, fmt.Errorf("measure %s: %w", c.name, err)
		}
		v.fit(o.Tiles, func(regions []bus.Region) float64 {
			return float64(engine.Pixels(regions)) / float64(spec.Width*spec.Height)
		}, r.network())
		r.Videos = append(r.Videos, v)
		o.Progress("videos", i+1, len(clips))
	}
	return r, nil
}

// network is what inference takes: of the processors, or of a device beside them.
type network struct {
	processors int
	elsewhere  bool    // another device computes
	infer      float64 // milliseconds for a look in the network's own size: of one thread, or of that device
}

// network is that of the fastest layout.
func (r Report) network() network {
	n := network{processors: r.Processors, elsewhere: !detect.OnProcessor(r.Device)}
	if len(r.Layouts) == 0 || r.Layouts[0].Rate <= 0 {
		return n
	}
	if n.infer = 1000 / r.Layouts[0].Rate; !n.elsewhere {
		n.infer *= float64(r.Processors)
	}
	return n
}

// fit counts what fits under each policy. inputs tells how many inputs of the network's own size looks are worth.
func (v *Video) fit(t Tiles, inputs func([]bus.Region) float64, n network) {
	all := bus.PolicyGrid.Regions(v.Width, v.Height, t.Size, t.Overlap)
	planned := len(bus.PolicyAdaptive.Regions(v.Width, v.Height, t.Size, t.Overlap))
	whole := inputs(all[:1])
	adaptive := func(looks int) Fit { // tiles that lie apart
		return Fit{Policy: bus.PolicyAdaptive, Looks: looks, Inputs: whole + float64(looks-1), Cost: v.Plan}
	}
	v.Fits = []Fit{
		{Policy: bus.PolicyOff, Looks: 1, Inputs: whole},
		adaptive(min(planned, 2)), // nothing moves: the whole and the sweep's tile
		adaptive(min(planned, 1+t.Budget)),
		{Policy: bus.PolicyGrid, Looks: len(all), Inputs: inputs(all), Cost: v.Merge},
	}
	for i := range v.Fits {
		f := &v.Fits[i]
		f.Cost += v.Decode + float64(f.Looks)*v.Prepare
		if !n.elsewhere {
			f.Cost += f.Inputs * n.infer
		}
		f.Fastest = 1000 * float64(n.processors) / f.Cost
		if n.elsewhere {
			f.Fastest = min(f.Fastest, 1000/(f.Inputs*n.infer))
		}
		for _, rate := range Rates {
			f.Cameras = append(f.Cameras, int(math.Floor(Load*f.Fastest/float64(rate))))
		}
	}
}
