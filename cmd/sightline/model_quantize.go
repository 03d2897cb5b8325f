package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sightline/sightline/models"
	"github.com/sightline/sightline/models/graph"
	"github.com/sightline/sightline/tools/bundle"
	"github.com/sightline/sightline/tools/calibrate"
	"github.com/sightline/sightline/tools/evaluate"
	"github.com/sightline/sightline/tools/onnxgraph"
	"github.com/sightline/sightline/tools/quantize"
)

// quantizeFlags are the flags of `sightline model quantize`.
type quantizeFlags struct {
	mode, calib, eval, measure, target string
	origin                             originFlags
	pictures                           int
	maxDrop                            float64
	json                               bool
}

func newQuantize() *cobra.Command {
	var f quantizeFlags
	cmd := &cobra.Command{
		Use:   "quantize [--mode dynamic] --calib DIR [--eval DIR --max-drop D] IN.onnx OUT.onnx",
		Short: "Make an int8 model of a float one",
		Long: `Make an int8 model of a float one, and a card beside it.

Ranges are found on the pictures of --calib, without labels. Parts whose rounding the outputs would suffer from stay float. With --eval,
a folder in COCO form, more parts stay float until the average precision drops by at most --max-drop points.

--mode dynamic needs no pictures: ranges are found anew for every picture while the network runs. It makes the file small, but on most
processors the network is slower than in float; it is timed here, and the card says by how much.`,
		Example: "  sightline model quantize --calib pictures/ yolox_nano.onnx yolox-nano-int8.onnx",
		Args:    usage(cobra.ExactArgs(2)),
		RunE:    func(cmd *cobra.Command, args []string) error { return f.run(cmd, args[0], args[1]) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.mode, "mode", "static", "static or dynamic")
	flags.StringVar(&f.calib, "calib", "", "`DIR` with pictures of what the cameras see")
	flags.IntVar(&f.pictures, "pictures", 300, "at most `N` of them")
	flags.StringVar(&f.eval, "eval", "", "`DIR` with images/ and instances.json in COCO form")
	flags.Float64Var(&f.maxDrop, "max-drop", 0.7, "largest drop of AP on --eval, in points")
	flags.StringVar(&f.measure, "measure", "", "`DIR` in COCO form on which the card's figures are measured")
	flags.StringVar(&f.target, "target", "cpu", "cpu, avx2 (x86-64 without VNNI), arm64, or trt (a file for TensorRT)")
	f.origin.add(flags)
	flags.BoolVar(&f.json, "json", false, "print the report as JSON")
	return cmd
}

func (f quantizeFlags) run(cmd *cobra.Command, in, out string) error {
	switch {
	case f.mode == "dynamic":
		return f.dynamic(cmd, in, out)
	case f.mode != "static":
		return wrongUse{fmt.Errorf("--mode %.40q: must be static or dynamic", f.mode)}
	case f.calib == "":
		return wrongUse{errors.New("--calib is needed: a folder with some hundred pictures of what the cameras see")}
	case !strings.HasSuffix(out, ".onnx"):
		return wrongUse{fmt.Errorf("%s: the new model's name must end in .onnx", out)}
	}
	spec, err := models.Load(in)
	if err != nil {
		return err
	}
	m, err := graph.Read(in)
	if err != nil {
		return err
	}
	simple, err := onnxgraph.Simplify(m, onnxgraph.RunOptions{})
	if err != nil {
		return fmt.Errorf("simplify %s: %w", in, err)
	}
	set, err := calibrate.Open(f.calib, spec, f.pictures)
	if err != nil {
		return err
	}
	if n := set.Len(); n < calibrate.Few {
		fmt.Fprintf(cmd.ErrOrStderr(), "sightline: only %d pictures to calibrate with: ranges are guesses below %d\n", n, calibrate.Few)
	}
	card := bundle.Card(spec, simple.Head, f.origin.of(in, spec), f.origin.licenceOf(spec), f.command(in, out))
	options := quantize.StaticOptions{Calibration: set, Target: f.target, Progress: newProgress(cmd.ErrOrStderr()).show}
	if f.eval != "" {
		options.MaxDrop = f.maxDrop
		if options.Evaluate, err = f.evaluator(card); err != nil {
			return err
		}
	}
	quantise := quantize.Static
	if f.target == quantize.TensorRT {
		quantise = quantize.ForTensorRT
	}
	q, report, err := quantise(cmd.Context(), m, simple.Head, spec, options)
	if err != nil {
		return fmt.Errorf("%s: %w", in, err)
	}
	card.Report = map[string]any{"target": f.target, "quantised": report, "sensitivity": report.Sensitivity()}
	warnBarriers(cmd, simple, card.Report)
	if err := bundle.Write(out, q, card); err != nil {
		return err
	}
	if f.measure != "" {
		if err := f.addFigures(cmd.Context(), &card, in, out, q); err != nil {
			return err
		}
	}
	return f.print(cmd, report, out)
}

// addFigures measures the new model beside its original and writes what came of it into the card.
func (f quantizeFlags) addFigures(ctx context.Context, card *models.Card, in, out string, q *graph.Model) error {
	measured, err := evaluate.Measure(ctx, []string{in, out}, evaluate.MeasureOptions{Data: f.measure})
	if err != nil {
		return err
	}
	all := measured.Models
	figures := func(m evaluate.ModelReport) map[string]any {
		return map[string]any{"ap": round4(m.AP), "ap50": round4(m.AP50), "bytes": m.Bytes, "macs": m.MACs}
	}
	card.Report["measured"] = map[string]any{
		"data": filepath.Base(f.measure), "original": figures(all[0]), "this": figures(all[1]),
		"faster_by": math.Round(all[1].Network.Faster*100) / 100,
		"ap_difference": map[string]float64{
			"mean": round4(all[1].Difference.Mean), "low": round4(all[1].Difference.Low), "high": round4(all[1].Difference.High),
		},
	}
	return bundle.Write(out, q, *card)
}

func round4(v float64) float64 { return math.Round(v*1e4) / 1e4 }

// evaluator measures networks as a detector would run them.
func (f quantizeFlags) evaluator(card models.Card) (func(context.Context, *graph.Model) (float64, error), error) {
	in, err := evaluate.ReadFolder(f.eval)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, m *graph.Model) (float64, error) {
		dir, err := os.MkdirTemp("", "sightline-*")
		if err != nil {
			return 0, err
		}
		defer os.RemoveAll(dir)
		path := filepath.Join(dir, "trial.onnx")
		if err := bundle.Write(path, m, card); err != nil {
			return 0, err
		}
		a, err := evaluate.Model(ctx, path, in, evaluate.Options{Data: f.eval})
		return 100 * a.AP, err
	}, nil
}

// command is what makes the same file again, without the places where files lay.
func (f quantizeFlags) command(in, out string) string {
	words := []string{"sightline model quantize --mode", f.mode, "--target", f.target}
	if f.mode == "static" {
		words = append(words, "--calib", filepath.Base(f.calib), "--pictures", fmt.Sprint(f.pictures))
	}
	if f.eval != "" {
		words = append(words, "--eval", filepath.Base(f.eval), "--max-drop", fmt.Sprint(f.maxDrop))
	}
	return strings.Join(append(words, filepath.Base(in), filepath.Base(out)), " ")
}

func (f quantizeFlags) print(cmd *cobra.Command, r quantize.Report, out string) error {
	if f.json {
		return json.NewEncoder(cmd.OutOrStdout()).Encode(r)
	}
	w := cmd.OutOrStdout()
	if f.target == quantize.TensorRT {
		fmt.Fprintf(w, "%s\n  %d of %d convolutions marked for int8, %.1f %% of the multiply-adds\n", out, r.Int8Convs, r.Convs, 100*r.Int8MACs)
		fmt.Fprintf(w, "  %d parts stay float, error of the outputs %.4f; speed was not measured: that needs a GPU\n", len(r.Islands), r.Error)
		return nil
	}
	fmt.Fprintf(w, "%s\n  %d of %d convolutions in int8, %.1f %% of the multiply-adds\n", out, r.Int8Convs, r.Convs, 100*r.Int8MACs)
	fmt.Fprintf(w, "  %d parts stay float, error of the outputs %.4f, biases corrected: %v\n", len(r.Islands), r.Error, r.Corrected)
	return nil
}
