package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/sightline/sightline/models"
	"github.com/sightline/sightline/models/graph"
	"github.com/sightline/sightline/tools/bundle"
	"github.com/sightline/sightline/tools/compress"
	"github.com/sightline/sightline/tools/evaluate"
	"github.com/sightline/sightline/tools/quantize"
)

// dynamicReport is what the card says of a network that was quantised without pictures.
type dynamicReport struct {
	quantize.DynamicReport `yaml:",inline"`
	Bytes                  int64   `json:"bytes" yaml:"bytes"`
	BytesBefore            int64   `json:"bytes_before" yaml:"bytes_before"`
	Faster                 float64 `json:"faster" yaml:"faster"` // median of the ratios to the original; below 1: slower
	FasterLow              float64 `json:"faster_low" yaml:"faster_low"`
	FasterHigh             float64 `json:"faster_high" yaml:"faster_high"`
	Machine                string  `json:"machine" yaml:"machine"` // that it was timed on
}

// raceRounds is how often the new network and its original take turns.
const raceRounds = 15

func (f quantizeFlags) dynamic(cmd *cobra.Command, in, out string) error {
	switch {
	case f.calib != "" || f.eval != "":
		return wrongUse{errors.New("--calib and --eval are of --mode static: dynamic needs no pictures; leave them out")}
	}
	if err := bundle.CheckOut(in, out); err != nil {
		return wrongUse{err}
	}
	original, err := bundle.Open(in, f.input.Size)
	if err != nil {
		return err
	}
	q, quantised, err := quantize.Dynamic(original.Model, quantize.DynamicOptions{Target: f.target})
	if err != nil {
		return fmt.Errorf("%s: %w", in, err)
	}
	card := original.Card(f.origin.url, f.origin.licence, f.command(in, out))
	card.Report = map[string]any{"target": f.target}
	warnBarriers(cmd, original.Barriers, card.Report)
	report, err := f.race(cmd, in, q, card)
	if err != nil {
		return err
	}
	report.DynamicReport = quantised
	card.Report["quantised"] = report
	if f.measure != "" {
		if card.Report["measured"], err = compress.Measure(cmd.Context(), in, q, card, f.measure, newProgress(cmd.ErrOrStderr()).show); err != nil {
			return err
		}
	}
	if err := bundle.Write(out, q, card); err != nil {
		return err
	}
	return f.printDynamic(cmd, report, out)
}

// race times the new network beside its original, and weighs both. Nothing lies at its place before that.
func (f quantizeFlags) race(cmd *cobra.Command, in string, q *graph.Model, card models.Card) (r dynamicReport, err error) {
	dir, err := os.MkdirTemp("", "sightline-*")
	if err != nil {
		return r, err
	}
	defer os.RemoveAll(dir)
	trial := filepath.Join(dir, "trial.onnx")
	if err := bundle.Write(trial, q, card); err != nil {
		return r, err
	}
	progress := newProgress(cmd.ErrOrStderr())
	times, err := evaluate.Race(cmd.Context(), []string{in, trial}, raceRounds, func(done, total int) { progress.show("rounds", done, total) })
	if err != nil {
		return r, err
	}
	for file, size := range map[string]*int64{in: &r.BytesBefore, trial: &r.Bytes} {
		info, err := os.Stat(file)
		if err != nil {
			return r, err
		}
		*size = info.Size()
	}
	r.Faster, r.FasterLow, r.FasterHigh = round2(times[1].Faster), round2(times[1].Low), round2(times[1].High)
	r.Machine = evaluate.Machine()
	return r, nil
}

func round2(v float64) float64 { return math.Round(v*100) / 100 }

func (f quantizeFlags) printDynamic(cmd *cobra.Command, r dynamicReport, out string) error {
	w := cmd.OutOrStdout()
	if f.json {
		return json.NewEncoder(w).Encode(r)
	}
	fmt.Fprintf(w, "%s\n  %d of %d layers on whole numbers, %.1f %% of the weights in 8 bits\n", out, r.Int8Layers, r.Layers, 100*r.Int8Weights)
	fmt.Fprintf(w, "  %d KiB instead of %d\n", (r.Bytes+1023)>>10, (r.BytesBefore+1023)>>10)
	if r.Faster < 1 {
		fmt.Fprintf(w, "  slower than the original by %.2fx here (%s): it is good for a small file only; for speed, --mode static\n", 1/r.Faster, r.Machine)
		return nil
	}
	fmt.Fprintf(w, "  faster than the original by %.2fx here (%s); --mode static is faster still\n", r.Faster, r.Machine)
	return nil
}
