package compress

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"

	"github.com/sightline/sightline/detect/onnx"
	"github.com/sightline/sightline/models"
	"github.com/sightline/sightline/models/graph"
	"github.com/sightline/sightline/tools/bundle"
	"github.com/sightline/sightline/tools/calibrate"
	"github.com/sightline/sightline/tools/evaluate"
	"github.com/sightline/sightline/tools/onnxgraph"
)

// Pair holds something of the original and of what was made of it.
type Pair[T any] struct {
	Original T `json:"original" yaml:"original"`
	This     T `json:"this" yaml:"this"`
}

// Sizes are what a file tells without a picture.
type Sizes struct {
	Bytes      int64   `json:"bytes" yaml:"bytes"`
	Gzip       int64   `json:"gzip_bytes" yaml:"gzip_bytes"`
	Parameters int64   `json:"parameters" yaml:"parameters"`
	MACs       int64   `json:"macs" yaml:"macs"`         // for one picture
	Int8       float64 `json:"int8" yaml:"int8"`         // share of the MACs that run on whole numbers
	Sparsity   float64 `json:"sparsity" yaml:"sparsity"` // share of the kernels' weights that are zero
}

// Checked is what the recipe's check found, in points of AP.
type Checked struct {
	Folder   string  `json:"folder" yaml:"folder"`
	Original float64 `json:"original" yaml:"original"`
	This     float64 `json:"this" yaml:"this"`
}

// Figures are what was measured of a model beside its original.
type Figures struct {
	Data       string             `json:"data" yaml:"data"` // name of the folder
	Original   Figure             `json:"original" yaml:"original"`
	This       Figure             `json:"this" yaml:"this"`
	FasterBy   float64            `json:"faster_by" yaml:"faster_by"`         // of the network alone, one thread
	Detection  float64            `json:"detection_by" yaml:"detection_by"`   // with letterbox, decoding and merging
	Difference map[string]float64 `json:"ap_difference" yaml:"ap_difference"` // mean, and low and high of its 95 % interval
}

// Figure is what was measured of one model.
type Figure struct {
	AP    float64 `json:"ap" yaml:"ap"`
	AP50  float64 `json:"ap50" yaml:"ap50"`
	Bytes int64   `json:"bytes" yaml:"bytes"`
	MACs  int64   `json:"macs" yaml:"macs"`
}

// OpenPictures opens a calibration folder, refuses pictures that show nothing, and warns of too few.
func OpenPictures(ctx context.Context, dir string, spec models.Spec, limit int, warn func(string)) (*calibrate.Set, error) {
	set, err := calibrate.Open(dir, spec, limit)
	if err != nil {
		return nil, err
	}
	if err := set.First(16).CheckVaried(ctx); err != nil {
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	if n := set.Len(); n < calibrate.Few && warn != nil {
		warn(fmt.Sprintf("only %d pictures to calibrate with: what is learnt of them is a guess below %d", n, calibrate.Few))
	}
	return set, nil
}

// Evaluator gives the AP in points of networks that a card describes, as a detector would run them.
func Evaluator(data string, card models.Card) (func(context.Context, *graph.Model) (float64, error), error) {
	in, err := evaluate.ReadFolder(data)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, m *graph.Model) (points float64, err error) {
		err = staged(m, card, func(file string) error {
			a, err := evaluate.Model(ctx, file, in, evaluate.Options{Data: data})
			points = 100 * a.AP
			return err
		})
		return points, err
	}, nil
}

// Measure measures a network beside its original on a folder in COCO form.
func Measure(ctx context.Context, original string, m *graph.Model, card models.Card, data string, step func(string, int, int)) (Figures, error) {
	var f Figures
	err := staged(m, card, func(file string) error {
		r, err := evaluate.Measure(ctx, []string{original, file}, evaluate.MeasureOptions{Data: data, Step: step})
		if err != nil {
			return err
		}
		before, this := r.Models[0], r.Models[1]
		figure := func(m evaluate.ModelReport) Figure { return Figure{round(m.AP, 4), round(m.AP50, 4), m.Bytes, m.MACs} }
		d := this.Difference
		f = Figures{r.Data, figure(before), figure(this), round(this.Network.Faster, 2), round(this.Whole.Faster, 2),
			map[string]float64{"mean": round(d.Mean, 4), "low": round(d.Low, 4), "high": round(d.High, 4)}}
		return nil
	})
	return f, err
}

func round(v float64, digits int) float64 {
	p := math.Pow10(digits)
	return math.Round(v*p) / p
}

// staged writes a bundle where nobody looks, for as long as fn takes.
func staged(m *graph.Model, card models.Card, fn func(file string) error) (err error) {
	dir, err := os.MkdirTemp("", "sightline-*")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	file := filepath.Join(dir, "made.onnx")
	if err := bundle.Write(file, m, card); err != nil {
		return err
	}
	return fn(file)
}

func (w *work) weigh(context.Context) error {
	return staged(w.model, w.card, func(file string) error {
		for path, to := range map[string]*Sizes{w.in: &w.report.Sizes.Original, file: &w.report.Sizes.This} {
			spec, err := models.Load(path)
			if err != nil {
				return err
			}
			s, err := evaluate.Weigh(spec)
			if err != nil {
				return err
			}
			*to = Sizes{s.Bytes, s.Gzip, s.Parameters, s.MACs, round(s.Int8, 4), round(s.Sparsity, 4)}
		}
		return nil
	})
}

// check holds the accuracy against the original's.
func (w *work) check(ctx context.Context) error {
	c := w.o.Recipe.Check
	if c == nil || c.MaxDrop == nil {
		return nil
	}
	in, err := evaluate.ReadFolder(w.o.Eval)
	if err != nil {
		return err
	}
	before, err := evaluate.Model(ctx, w.in, in, evaluate.Options{Data: w.o.Eval})
	if err != nil {
		return err
	}
	measure, err := Evaluator(w.o.Eval, w.card)
	if err != nil {
		return err
	}
	this, err := measure(ctx, w.model)
	if err != nil {
		return err
	}
	w.report.Checked = &Checked{filepath.Base(filepath.Clean(w.o.Eval)), round(100*before.AP, 2), round(this, 2)}
	if drop := 100*before.AP - this; drop > *c.MaxDrop {
		return fmt.Errorf("the AP on %s drops by %.2f points, from %.2f to %.2f: the recipe's check allows %g; take less away, or allow more",
			w.o.Eval, drop, 100*before.AP, this, *c.MaxDrop)
	}
	return nil
}

func (w *work) measure(ctx context.Context) error {
	if w.o.Measure == "" {
		return nil
	}
	f, err := Measure(ctx, w.in, w.model, w.card, w.o.Measure, w.o.Progress)
	w.report.Measured = &f
	return err
}

// farOff is how far the optimised network may be from the network as written, as a share of the squares of its outputs.
const farOff = 1e-4

// prove holds what onnxruntime makes of a float network against the network as written. Of int8, quantising has proved it.
func (w *work) prove(context.Context) error {
	if w.o.Recipe.Quantize != nil {
		return nil
	}
	shape, err := w.model.InputShape()
	if err != nil {
		return err
	}
	random := rand.New(rand.NewPCG(1, 1))
	input := onnx.Array{Shape: shape, Data: make([]float32, shape[0]*shape[1]*shape[2]*shape[3])}
	for i := range input.Data {
		input.Data[i] = random.Float32() * 255 * w.original.Spec.Layout.Scale
	}
	var out [2]map[string]onnx.Array
	for i, level := range []onnx.Optimisation{onnx.OptimiseNothing, onnx.OptimiseAll} {
		s, err := onnxgraph.Open(w.model, nil, onnxgraph.RunOptions{Level: level})
		if err != nil {
			return err
		}
		out[i], err = s.Run(input)
		if err := errors.Join(err, s.Close()); err != nil {
			return err
		}
	}
	off, all := 0.0, 1e-12
	for name, a := range out[0] {
		for i, v := range a.Data {
			d := float64(v - out[1][name].Data[i])
			off, all = off+d*d, all+float64(v)*float64(v)
		}
	}
	if !(off <= farOff*all) {
		return fmt.Errorf("onnxruntime's optimiser changes what the network gives (by %.2g of its squares); please report this model", off/all)
	}
	return nil
}
