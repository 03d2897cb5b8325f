package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sightline/sightline/tools/bundle"
	"github.com/sightline/sightline/tools/compress"
	"github.com/sightline/sightline/tools/prune"
)

// pruneFlags are the flags of `sightline model prune`.
type pruneFlags struct {
	method, calib, repair, scope string
	origin                       originFlags
	input                        sizeFlag
	pictures                     int
	amount                       float64
	json                         bool
}

func newPrune() *cobra.Command {
	var f pruneFlags
	cmd := &cobra.Command{
		Use:   "prune --method unstructured --amount A [--calib DIR] IN.onnx OUT.onnx",
		Short: "Set the weights of least magnitude to zero",
		Long: `Set the weights of least magnitude (L1) to zero, and let what is left make up for them.

--amount is the share of the weights of all convolutions. With --calib, a folder of pictures, the remaining weights are moved by least
squares so that every layer gives nearly what it gave. The compressed file shrinks; the time on onnxruntime does not change.`,
		Example: "  sightline model prune --method unstructured --amount 0.3 --calib pictures/ yolox_nano.onnx sparse.onnx",
		Args:    usage(cobra.ExactArgs(2)),
		RunE:    func(cmd *cobra.Command, args []string) error { return f.run(cmd, args[0], args[1]) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.method, "method", "unstructured", "unstructured")
	flags.Float64Var(&f.amount, "amount", 0.3, "`SHARE` of the weights that become zero")
	flags.StringVar(&f.scope, "scope", "global", "global, or layer: the same share in every layer")
	flags.StringVar(&f.calib, "calib", "", "`DIR` with pictures of what the cameras see")
	flags.IntVar(&f.pictures, "pictures", 64, "at most `N` of them")
	flags.StringVar(&f.repair, "repair", "", "ls or none (default: ls with --calib)")
	f.input.add(flags)
	f.origin.add(flags)
	flags.BoolVar(&f.json, "json", false, "print the report as JSON")
	return cmd
}

func (f pruneFlags) check(in, out string) error {
	switch {
	case f.method != "unstructured":
		return fmt.Errorf("--method %.40q: must be unstructured", f.method)
	case f.scope != "global" && f.scope != "layer":
		return fmt.Errorf("--scope %.40q: must be global or layer", f.scope)
	case f.repair != "" && f.repair != "ls" && f.repair != "none":
		return fmt.Errorf("--repair %.40q: must be ls or none", f.repair)
	case f.repair == "ls" && f.calib == "":
		return errors.New("--repair ls needs pictures: name a folder with --calib")
	case !(f.amount >= 0 && f.amount < 1):
		return fmt.Errorf("--amount %g: must be 0 to below 1", f.amount)
	}
	return bundle.CheckOut(in, out)
}

func (f pruneFlags) run(cmd *cobra.Command, in, out string) error {
	if err := f.check(in, out); err != nil {
		return wrongUse{err}
	}
	original, err := bundle.Open(in, f.input.Size)
	if err != nil {
		return err
	}
	o := prune.UnstructuredOptions{Amount: f.amount, PerLayer: f.scope == "layer", Progress: newProgress(cmd.ErrOrStderr()).show}
	if f.calib != "" && f.repair != "none" {
		if o.Calibration, err = compress.OpenPictures(cmd.Context(), f.calib, original.Spec, f.pictures, warner(cmd)); err != nil {
			return err
		}
	}
	pruned, report, err := prune.Unstructured(cmd.Context(), original.Model, o)
	if err != nil {
		return fmt.Errorf("%s: %w", in, err)
	}
	card := original.Card(f.origin.url, f.origin.licence, f.command(in, out))
	card.Report = map[string]any{"pruned": report}
	warnBarriers(cmd, original.Barriers, card.Report)
	if err := bundle.Write(out, pruned, card); err != nil {
		return err
	}
	return f.print(cmd, report, in, out)
}

// command is what makes the same file again, without the places where files lay.
func (f pruneFlags) command(in, out string) string {
	text := fmt.Sprintf("sightline model prune --method unstructured --amount %g --scope %s", f.amount, f.scope)
	if f.calib != "" && f.repair != "none" {
		text += fmt.Sprintf(" --calib %s --pictures %d", filepath.Base(f.calib), f.pictures)
	}
	return strings.Join(append([]string{text}, append(f.input.words(), filepath.Base(in), filepath.Base(out))...), " ")
}

func (f pruneFlags) print(cmd *cobra.Command, r prune.Report, in, out string) error {
	before, err := compressed(in)
	if err != nil {
		return err
	}
	after, err := compressed(out)
	if err != nil {
		return err
	}
	w := cmd.OutOrStdout()
	if f.json {
		return json.NewEncoder(w).Encode(map[string]any{"pruned": r, "gzip_bytes": after, "gzip_bytes_before": before})
	}
	fmt.Fprintf(w, "%s\n  %d of %d weights are zero, repaired: %v\n", out, r.Zeros, r.Weights, r.Repaired)
	fmt.Fprintf(w, "  compressed %d KiB instead of %d; the time on onnxruntime is the same\n", after>>10, before>>10)
	return nil
}

// compressed is the size of a file in gzip.
func compressed(path string) (int, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write(data); err != nil {
		return 0, err
	}
	return b.Len(), z.Close()
}
