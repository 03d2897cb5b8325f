package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/sightline/sightline/pipeline"
	"github.com/sightline/sightline/pipeline/capacity"
)

type benchFlags struct {
	config, detector, model, source string
	asJSON                          bool
	each                            time.Duration
}

func newBench() *cobra.Command {
	var f benchFlags
	cmd := &cobra.Command{
		Use:   "bench [--model M] [--source FILE] [--json]",
		Short: "Measure what this machine can do: stages of a frame, sessions and threads, cameras that fit",
		Long: `Measure what this machine can do: the cost of each stage of a frame, the fastest sessions and threads for the network, and
how many cameras fit by size, tiles and frame rate. It takes some seconds, with nothing else running.`,
		Example: "  sightline bench\n  sightline bench --source camera.mp4 --json",
		Args:    usage(cobra.NoArgs),
		RunE:    func(cmd *cobra.Command, _ []string) error { return f.run(cmd) },
	}
	flags := cmd.Flags()
	flags.StringVarP(&f.config, "config", "c", "", "configuration `FILE`, for its detector and tiles")
	flags.StringVar(&f.detector, "detector", "", "`NAME` of the configuration's detector, where there are several")
	flags.StringVar(&f.model, "model", "", "model `FILE`")
	flags.StringVar(&f.source, "source", "", "video `FILE` such as a camera gives; else video is generated in three sizes")
	flags.DurationVar(&f.each, "each", time.Second, "time for every measurement")
	flags.BoolVar(&f.asJSON, "json", false, "print one JSON document")
	return cmd
}

func (f benchFlags) run(cmd *cobra.Command) error {
	if f.each < 10*time.Millisecond || f.each > time.Minute {
		return wrongUse{fmt.Errorf("--each %s: must be 10ms to 1m", f.each)}
	}
	cfg, detector, err := oneDetector(f.config, f.detector, f.model, pipeline.Overrides{})
	if err != nil {
		return wrongUse{err}
	}
	options := capacity.Options{Source: f.source, Each: f.each, Progress: newProgress(cmd.ErrOrStderr()).show,
		Tiles: capacity.Tiles{Size: cfg.Tiles.Size, Overlap: cfg.Tiles.Overlap, Budget: cfg.Tiles.Budget}}
	if options.Detector, err = pipeline.EngineConfig(cfg, detector); err != nil {
		return err
	}
	report, err := capacity.Measure(cmd.Context(), options)
	switch {
	case err != nil && cmd.Context().Err() != nil:
		return errors.New("interrupted before all was measured")
	case err != nil:
		return err
	case f.asJSON:
		return json.NewEncoder(cmd.OutOrStdout()).Encode(report)
	}
	return report.Write(cmd.OutOrStdout())
}
