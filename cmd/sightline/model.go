package main

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/sightline/sightline/models"
	"github.com/sightline/sightline/tools/onnxgraph"
)

func newModel() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "model",
		Short: "Make small, fast models, and measure them",
		Args:  usage(cobra.NoArgs),
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newPrune(), newQuantize(), newEval())
	return cmd
}

// warnBarriers names operators that the tools leave alone, and notes them in the report.
func warnBarriers(cmd *cobra.Command, s onnxgraph.Simplified, report map[string]any) {
	if len(s.Barriers) == 0 {
		return
	}
	report["barriers"] = s.Barriers
	fmt.Fprintf(cmd.ErrOrStderr(), "sightline: operators that are not known here, and stay as they are: %s\n", strings.Join(s.Barriers, ", "))
}

// originFlags say of the original what its card does not.
type originFlags struct{ licence, url string }

func (f *originFlags) add(flags *pflag.FlagSet) {
	flags.StringVar(&f.licence, "licence", "", "SPDX identifier of the original's licence, where its card does not say it")
	flags.StringVar(&f.url, "origin", "", "`URL` of the original, where its card does not say it")
}

func (f originFlags) of(in string, spec models.Spec) models.CardOrigin {
	if f.url != "" {
		return models.CardOrigin{URL: f.url, SHA256: spec.SHA256}
	}
	return models.CardOrigin{URL: "file:" + filepath.Base(in), SHA256: spec.SHA256}
}

func (f originFlags) licenceOf(spec models.Spec) string {
	switch {
	case f.licence != "":
		return f.licence
	case spec.Licence != "":
		return spec.Licence
	}
	return "NOASSERTION"
}
