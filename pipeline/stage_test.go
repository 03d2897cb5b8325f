package pipeline

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
)

func TestStagesStopInOrder(t *testing.T) {
	var mu sync.Mutex
	var stopped []string
	waiting := func(name string) stage {
		return stage{name: name, run: func(ctx context.Context) error {
			<-ctx.Done()
			mu.Lock()
			defer mu.Unlock()
			stopped = append(stopped, name)
			return nil
		}}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := runStages(ctx, []stage{waiting("a"), waiting("b"), waiting("c")}); err != nil {
		t.Fatal(err)
	}
	if want := []string{"a", "b", "c"}; !slices.Equal(stopped, want) {
		t.Errorf("stopped %v, want %v", stopped, want)
	}
}

func TestAFailingStageStopsTheOthersAndIsNamed(t *testing.T) {
	broken := errors.New("broken")
	err := runStages(t.Context(), []stage{
		{name: "good", run: func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }},
		{name: "bad", run: func(context.Context) error { return broken }},
	})
	if !errors.Is(err, broken) || err.Error() != "bad: broken" {
		t.Errorf("error is %v", err)
	}
}

func TestAFiniteStageEndsTheRun(t *testing.T) {
	err := runStages(t.Context(), []stage{
		{name: "file", finite: true, run: func(context.Context) error { return nil }},
		{name: "sink", run: func(ctx context.Context) error { <-ctx.Done(); return nil }},
	})
	if err != nil {
		t.Error(err)
	}
}
