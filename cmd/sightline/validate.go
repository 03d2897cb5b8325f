package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/sightline/sightline/pipeline"
)

func newValidate() *cobra.Command {
	return &cobra.Command{
		Use:   "validate FILE",
		Short: "Check a configuration without running it",
		Args:  usage(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := pipeline.Load(args[0])
			if err != nil {
				return fmt.Errorf("configuration refused:\n%w", err)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s: valid, %d cameras\n", args[0], len(cfg.Cameras))
			return nil
		},
	}
}
