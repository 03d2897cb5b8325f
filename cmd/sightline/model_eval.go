package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/sightline/sightline/tools/evaluate"
)

func newEval() *cobra.Command {
	var data string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "eval --data DIR MODEL...",
		Short: "Measure accuracy, size and speed of models, beside the first one",
		Long: `Measure accuracy, size and speed of models, beside the first one.

DIR holds images/ and instances.json in COCO form. Speed is one session of one thread; models take turns, and what is told is the median
of the ratios to the first one.`,
		Example: "  sightline model eval --data coco-dev yolox_nano.onnx models/yolox-nano-int8.onnx",
		RunE: func(cmd *cobra.Command, files []string) error {
			if data == "" || len(files) == 0 {
				return wrongUse{errors.New("name a folder with --data, and models")}
			}
			progress := newProgress(cmd.ErrOrStderr())
			all, err := evaluate.Compare(cmd.Context(), files, evaluate.Options{
				Data: data, Progress: func(done, total int) { progress.show("pictures", done, total) },
			})
			if err != nil {
				return err
			}
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(all)
			}
			return printModels(cmd, all)
		},
	}
	cmd.Flags().StringVar(&data, "data", "", "`DIR` with images/ and instances.json in COCO form")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON document")
	return cmd
}

func printModels(cmd *cobra.Command, all []evaluate.Measured) error {
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "model\tAP\tAP50\tsmall\tmedium\tlarge\tAP against the first (95 %)\tms\tfaster by\tKiB\tMMAC\tzeros")
	for _, m := range all {
		fmt.Fprintf(w, "%s\t%.1f\t%.1f\t%.1f\t%.1f\t%.1f\t%+.1f (%+.1f to %+.1f)\t%.1f\t%.2fx\t%d\t%.0f\t%.0f %%\n", filepath.Base(m.File),
			100*m.AP, 100*m.AP50, 100*m.Small, 100*m.Medium, 100*m.Large, 100*m.Difference.Mean, 100*m.Difference.Low, 100*m.Difference.High,
			m.Milliseconds, m.Faster, m.Bytes>>10, float64(m.MACs)/1e6, 100*m.Sparsity)
	}
	return w.Flush()
}
