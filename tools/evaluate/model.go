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
	engine, err := detect.Open(detect.Config{Model: path, Score: lowScore}, slog.New(slog.DiscardHandler))
	if err != nil {
		return Accuracy{}, err
	}
	defer engine.Close()
	results, err := Detect(ctx, engine, in, o)
	if err != nil {
		return Accuracy{}, err
	}
	return Score(in, results), nil
}

// ReadFolder reads the annotations of a COCO folder.
func ReadFolder(dir string) (Instances, error) {
	return ReadInstances(filepath.Join(dir, "instances.json"))
}
