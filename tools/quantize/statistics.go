package quantize

import (
	"context"
	"fmt"
	"math"

	"golang.org/x/sync/errgroup"

	"github.com/sightline/sightline/detect/onnx"
	"github.com/sightline/sightline/models/graph"
	"github.com/sightline/sightline/tools/calibrate"
	"github.com/sightline/sightline/tools/onnxgraph"
)

// bins is the resolution of a histogram: memory is this for each tensor, however many pictures are shown.
const bins = 2048

// histogram says how often a tensor takes which values.
type histogram struct {
	min, max float64
	counts   [bins]float64
	channels []*histogram // of each channel, for outputs of the network
	reaches  []reach      // of each channel, for what SiLUs read
}

func newHistogram() *histogram { return &histogram{min: math.Inf(1), max: math.Inf(-1)} }

// eachChannel hands the values of one picture to the histograms of their channels.
func (h *histogram) eachChannel(a onnx.Array, look func(*histogram, []float32) error) error {
	if h.channels == nil {
		return nil
	}
	per := len(a.Data) / len(h.channels)
	for c, of := range h.channels {
		if err := look(of, a.Data[c*per:(c+1)*per]); err != nil {
			return err
		}
	}
	return nil
}

// centre is the value in the middle of a bin.
func (h *histogram) centre(bin int) float64 {
	return h.min + (float64(bin)+0.5)*(h.max-h.min)/bins
}

// extend takes in how far values go, and tells it: in as few comparisons as can be, since all tensors of all pictures go through it.
func (h *histogram) extend(values []float32) (low, high float32, err error) {
	low, high = values[0], values[0]
	for _, v := range values {
		if v >= low && v <= high {
			continue
		}
		if low, high = min(low, v), max(high, v); v != v {
			break
		}
	}
	if far := high - low; far-far != 0 { // NaN, or infinite
		return low, high, fmt.Errorf("takes the values %g to %g: the network is broken", low, high)
	}
	h.min, h.max = min(h.min, float64(low)), max(h.max, float64(high))
	return low, high, nil
}

func (h *histogram) count(values []float32) {
	if h.max <= h.min {
		h.counts[0] += float64(len(values))
		return
	}
	per := bins / (h.max - h.min)
	for _, v := range values {
		h.counts[min(bins-1, max(0, int((float64(v)-h.min)*per)))]++
	}
}

// observe runs the network over all pictures twice, for the extent and for the histograms of the named tensors.
func observe(ctx context.Context, m *graph.Model, names []string, fields map[string]field, set *calibrate.Set, o onnxgraph.RunOptions, progress Progress) (map[string]*histogram, error) {
	stats := make(map[string]*histogram, len(names))
	for _, name := range names {
		stats[name] = newHistogram()
		for range fields[name].channels {
			stats[name].channels = append(stats[name].channels, newHistogram())
		}
		stats[name].reaches = make([]reach, fields[name].reaches)
	}
	session, err := onnxgraph.Open(m, names, o)
	if err != nil {
		return nil, err
	}
	defer session.Close() //nolint:errcheck // frees memory
	shape, err := m.InputShape()
	if err != nil {
		return nil, err
	}
	for pass, look := range []func(*histogram, onnx.Array) error{(*histogram).stretch, (*histogram).fill} {
		err := set.Each(ctx, func(i int, input []float32) error {
			progress.show("ranges", pass*set.Len()+i+1, 2*set.Len())
			out, err := session.Run(onnx.Array{Shape: shape, Data: input})
			if err != nil {
				return err
			}
			return lookAll(out, stats, o.Threads, look)
		})
		if err != nil {
			return nil, err
		}
	}
	return stats, nil
}

// lookAll hands each tensor of a picture to its histogram, several at a time: counting takes longer than the network.
func lookAll(out map[string]onnx.Array, stats map[string]*histogram, threads int, look func(*histogram, onnx.Array) error) error {
	var looking errgroup.Group
	looking.SetLimit(max(1, threads))
	for name, a := range out {
		looking.Go(func() error {
			if err := look(stats[name], a); err != nil {
				return fmt.Errorf("tensor %s %w", name, err)
			}
			return nil
		})
	}
	return looking.Wait()
}

// stretch takes in how far a tensor and its channels go in one picture.
func (h *histogram) stretch(a onnx.Array) error {
	rows := max(1, len(h.reaches))
	each := len(a.Data) / rows
	for c := range rows {
		low, high, err := h.extend(a.Data[c*each : (c+1)*each])
		if err != nil {
			return err
		}
		if len(h.reaches) > 0 {
			r := &h.reaches[c]
			r.lows, r.highs = append(r.lows, low), append(r.highs, high)
		}
	}
	return h.eachChannel(a, func(of *histogram, values []float32) error {
		_, _, err := of.extend(values)
		return err
	})
}

// fill counts the values of one picture.
func (h *histogram) fill(a onnx.Array) error {
	h.count(a.Data)
	return h.eachChannel(a, func(of *histogram, values []float32) error { of.count(values); return nil })
}

// Progress is told how far long work has come; it may be nil.
type Progress func(what string, done, total int)

func (p Progress) show(what string, done, total int) {
	if p != nil {
		p(what, done, total)
	}
}
