package evaluate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"time"

	"github.com/sightline/sightline/detect"
	"github.com/sightline/sightline/detect/onnx"
	"github.com/sightline/sightline/models"
	"github.com/sightline/sightline/pipeline/picture"
)

// Latency is the time for one picture on one thread. Times of one machine vary by a third from hour to hour: what holds elsewhere is
// the ratio to the first model, taken round by round.
type Latency struct {
	Milliseconds float64 `json:"ms"`         // median
	Faster       float64 `json:"faster"`     // median of the ratios to the first model, above 1 where it is faster
	Low          float64 `json:"faster_low"` // quartiles of the ratios
	High         float64 `json:"faster_high"`
}

// contestant runs once, for the round of that number, and tells how long it took.
type contestant func(round int) (time.Duration, error)

const warmUps = 3

// alternate lets all run once in each round, so that a machine that is slow for a while is so for all; every second round goes
// backwards, so that nobody always follows the same neighbour.
func alternate(ctx context.Context, all []contestant, rounds int, progress func(done, total int)) ([]Latency, error) {
	times := make([][]float64, len(all))
	order := make([]int, len(all))
	for i := range order {
		order[i] = i
	}
	for round := -warmUps; round < rounds; round++ {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		for _, i := range order {
			took, err := all[i](max(0, round))
			if err != nil {
				return nil, err
			}
			if round >= 0 {
				times[i] = append(times[i], float64(took.Nanoseconds())/1e6)
			}
		}
		slices.Reverse(order)
		progress(max(0, round+1), rounds)
	}
	return latencies(times), nil
}

// latencies summarises times by contestant and round; none may be zero.
func latencies(times [][]float64) []Latency {
	list := make([]Latency, len(times))
	for i, own := range times {
		ratios := make([]float64, len(own))
		for k := range own {
			ratios[k] = times[0][k] / own[k]
		}
		slices.Sort(ratios)
		list[i] = Latency{quantile(slices.Sorted(slices.Values(own)), 0.5), quantile(ratios, 0.5), quantile(ratios, 0.25), quantile(ratios, 0.75)}
	}
	return list
}

// networks are the networks alone, on noise. The closer frees their sessions.
func networks(specs []models.Spec) (all []contestant, closers closers, err error) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, spec := range specs {
		s, err := openAlone(spec)
		if err != nil {
			return nil, nil, errors.Join(err, closers.Close())
		}
		closers = append(closers, s)
		for i := range s.Input() {
			s.Input()[i] = 255 * spec.Layout.Scale * random.Float32()
		}
		for i := range s.Levels() {
			s.Levels()[i] = uint8(random.IntN(256))
		}
		all = append(all, func(int) (time.Duration, error) {
			began := time.Now()
			err := s.Run(1)
			return time.Since(began), err
		})
	}
	return all, closers, nil
}

func openAlone(spec models.Spec) (*onnx.Session, error) {
	var outputs []onnx.Tensor
	for _, o := range spec.Outputs(1) {
		outputs = append(outputs, onnx.Tensor(o))
	}
	return onnx.Open(onnx.Options{
		Model: spec.Path, Threads: 1, Input: onnx.Tensor{Name: spec.Input, Shape: spec.InputShape(1)}, Outputs: outputs, Unit: spec.Layout.Scale,
	})
}

// pictures is how many pictures of the folder whole detection is timed on.
const pictures = 8

// detectors do what runs live, one session each: letterbox, network, decoding, merging. Reading the picture is left out.
func detectors(ctx context.Context, specs []models.Spec, in Instances, o MeasureOptions) (all []contestant, closers closers, err error) {
	looks, err := somePictures(in, o)
	if err != nil {
		return nil, nil, err
	}
	for _, spec := range specs {
		e, err := detect.Open(detect.Config{Model: spec.Path, Workers: 1, OneShape: true}, slog.New(slog.DiscardHandler))
		if err != nil {
			return nil, nil, errors.Join(err, closers.Close())
		}
		closers = append(closers, engineCloser{e})
		all = append(all, func(round int) (time.Duration, error) {
			r, err := e.Detect(ctx, looks[round%len(looks)])
			return r.Prepare + r.Infer + r.Merge, err
		})
	}
	return all, closers, nil
}

// somePictures reads pictures from all over the folder.
func somePictures(in Instances, o MeasureOptions) (looks []detect.Look, err error) {
	n := min(pictures, len(in.Images))
	r := cocoRun{Options: o.detection(nil)}
	for i := range n {
		pic, err := picture.DecodeFile(filepath.Join(o.Data, "images", in.Images[i*len(in.Images)/n].FileName))
		if err != nil {
			return nil, err
		}
		looks = append(looks, r.look(pic))
	}
	return looks, nil
}

// closers are closed together, the last opened first.
type closers []io.Closer

func (c closers) Close() error {
	var errs []error
	for _, one := range slices.Backward(c) {
		errs = append(errs, one.Close())
	}
	return errors.Join(errs...)
}

// engineCloser is an engine, whose Close has no error.
type engineCloser struct{ *detect.Engine }

func (e engineCloser) Close() error {
	e.Engine.Close()
	return nil
}

// timeModels times the networks alone and whole detection.
func timeModels(ctx context.Context, specs []models.Spec, in Instances, o MeasureOptions) (network, whole []Latency, err error) {
	race := func(what string, all []contestant, c closers) (list []Latency, err error) {
		defer func() { err = errors.Join(err, c.Close()) }()
		list, err = alternate(ctx, all, cmp.Or(o.Rounds, DefaultRounds), func(done, total int) { o.step(what, done, total) })
		if err != nil {
			return nil, fmt.Errorf("time models: %w", err)
		}
		return list, nil
	}
	all, c, err := networks(specs)
	if err != nil {
		return nil, nil, err
	}
	if network, err = race("rounds of the networks", all, c); err != nil {
		return nil, nil, err
	}
	if all, c, err = detectors(ctx, specs, in, o); err != nil {
		return nil, nil, err
	}
	whole, err = race("rounds of detection", all, c)
	return network, whole, err
}
