package evaluate

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sightline/sightline/detect"
	"github.com/sightline/sightline/pipeline/bus"
	"github.com/sightline/sightline/pipeline/picture"
)

// Options say what to detect in and how.
type Options struct {
	Data     string                // folder with images/ and instances.json in COCO form
	Out      string                // results file, COCO form
	Tiles    bus.Policy            // "": off
	Size     int                   // of a tile, pixels; 0: DefaultTileSize, with DefaultOverlap
	Overlap  float64               // share of a tile that neighbours have in common
	Progress func(done, total int) // called after every picture, one at a time; may be nil
}

// Defaults of the grid.
const (
	DefaultTileSize = 640
	DefaultOverlap  = 0.2
)

// Summary tells what was done.
type Summary struct {
	Images     int     `json:"images"`
	Detections int     `json:"detections"`
	Seconds    float64 `json:"seconds"` // from the first file to the last box: neither loading the model nor writing results
}

// Result is one line of a COCO results file.
type Result struct {
	ImageID    int64      `json:"image_id"`
	CategoryID int64      `json:"category_id"`
	Box        [4]float32 `json:"bbox"` // x, y, width, height
	Score      float32    `json:"score"`
}

// DetectCOCO runs the engine over every picture of a COCO folder and writes the results file, whole or not at all. Equal runs
// give equal files.
func DetectCOCO(ctx context.Context, engine *detect.Engine, o Options) (Summary, error) {
	in, err := ReadInstances(filepath.Join(o.Data, "instances.json"))
	if err != nil {
		return Summary{}, err
	}
	began := time.Now()
	results, err := Detect(ctx, engine, in, o)
	if err != nil {
		return Summary{}, err
	}
	took := time.Since(began)
	if err := writeResults(o.Out, results); err != nil {
		return Summary{}, fmt.Errorf("write results: %w", err)
	}
	return Summary{Images: len(in.Images), Detections: len(results), Seconds: took.Seconds()}, nil
}

// Detect runs the engine over every picture of a COCO folder. Results are ordered by picture and falling score.
func Detect(ctx context.Context, engine *detect.Engine, in Instances, o Options) ([]Result, error) {
	categories, err := in.categories(engine.Spec().Labels)
	if err != nil {
		return nil, fmt.Errorf("read annotations %s: %w", o.Data, err)
	}
	r := &cocoRun{Options: o, engine: engine, categories: categories, total: len(in.Images), results: []Result{}}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(engine.Workers() + 1) // one is read while the others are looked at
	for _, image := range in.Images {
		group.Go(func() error { return r.detect(ctx, image) })
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	slices.SortFunc(r.results, byImage)
	return r.results, nil
}

// cocoRun is one pass over a folder.
type cocoRun struct {
	Options
	engine     *detect.Engine
	categories []Category // by class; without a name where the data has none
	total      int

	mu      sync.Mutex // protects what follows
	done    int
	results []Result
}

func (r *cocoRun) detect(ctx context.Context, image Image) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	path := filepath.Join(r.Data, "images", image.FileName)
	pic, err := picture.DecodeFile(path)
	if err != nil {
		return err
	}
	if pic.Width != image.Width || pic.Height != image.Height {
		return fmt.Errorf("picture %s is %dx%d, but instances.json says %dx%d: they must be equal", path, pic.Width, pic.Height, image.Width, image.Height)
	}
	found, err := r.engine.Detect(ctx, r.look(pic))
	if err != nil {
		return fmt.Errorf("detect in %s: %w", path, err)
	}
	r.add(image, found.Objects)
	return nil
}

func (r *cocoRun) look(pic *picture.I420) detect.Look {
	size, overlap := r.Size, r.Overlap
	if size == 0 {
		size, overlap = DefaultTileSize, DefaultOverlap
	}
	policy, regions := r.Tiles.Still(pic.Width, pic.Height, size, overlap)
	return detect.Look{Picture: pic, Regions: regions, Policy: policy}
}

func (r *cocoRun) add(image Image, objects []bus.Object) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, o := range objects {
		if c := r.categories[o.ClassID]; c.Name != "" {
			b := o.Box
			r.results = append(r.results, Result{image.ID, c.ID, [4]float32{b[0], b[1], b[2] - b[0], b[3] - b[1]}, o.Score})
		}
	}
	if r.done++; r.Progress != nil {
		r.Progress(r.done, r.total)
	}
}

func byImage(a, b Result) int {
	if c := cmp.Compare(a.ImageID, b.ImageID); c != 0 {
		return c
	}
	if c := cmp.Compare(b.Score, a.Score); c != 0 {
		return c
	}
	if c := cmp.Compare(a.CategoryID, b.CategoryID); c != 0 {
		return c
	}
	return slices.Compare(a.Box[:], b.Box[:])
}

// writeResults writes beside the file and renames, so that nobody reads half of it.
func writeResults(path string, results []Result) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	w := bufio.NewWriter(f)
	err = errors.Join(json.NewEncoder(w).Encode(results), w.Flush(), f.Chmod(0o644), f.Close())
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
