package pipeline

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"

	"github.com/sightline/sightline/detect"
	"github.com/sightline/sightline/pipeline/bus"
	"github.com/sightline/sightline/pipeline/picture"
)

// Still is what was found in one picture file.
type Still struct {
	File    string       `json:"file"`
	Frame   bus.Size     `json:"frame"`
	Model   string       `json:"model"`
	Tiles   bus.Tiles    `json:"tiles"`
	Objects []bus.Object `json:"objects"`
	Drawn   string       `json:"drawn,omitempty"` // the copy with boxes
}

// StillOptions say how to look at pictures and where to draw.
type StillOptions struct {
	Tiles TilesConfig
	Draw  string // folder for copies with boxes; "" = none
}

// DetectStills looks at picture files with the code that looks at live video and calls found for each as it is done. A file
// that cannot be read does not stop the others; all such errors come back joined.
func DetectStills(ctx context.Context, engine *detect.Engine, files []string, o StillOptions, found func(Still) error) error {
	if o.Draw != "" {
		if err := os.MkdirAll(o.Draw, 0o755); err != nil {
			return fmt.Errorf("make folder for pictures (--draw): %w", err)
		}
	}
	var faults []error
	for _, file := range files {
		still, err := detectStill(ctx, engine, file, o)
		if err != nil {
			if ctx.Err() != nil {
				return err
			}
			faults = append(faults, err)
			continue
		}
		if err := found(still); err != nil {
			return err
		}
	}
	return errors.Join(faults...)
}

func detectStill(ctx context.Context, engine *detect.Engine, file string, o StillOptions) (Still, error) {
	pic, err := picture.DecodeFile(file)
	if err != nil {
		return Still{}, err
	}
	policy, regions := bus.Policy(o.Tiles.Policy).Still(pic.Width, pic.Height, o.Tiles.Size, o.Tiles.Overlap)
	regions = append(regions, bus.FixedRegions(o.Tiles.boxes(), pic.Width, pic.Height, o.Tiles.Size, o.Tiles.Overlap, bus.MaxRegions-len(regions))...)
	result, err := engine.Detect(ctx, detect.Look{Picture: pic, Regions: regions, Policy: policy})
	if err != nil {
		return Still{}, fmt.Errorf("detect in %s: %w", file, err)
	}
	still := Still{
		File: file, Frame: bus.Size{Width: pic.Width, Height: pic.Height}, Model: engine.Spec().ID(), Objects: result.Objects,
		Tiles: bus.Tiles{Policy: policy, Run: result.Run, Of: len(regions)},
	}
	if o.Draw != "" {
		still.Drawn, err = drawStill(pic, still, o.Draw)
	}
	return still, err
}

// drawStill writes a copy of the picture with boxes and labels, scaled with the picture's size.
func drawStill(pic *picture.I420, still Still, folder string) (string, error) {
	thickness := max(2, pic.Width/480)
	for _, o := range still.Objects {
		colour := picture.ColourOf(o.ClassID)
		x, y := int(math.Round(float64(o.Box[0]))), int(math.Round(float64(o.Box[1])))
		w, h := int(math.Round(float64(o.Box[2])))-x, int(math.Round(float64(o.Box[3])))-y
		picture.DrawBox(pic, picture.Rect{X: x, Y: y, W: w, H: h}, colour, thickness)
		picture.DrawLabel(pic, x, y, fmt.Sprintf("%s %.2f", o.Label, o.Score), colour)
	}
	encoder, err := picture.NewJPEGEncoder(92)
	if err != nil {
		return "", fmt.Errorf("draw %s: %w", still.File, err)
	}
	defer encoder.Close()
	coded, err := encoder.Encode(pic, nil)
	if err != nil {
		return "", fmt.Errorf("draw %s: %w", still.File, err)
	}
	name := strings.TrimSuffix(filepath.Base(still.File), filepath.Ext(still.File)) + ".jpg"
	path := filepath.Join(folder, name)
	if same, err := filepath.Abs(path); err == nil {
		if original, err := filepath.Abs(still.File); err == nil && same == original {
			return "", fmt.Errorf("draw %s: the copy would overwrite the original; choose another folder with --draw", still.File)
		}
	}
	if err := os.WriteFile(path, coded, 0o644); err != nil {
		return "", fmt.Errorf("draw %s: %w", still.File, err)
	}
	return path, nil
}
