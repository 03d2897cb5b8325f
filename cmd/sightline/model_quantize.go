package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sightline/sightline/tools/bundle"
	"github.com/sightline/sightline/tools/compress"
	"github.com/sightline/sightline/tools/quantize"
)

// quantizeFlags are the flags of `sightline model quantize`.
type quantizeFlags struct {
	mode, calib, eval, measure, target string
	origin                             originFlags
	input                              sizeFlag
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
	f.input.add(flags)
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
	}
	if err := bundle.CheckOut(in, out); err != nil {
		return wrongUse{err}
	}
	original, err := bundle.Open(in, f.input.Size)
	if err != nil {
		return err
	}
	set, err := compress.OpenPictures(cmd.Context(), f.calib, original.Spec, f.pictures, warner(cmd))
	if err != nil {
		return err
	}
	card := original.Card(f.origin.url, f.origin.licence, f.command(in, out))
	options := quantize.StaticOptions{Calibration: set, Target: f.target, Progress: newProgress(cmd.ErrOrStderr()).show}
	if f.eval != "" {
		options.MaxDrop = f.maxDrop
		if options.Evaluate, err = compress.Evaluator(f.eval, card); err != nil {
			return err
		}
	}
	quantise := quantize.Static
	if f.target == quantize.TensorRT {
		quantise = quantize.ForTensorRT
	}
	q, report, err := quantise(cmd.Context(), original.Model, original.Head, original.Spec, options)
	if err != nil {
		return fmt.Errorf("%s: %w", in, err)
	}
	machine, err := compress.ThisMachine()
	if err != nil {
		return err
	}
	card.Report = map[string]any{"target": f.target, "quantised": report, "sensitivity": report.Sensitivity(), "machine": machine}
	warnBarriers(cmd, original.Barriers, card.Report)
	if f.measure != "" {
		if card.Report["measured"], err = compress.Measure(cmd.Context(), in, q, card, f.measure, options.Progress); err != nil {
			return err
		}
	}
	if err := bundle.Write(out, q, card); err != nil {
		return err
	}
	return f.print(cmd, report, out)
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
	words = append(words, f.input.words()...)
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
	fmt.Fprintf(w, "  %d parts stay float, error of the outputs %.4f%s\n", len(r.Islands), r.Error, helped(r))
	return nil
}

// helped names what was done to the whole network because it helped.
func helped(r quantize.Report) (text string) {
	for _, step := range []struct {
		done bool
		what string
	}{
		{r.ByChannel, "every SiLU with levels by channel"}, {r.Solved, "weights solved for int8"}, {r.Corrected, "biases corrected"},
	} {
		if step.done {
			text += "; " + step.what
		}
	}
	return text
}
