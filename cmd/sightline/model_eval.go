package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/sightline/sightline/models/graph"
	"github.com/sightline/sightline/tools/evaluate"
)

func newEval() *cobra.Command {
	var f evalFlags
	cmd := &cobra.Command{
		Use:   "eval --data DIR MODEL...",
		Short: "Measure accuracy, size and speed of models, beside the first one",
		Long: `Measure accuracy, size and speed of models, beside the first one.

DIR holds images/ and instances.json in COCO form. Speed is one session of one thread; models take turns, and what is told is the median
of the ratios to the first one.`,
		Example: "  sightline model eval --data coco-dev --html report.html yolox_nano.onnx models/yolox-nano-int8.onnx",
		RunE: func(cmd *cobra.Command, files []string) error {
			if f.data == "" || len(files) == 0 {
				return wrongUse{errors.New("name a folder with --data, and models")}
			}
			progress := newProgress(cmd.ErrOrStderr())
			report, err := evaluate.Measure(cmd.Context(), files, evaluate.MeasureOptions{Data: f.data, Step: progress.show})
			if err != nil {
				return err
			}
			return f.write(cmd, report)
		},
	}
	cmd.Flags().StringVar(&f.data, "data", "", "`DIR` with images/ and instances.json in COCO form")
	cmd.Flags().BoolVar(&f.asJSON, "json", false, "print one JSON document")
	cmd.Flags().BoolVar(&f.classes, "classes", false, "print AP class by class too")
	cmd.Flags().StringVar(&f.html, "html", "", "write a page with plots to `FILE`")
	return cmd
}

type evalFlags struct {
	data, html      string
	asJSON, classes bool
}

func (f evalFlags) write(cmd *cobra.Command, report evaluate.Report) error {
	if f.html != "" {
		var page bytes.Buffer
		if err := report.WriteHTML(&page); err != nil {
			return err
		}
		if err := graph.WriteFile(f.html, page.Bytes()); err != nil {
			return err
		}
	}
	if f.asJSON {
		return json.NewEncoder(cmd.OutOrStdout()).Encode(report)
	}
	if err := report.WriteTable(cmd.OutOrStdout()); err != nil || !f.classes {
		return err
	}
	fmt.Fprintln(cmd.OutOrStdout())
	return report.WriteClasses(cmd.OutOrStdout())
}
