package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/sightline/sightline/detect"
	"github.com/sightline/sightline/pipeline"
	"github.com/sightline/sightline/pipeline/bus"
	"github.com/sightline/sightline/tools/evaluate"
)

// detectFlags are the flags of `sightline detect`.
type detectFlags struct {
	config, detector, model, tiles, draw, data, coco string
	conf                                             float32
	json                                             bool
}

func newDetect() *cobra.Command {
	var f detectFlags
	cmd := &cobra.Command{
		Use:   "detect [--model M] [--tiles off|grid] [--conf S] [--json] [--draw DIR] FILE...\n  sightline detect --data DIR --coco OUT.json",
		Short: "Find objects in picture files with the code that looks at live video",
		Long: `Find objects in picture files with the code that looks at live video.

With --data, all pictures of a folder in COCO form (images/ and instances.json) are looked at, and the results are written in COCO
form to the file that --coco names. Seconds count from the first file to the last box, without loading the model.`,
		Example: "  sightline detect --draw out/ photo.jpg\n  sightline detect --data coco-dev --coco out.json --conf 0.01",
		RunE:    func(cmd *cobra.Command, files []string) error { return f.run(cmd, files) },
	}
	flags := cmd.Flags()
	flags.StringVarP(&f.config, "config", "c", "", "configuration `FILE`, for its detectors, objects and tiles")
	flags.StringVar(&f.detector, "detector", "", "`NAME` of the configuration's detector, where there are several")
	flags.StringVar(&f.model, "model", "", "model `FILE` (.onnx)")
	flags.StringVar(&f.tiles, "tiles", "", "off or grid; else grid where the picture is larger than two tiles")
	flags.Float32Var(&f.conf, "conf", 0, "lowest `SCORE` (default 0.4)")
	flags.BoolVar(&f.json, "json", false, "print one JSON document; with --data of how many pictures, boxes and seconds")
	flags.StringVar(&f.draw, "draw", "", "write copies with boxes into `DIR`")
	flags.StringVar(&f.data, "data", "", "`DIR` with images/ and instances.json in COCO form")
	flags.StringVar(&f.coco, "coco", "", "results `FILE` in COCO form, with --data")
	return cmd
}

func (f detectFlags) run(cmd *cobra.Command, files []string) error {
	switch {
	case (f.data == "") != (f.coco == ""):
		return wrongUse{errors.New("--data and --coco go together")}
	case f.data == "" && len(files) == 0:
		return wrongUse{errors.New("no picture was named: give FILE..., or --data DIR; see `sightline detect --help`")}
	case f.data != "" && len(files) > 0:
		return wrongUse{errors.New("name pictures, or a folder with --data, not both")}
	}
	cfg, detector, err := oneDetector(f.config, f.detector, f.model, pipeline.Overrides{Tiles: f.tiles})
	if err != nil {
		return wrongUse{err}
	}
	engine, err := openEngine(cmd.Context(), cfg, detector, f.conf)
	if err != nil {
		return err
	}
	defer engine.Close()
	if f.data != "" {
		return f.evaluate(cmd, engine, cfg)
	}
	return f.stills(cmd, engine, cfg, files)
}

// oneDetector reads a configuration for a command that runs one of its detectors, with another model where one is named.
func oneDetector(file, name, model string, o pipeline.Overrides) (pipeline.Config, pipeline.DetectorConfig, error) {
	cfg, err := configuration(file, o, nil)
	if err != nil {
		return cfg, pipeline.DetectorConfig{}, err
	}
	d, err := cfg.Detector(name)
	if err != nil {
		return cfg, d, fmt.Errorf("--detector: %w", err)
	}
	d.Model = cmp.Or(model, d.Model)
	return cfg, d, nil
}

func openEngine(ctx context.Context, cfg pipeline.Config, d pipeline.DetectorConfig, conf float32) (*detect.Engine, error) {
	if conf < 0 || conf > 1 {
		return nil, wrongUse{fmt.Errorf("--conf %v: must be above 0 and at most 1", conf)}
	}
	if conf > 0 {
		d.MinScore = conf
	}
	return pipeline.OpenEngine(ctx, cfg, d, slog.New(slog.NewTextHandler(os.Stderr, nil)))
}

func (f detectFlags) evaluate(cmd *cobra.Command, engine *detect.Engine, cfg pipeline.Config) error {
	progress := newProgress(cmd.ErrOrStderr())
	summary, err := evaluate.DetectCOCO(cmd.Context(), engine, evaluate.Options{
		Data: f.data, Out: f.coco, Tiles: bus.Policy(cfg.Tiles.Policy), Size: cfg.Tiles.Size, Overlap: cfg.Tiles.Overlap,
		Progress: func(done, total int) { progress.show("pictures", done, total) },
	})
	if err != nil {
		return err
	}
	if f.json {
		return json.NewEncoder(cmd.OutOrStdout()).Encode(summary)
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "%d detections in %d pictures, %.2f s: %s\n", summary.Detections, summary.Images, summary.Seconds, f.coco)
	return nil
}

// stills prints what was found: a table as it comes, or one JSON document at the end.
func (f detectFlags) stills(cmd *cobra.Command, engine *detect.Engine, cfg pipeline.Config, files []string) error {
	found := []pipeline.Still{}
	table := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 8, 2, ' ', 0)
	options := pipeline.StillOptions{Tiles: cfg.Tiles, Draw: f.draw}
	err := pipeline.DetectStills(cmd.Context(), engine, files, options, func(s pipeline.Still) error {
		if f.json {
			found = append(found, s)
			return nil
		}
		printStill(table, s)
		return table.Flush()
	})
	if f.json {
		if e := json.NewEncoder(cmd.OutOrStdout()).Encode(found); err == nil {
			err = e
		}
	}
	return err
}

func printStill(to io.Writer, s pipeline.Still) {
	fmt.Fprintf(to, "%s\t%dx%d\t%d objects\t%s\n", s.File, s.Frame.Width, s.Frame.Height, len(s.Objects), s.Drawn)
	for _, o := range s.Objects {
		fmt.Fprintf(to, "  %s\t%.2f\t%.0f,%.0f - %.0f,%.0f\t\n", o.Label, o.Score, o.Box[0], o.Box[1], o.Box[2], o.Box[3])
	}
}
