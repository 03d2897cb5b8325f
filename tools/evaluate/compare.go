package evaluate

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"slices"
	"time"

	"github.com/sightline/sightline/detect"
	"github.com/sightline/sightline/detect/onnx"
	"github.com/sightline/sightline/models"
	"github.com/sightline/sightline/tools/onnxgraph"
)

// Measured is what was measured of one model.
type Measured struct {
	File         string     `json:"file"`
	Accuracy                // of all pictures
	Difference   Difference `json:"difference"` // of AP, to the first model
	Bytes        int64      `json:"bytes"`
	Parameters   int64      `json:"parameters"`
	MACs         int64      `json:"macs"`     // multiply-adds of the convolutions for one picture
	Sparsity     float64    `json:"sparsity"` // share of the kernels' weights that are zero
	Milliseconds float64    `json:"ms"`       // median time of the network for one picture, one thread
	Faster       float64    `json:"faster"`   // median of the ratios to the first model
}

// Difference is how far two figures are apart, with the range that holds 95 % of what other pictures of the same kind would give.
type Difference struct {
	Mean float64 `json:"mean"`
	Low  float64 `json:"low"`
	High float64 `json:"high"`
}

const (
	rounds    = 41   // of the models taking turns
	resamples = 1000 // of the pictures
)

// Compare measures models on one COCO folder.
func Compare(ctx context.Context, files []string, o Options) ([]Measured, error) {
	in, err := ReadFolder(o.Data)
	if err != nil {
		return nil, err
	}
	all := make([]Measured, len(files))
	scorers := make([]*scorer, len(files))
	for i, file := range files {
		results, err := detectWith(ctx, file, in, o)
		if err != nil {
			return nil, err
		}
		scorers[i] = newScorer(in, results, maxPerImage)
		all[i] = Measured{File: file, Accuracy: scorers[i].accuracy(nil), Difference: differ(scorers[0], scorers[i])}
		if err := all[i].weigh(); err != nil {
			return nil, err
		}
	}
	return all, takeTurns(ctx, files, all)
}

func detectWith(ctx context.Context, file string, in Instances, o Options) ([]Result, error) {
	engine, err := detect.Open(detect.Config{Model: file, Score: lowScore}, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, err
	}
	defer engine.Close()
	return Detect(ctx, engine, in, o)
}

// weigh reads what the file itself tells.
func (m *Measured) weigh() error {
	info, err := os.Stat(m.File)
	if err != nil {
		return fmt.Errorf("measure model: %w", err)
	}
	m.Bytes = info.Size()
	model, err := onnxgraph.Read(m.File)
	if err != nil {
		return err
	}
	var kernels, zeros int64
	m.Parameters, kernels, zeros = onnxgraph.Weights(model)
	m.Sparsity = float64(zeros) / float64(max(1, kernels))
	m.MACs, err = onnxgraph.TotalMACs(model, onnxgraph.RunOptions{})
	return err
}

// differ draws pictures with replacement, the same for both models, again and again.
func differ(a, b *scorer) Difference {
	d := Difference{Mean: b.accuracy(nil).AP - a.accuracy(nil).AP}
	if a == b || len(a.images) == 0 {
		return d
	}
	random := rand.New(rand.NewPCG(20, 26))
	list := make([]float64, resamples)
	choice := make([]int, len(a.images))
	for i := range list {
		for k := range choice {
			choice[k] = random.IntN(len(choice))
		}
		list[i] = mean(b.precision(0, choice)) - mean(a.precision(0, choice))
	}
	slices.Sort(list)
	d.Low, d.High = list[resamples*25/1000], list[resamples*975/1000]
	return d
}

func mean(v [thresholds]float64) float64 {
	sum := 0.0
	for _, x := range v {
		sum += x
	}
	return sum / thresholds
}

// takeTurns times the networks alone: one run of each, again and again, so that a machine that is slow for a while is so for all.
func takeTurns(ctx context.Context, files []string, all []Measured) error {
	sessions := make([]*onnx.Session, len(files))
	for i, file := range files {
		spec, err := models.Load(file)
		if err != nil {
			return err
		}
		if sessions[i], err = openAlone(spec); err != nil {
			return err
		}
		defer sessions[i].Close() //nolint:errcheck // frees memory
	}
	times, ratios := make([][]float64, len(files)), make([][]float64, len(files))
	for range rounds {
		if err := ctx.Err(); err != nil {
			return err
		}
		first := 0.0
		for i, s := range sessions {
			began := time.Now()
			if err := s.Run(1); err != nil {
				return err
			}
			took := float64(time.Since(began).Nanoseconds()) / 1e6
			if i == 0 {
				first = took
			}
			times[i], ratios[i] = append(times[i], took), append(ratios[i], first/took)
		}
	}
	for i := range all {
		all[i].Milliseconds, all[i].Faster = median(times[i]), median(ratios[i])
	}
	return nil
}

func openAlone(spec models.Spec) (*onnx.Session, error) {
	var outputs []onnx.Tensor
	for _, o := range spec.Outputs(1) {
		outputs = append(outputs, onnx.Tensor(o))
	}
	return onnx.Open(onnx.Options{
		Model: spec.Path, Threads: 1, Input: onnx.Tensor{Name: spec.Input, Shape: spec.InputShape(1)}, Outputs: outputs,
	})
}

func median(v []float64) float64 {
	slices.Sort(v)
	return v[len(v)/2]
}
