package main

import "github.com/spf13/cobra"

func newModel() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "model",
		Short: "Make small, fast models, and measure them",
		Args:  usage(cobra.NoArgs),
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newQuantize(), newEval())
	return cmd
}
