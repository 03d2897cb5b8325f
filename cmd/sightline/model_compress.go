package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sightline/sightline/pipeline/strict"
	"github.com/sightline/sightline/tools/bundle"
	"github.com/sightline/sightline/tools/compress"
)

// compressFlags are the flags of `sightline model compress`.
type compressFlags struct {
	recipe, calib, eval, measure string
	origin                       originFlags
	json                         bool
}

func newCompress() *cobra.Command {
	var f compressFlags
	cmd := &cobra.Command{
		Use:   "compress --recipe FILE [--calib DIR] [--eval DIR] [--measure DIR] IN.onnx OUT.onnx",
		Short: "Make a small model of a big one by a recipe: input size, pruning, int8",
		Long: `Make a small model of a big one by a recipe: input size, pruning, int8, in one step that can be repeated.

The recipe says what is done (models/recipes/ has examples, each key explained), the flags with which pictures. What comes out is
a bundle: the network, and its card with the recipe, the original's sha256, the pictures' sha256 and what was measured. The same inputs
give the same bytes. Until all of it is done and checked nothing is written.`,
		Example: "  sightline model compress --recipe models/recipes/int8.yaml --calib pictures/ --measure coco-dev yolox_nano.onnx small.onnx",
		Args:    usage(cobra.ExactArgs(2)),
		RunE:    func(cmd *cobra.Command, args []string) error { return f.run(cmd, args[0], args[1]) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.recipe, "recipe", "", "recipe `FILE` (.yaml)")
	flags.StringVar(&f.calib, "calib", "", "`DIR` with pictures of what the cameras see")
	flags.StringVar(&f.eval, "eval", "", "`DIR` in COCO form, for recipes that hold an accuracy (max_drop)")
	flags.StringVar(&f.measure, "measure", "", "`DIR` in COCO form on which the card's figures are measured")
	f.origin.add(flags)
	flags.BoolVar(&f.json, "json", false, "print the report as JSON")
	return cmd
}

func (f compressFlags) run(cmd *cobra.Command, in, out string) error {
	if f.recipe == "" {
		return wrongUse{errors.New("--recipe is needed: a file that says what is done; see models/recipes/")}
	}
	recipe, err := compress.Load(f.recipe)
	if err != nil {
		if errors.As(err, new(strict.Faults)) {
			err = wrongUse{fmt.Errorf("recipe refused:\n%w", err)}
		}
		return err
	}
	o := compress.Options{
		Recipe: recipe, Calib: f.calib, Eval: f.eval, Measure: f.measure, URL: f.origin.url, Licence: f.origin.licence,
		Command: f.command(in, out), Warn: warner(cmd), Progress: newProgress(cmd.ErrOrStderr()).show,
	}
	if err := errors.Join(o.Check(), bundle.CheckOut(in, out)); err != nil {
		return wrongUse{err}
	}
	report, err := compress.Run(cmd.Context(), in, out, o)
	if err != nil {
		return err
	}
	if f.json {
		return json.NewEncoder(cmd.OutOrStdout()).Encode(report)
	}
	return printCompressed(cmd.OutOrStdout(), out, report)
}

// command is what makes the same file again, without the places where files lay.
func (f compressFlags) command(in, out string) string {
	words := []string{"sightline model compress --recipe", filepath.Base(f.recipe)}
	for _, dir := range [][2]string{{"--calib", f.calib}, {"--eval", f.eval}} {
		if dir[1] != "" {
			words = append(words, dir[0], filepath.Base(filepath.Clean(dir[1])))
		}
	}
	return strings.Join(append(words, filepath.Base(in), filepath.Base(out)), " ")
}

func printCompressed(w io.Writer, out string, r compress.Report) error {
	before, this := r.Sizes.Original, r.Sizes.This
	fmt.Fprintln(w, out)
	if r.Input.From != r.Input.To {
		fmt.Fprintf(w, "  looks at %s instead of %s\n", r.Input.To, r.Input.From)
	}
	if p := r.Pruned; p != nil {
		fmt.Fprintf(w, "  %d of %d weights are zero, repaired: %v\n", p.Zeros, p.Weights, p.Repaired)
	}
	if c := r.Cut; c != nil {
		fmt.Fprintf(w, "  channels cut out, repaired by %s: %.1f %% of the multiply-adds saved\n", c.Repair, 100*float64(c.MACsBefore-c.MACs)/float64(max(1, c.MACsBefore)))
	}
	if q := r.Dynamic; q != nil {
		fmt.Fprintf(w, "  %d of %d layers on whole numbers, with ranges found while it runs\n", q.Int8Layers, q.Layers)
	}
	if q := r.Quantised; q != nil {
		fmt.Fprintf(w, "  %d of %d convolutions in int8, %.1f %% of the multiply-adds\n", q.Int8Convs, q.Convs, 100*q.Int8MACs)
	}
	fmt.Fprintf(w, "  %d million multiply-adds instead of %d, %d KiB instead of %d, compressed %d instead of %d\n",
		(this.MACs+5e5)/1e6, (before.MACs+5e5)/1e6, this.Bytes>>10, before.Bytes>>10, this.Gzip>>10, before.Gzip>>10)
	if m := r.Measured; m != nil {
		fmt.Fprintf(w, "  AP %.1f instead of %.1f on %s, %.2f times as fast (with letterbox and decoding %.2f times)\n",
			100*m.This.AP, 100*m.Original.AP, m.Data, m.FasterBy, m.Detection)
	}
	_, err := fmt.Fprintf(w, "  sha256 %s\n", r.SHA256)
	return err
}
