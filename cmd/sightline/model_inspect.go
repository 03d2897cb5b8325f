package main

import (
	"encoding/json"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/sightline/sightline/pipeline"
	"github.com/sightline/sightline/tools/inspect"
)

func newInspect() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "inspect MODEL",
		Short:   "Tell what is in a model: input, labels, head, size, operators, card",
		Example: "  sightline model inspect yolox-nano-int8\n  sightline model inspect --json yolov5n.onnx",
		Args:    usage(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			facts, err := inspect.File(named(args[0]))
			if err != nil {
				return err
			}
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(facts)
			}
			return facts.Write(cmd.OutOrStdout())
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON document")
	return cmd
}

// named gives the file of a model that is called by its path, or by its name in `model list`.
func named(model string) string {
	if _, err := os.Stat(model); err == nil || filepath.Base(model) != model || filepath.Ext(model) == ".onnx" {
		return model
	}
	for _, folder := range pipeline.ModelFolders() {
		path := filepath.Join(folder, model+".onnx")
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	return model
}
