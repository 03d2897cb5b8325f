package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/sightline/sightline/pipeline"
)

func newRun() *cobra.Command {
	var o pipeline.Overrides
	var config, roles string
	var detectors []string
	cmd := &cobra.Command{
		Use:   "run [-c FILE] [--roles ROLES] [SOURCE...]",
		Short: "Read cameras, detect, publish, and serve the page",
		Long: `Read cameras, detect objects, publish them on NATS and serve the page.

A SOURCE is rtsp://..., rtsps://..., http(s)://.../whep or the path of a video file; cameras may also stand in the configuration.
With nothing but a SOURCE, one process does everything: broker, detector and page included.`,
		Example: "  sightline run clip.mp4\n  sightline run rtsp://user:{GATE_PASSWORD}@192.0.2.7/stream1\n  sightline run -c site.yaml --roles ingest",
		RunE: func(cmd *cobra.Command, sources []string) error {
			parsed, err := pipeline.ParseRoles(roles)
			if err != nil {
				return wrongUse{err}
			}
			cfg, err := configuration(config, o, sources)
			if err != nil {
				return wrongUse{err}
			}
			for _, name := range detectors {
				if _, err := cfg.Detector(name); err != nil {
					return wrongUse{fmt.Errorf("--detectors: %w", err)}
				}
			}
			return pipeline.Run(cmd.Context(), pipeline.Options{
				Config: cfg, Roles: parsed, Detectors: detectors, Stderr: os.Stderr, File: config,
				Reread: func() (pipeline.Config, error) { return configuration(config, o, sources) },
			})
		},
	}
	f := cmd.Flags()
	f.StringVarP(&config, "config", "c", "", "configuration `FILE` (see configs/default.yaml)")
	f.StringVar(&roles, "roles", "", "what this process does: any of ingest,detect,track,sinks (default all)")
	f.StringSliceVar(&detectors, "detectors", nil, "`NAMES` of the configuration's detectors that this process runs (default all)")
	f.StringVar(&o.Model, "model", "", "model `FILE` (.onnx) of the default detector")
	f.StringVar(&o.Tiles, "tiles", "", "off, grid or adaptive")
	f.StringVar(&o.Listen, "listen", "", "`ADDRESS` of the page")
	f.StringVar(&o.NDJSON, "ndjson", "", "append detections to `FILE`")
	f.BoolVar(&o.Loop, "loop", false, "play files again and again")
	f.StringVar(&o.Pace, "pace", "", "files: realtime, or fast (every frame, as fast as it can be detected)")
	return cmd
}

func configuration(file string, o pipeline.Overrides, sources []string) (pipeline.Config, error) {
	cfg := pipeline.Default()
	if file != "" {
		var err error
		if cfg, err = pipeline.Load(file); err != nil {
			return cfg, fmt.Errorf("configuration refused:\n%w", err)
		}
	}
	if o.Model != "" && cfg.DefaultDetector() == "" {
		return cfg, errors.New("--model: the configuration has several detectors and none is called default; name the file there")
	}
	o.Apply(&cfg, sources)
	if err := cfg.Validate(); err != nil {
		return cfg, fmt.Errorf("configuration refused:\n%w", err)
	}
	return cfg, nil
}
