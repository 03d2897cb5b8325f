package evaluate

import (
	"context"
	"errors"
	"fmt"

	"github.com/sightline/sightline/models"
)

// Race times networks alone on noise, in turns, on one thread: Faster is against the first.
func Race(ctx context.Context, files []string, rounds int, step func(done, total int)) (list []Latency, err error) {
	if len(files) == 0 || rounds < 1 {
		return nil, fmt.Errorf("time models: %d models, %d rounds: must be at least one each", len(files), rounds)
	}
	var specs []models.Spec
	for _, file := range files {
		spec, err := models.Load(file)
		if err != nil {
			return nil, err
		}
		specs = append(specs, spec)
	}
	all, c, err := networks(specs)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	if step == nil {
		step = func(int, int) {}
	}
	if list, err = alternate(ctx, all, rounds, step); err != nil {
		return nil, fmt.Errorf("time models: %w", err)
	}
	return list, nil
}
