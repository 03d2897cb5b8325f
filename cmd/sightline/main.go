// Command sightline turns camera streams into detections on NATS and annotated video on a page.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// Exit codes of every subcommand.
const (
	exitDone     = 0
	exitFailed   = 1
	exitWrongUse = 2
)

// wrongUse marks an error as the caller's: the command line or the configuration is wrong.
type wrongUse struct{ error }

func (w wrongUse) Unwrap() error { return w.error }

func main() {
	os.Exit(execute(os.Args[1:]))
}

func execute(args []string) int {
	ctx, stop := interruptible()
	defer stop()
	root := newRoot()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitDone
	}
	fmt.Fprintln(os.Stderr, "sightline:", err)
	if errors.As(err, &wrongUse{}) {
		return exitWrongUse
	}
	return exitFailed
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:           "sightline",
		Short:         "Camera streams in, detections on NATS and annotated video out",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          usage(cobra.NoArgs),
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return wrongUse{fmt.Errorf("%w; see `%s --help`", err, cmd.CommandPath())}
	})
	root.AddCommand(newRun(), newDetect(), newBench(), newModel(), newValidate(), newVersion(), newHealth(), newTestcam())
	return root
}

// usage turns a complaint about arguments into wrong use.
func usage(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return wrongUse{fmt.Errorf("%w; see `%s --help`", err, cmd.CommandPath())}
		}
		return nil
	}
}

// interruptible gives a context that the first signal ends, for a graceful stop; the second signal ends the process.
func interruptible() (context.Context, func()) {
	ctx, cancel := context.WithCancel(context.Background())
	signal.Ignore(syscall.SIGXFSZ) // a file that may not grow is an error of that write, not the end of the process
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		fmt.Fprintln(os.Stderr, "sightline: stopping; press again to stop at once")
		cancel()
		<-signals
		os.Exit(exitFailed)
	}()
	return ctx, cancel
}
