package main

import (
	"fmt"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/sightline/sightline/tools/onnxgraph"
)

func newModel() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "model",
		Short: "Make small, fast models, and measure them",
		Args:  usage(cobra.NoArgs),
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		// A network's tensors are large and short-lived: collecting them often costs little, and memory stays near what is used.
		PersistentPreRun: func(*cobra.Command, []string) { debug.SetGCPercent(30) },
	}
	cmd.AddCommand(newList(), newInspect(), newPull(), newCompress(), newPrune(), newQuantize(), newEval())
	return cmd
}

// warnBarriers names operators that the tools leave alone, and notes them in the report.
func warnBarriers(cmd *cobra.Command, barriers []string, report map[string]any) {
	if len(barriers) == 0 {
		return
	}
	report["barriers"] = barriers
	fmt.Fprintf(cmd.ErrOrStderr(), "sightline: operators that are not known here, and stay as they are: %s\n", strings.Join(barriers, ", "))
}

// originFlags say of the original what its card does not.
type originFlags struct{ licence, url string }

func (f *originFlags) add(flags *pflag.FlagSet) {
	flags.StringVar(&f.licence, "licence", "", "SPDX identifier of the original's licence, where its card does not say it")
	flags.StringVar(&f.url, "origin", "", "`URL` of the original, where its card does not say it")
}

// sizeFlag is what a network shall look at.
type sizeFlag struct{ onnxgraph.Size }

func (f *sizeFlag) add(flags *pflag.FlagSet) {
	flags.Var(f, "input", "what the network looks at: `PIXELS`, or width x height such as 640x384; multiples of 32 (default: the original's)")
}

// Set reads the flag.
func (f *sizeFlag) Set(text string) (err error) {
	f.Size, err = onnxgraph.ParseSize(text)
	return err
}

// Type names the kind of the flag.
func (*sizeFlag) Type() string { return "size" }

func (f *sizeFlag) String() string {
	if f.Size == (onnxgraph.Size{}) {
		return ""
	}
	return f.Size.String()
}

// words are the flag on a command line.
func (f *sizeFlag) words() []string {
	if f.String() == "" {
		return nil
	}
	return []string{"--input", f.String()}
}

// warner writes warnings where errors are written.
func warner(cmd *cobra.Command) func(string) {
	return func(text string) { fmt.Fprintln(cmd.ErrOrStderr(), "sightline:", text) }
}
