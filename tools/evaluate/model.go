package evaluate

import (
	"context"
	"log/slog"
	"path/filepath"

	"github.com/sightline/sightline/detect"
)

// lowScore is the score down to which objects count: precision is measured over all recalls.
const lowScore = 0.01

// Model measures a model file on a COCO folder, with the code that runs live.
func Model(ctx context.Context, path string, in Instances, o Options) (Accuracy, error) {
	results, err := detectWith(ctx, path, in, o)
	if err != nil {
		return Accuracy{}, err
	}
	return Score(in, results), nil
}

func detectWith(ctx context.Context, file string, in Instances, o Options) ([]Result, error) {
	engine, err := detect.Open(detect.Config{Model: file, Score: lowScore, OneShape: true}, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, err
	}
	defer engine.Close()
	return Detect(ctx, engine, in, o)
}

// ReadFolder reads the annotations of a COCO folder.
func ReadFolder(dir string) (Instances, error) {
	return ReadInstances(filepath.Join(dir, "instances.json"))
}
