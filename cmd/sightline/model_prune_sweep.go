package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/sightline/sightline/models"
	"github.com/sightline/sightline/models/graph"
	"github.com/sightline/sightline/tools/bundle"
	"github.com/sightline/sightline/tools/calibrate"
	"github.com/sightline/sightline/tools/evaluate"
	"github.com/sightline/sightline/tools/prune"
)

// sweepPoint is what one amount makes of a model.
type sweepPoint struct {
	Amount    float64 `json:"amount"`
	Zeros     int64   `json:"zeros"`
	Weights   int64   `json:"weights"`
	AP        float64 `json:"ap"` // 0 to 1, as AP50
	AP50      float64 `json:"ap50"`
	GzipBytes int     `json:"gzip_bytes"`
}

// runSweep prunes by every amount in turn, measures each on --data, and writes no model.
func (f pruneFlags) runSweep(cmd *cobra.Command, in string) error {
	original, err := bundle.Open(in, f.input.Size)
	if err != nil {
		return err
	}
	set, err := f.open(cmd, original.Spec)
	if err != nil {
		return err
	}
	data, err := evaluate.ReadFolder(f.data)
	if err != nil {
		return err
	}
	card := original.Card(f.origin.url, f.origin.licence, "sightline model prune --sweep")
	var points []sweepPoint
	for i, amount := range append([]float64{0}, f.sweep...) {
		p, err := f.point(cmd.Context(), original.Model, card, amount, set, data)
		if err != nil {
			return fmt.Errorf("%s: amount %g: %w", in, amount, err)
		}
		points = append(points, p)
		fmt.Fprintf(cmd.ErrOrStderr(), "amounts: %d of %d\n", i+1, len(f.sweep)+1)
	}
	if f.json {
		return json.NewEncoder(cmd.OutOrStdout()).Encode(map[string]any{"data": filepath.Base(f.data), "sweep": points})
	}
	return printSweep(cmd.OutOrStdout(), points)
}

// point prunes a copy, and measures it as a detector would run it.
func (f pruneFlags) point(ctx context.Context, m *graph.Model, card models.Card, amount float64, set *calibrate.Set, data evaluate.Instances) (sweepPoint, error) {
	pruned, r, err := prune.Unstructured(ctx, m, prune.UnstructuredOptions{
		Amount: amount, PerLayer: f.scope == "layer", Importance: f.score(), NoRepair: f.repair == prune.RepairNone, Calibration: set,
	})
	if err != nil {
		return sweepPoint{}, err
	}
	dir, err := os.MkdirTemp("", "sightline-*")
	if err != nil {
		return sweepPoint{}, err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "trial.onnx")
	if err := bundle.Write(path, pruned, card); err != nil {
		return sweepPoint{}, err
	}
	a, err := evaluate.Model(ctx, path, data, evaluate.Options{Data: f.data})
	if err != nil {
		return sweepPoint{}, err
	}
	size, err := compressed(path)
	return sweepPoint{amount, r.Zeros, r.Weights, math.Round(a.AP*1e4) / 1e4, math.Round(a.AP50*1e4) / 1e4, size}, err
}

func printSweep(w io.Writer, points []sweepPoint) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "amount\tzeros\tAP\tto the whole\tAP50\tgzip KiB\t")
	for _, p := range points {
		fmt.Fprintf(table, "%g\t%.1f %%\t%.1f\t%+.1f\t%.1f\t%d\t\n", p.Amount, 100*float64(p.Zeros)/float64(max(1, p.Weights)), 100*p.AP, 100*(p.AP-points[0].AP), 100*p.AP50, p.GzipBytes>>10)
	}
	return table.Flush()
}
