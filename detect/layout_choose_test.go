package detect

import (
	"context"
	"errors"
	"path/filepath"
	"runtime"
	"testing"
)

// TestOnlyAClearlyFasterLayoutTakesThePlaceOfTheUsual, whatever single turns say.
func TestOnlyAClearlyFasterLayoutTakesThePlaceOfTheUsual(t *testing.T) {
	all := []Layout{{Workers: 4, Threads: 1, MaxBatch: 8}, {Workers: 4, Threads: 1, MaxBatch: 1}, {Workers: 2, Threads: 2, MaxBatch: 1}}
	for name, c := range map[string]struct {
		rates [3][]float64 // by layout and turn; the last one stays
		share float64
		time  int // tries until it is over
		want  int // of all
		sure  bool
	}{
		"usual":        {[3][]float64{{100}, {90}, {80}}, 1, 99, 0, true},
		"a little":     {[3][]float64{{100}, {105}, {109}}, 1, 99, 0, true},
		"second":       {[3][]float64{{100}, {120}, {125}}, 1, 99, 1, true},
		"third":        {[3][]float64{{100}, {120}, {140}}, 1, 99, 2, true},
		"only by luck": {[3][]float64{{100}, {300, 300, 90}, {80}}, 1, 99, 0, true},
		"disturbed":    {[3][]float64{{100}, {300}, {300}}, 0.6, 99, 0, false},
		"late":         {[3][]float64{{100}, {120}, {300}}, 1, 6, 1, true},
		"cut":          {[3][]float64{{100}, {120}, {300}}, 1, 4, 0, true},
		"no time":      {[3][]float64{{100}, {120}, {300}}, 1, 0, 0, false},
	} {
		tries, turns := 0, map[Layout]int{}
		got, sure, err := choose(all, func(l Layout) (float64, float64, error) {
			l.Rate = 0
			i := 0
			for all[i] != l {
				i++
			}
			rates := c.rates[i]
			rate := rates[min(turns[l], len(rates)-1)]
			tries++
			turns[l]++
			return rate, c.share, nil
		}, func() bool { return tries >= c.time })
		got.Rate = 0
		if err != nil || got != all[c.want] || sure != c.sure {
			t.Errorf("%s: %+v, %v, %v; want %+v, %v", name, got, sure, err, all[c.want], c.sure)
		}
	}
	fault := errors.New("no session")
	if _, _, err := choose(all, func(Layout) (float64, float64, error) { return 0, 0, fault }, func() bool { return false }); !errors.Is(err, fault) {
		t.Errorf("a fault: %v", err)
	}
}

func TestALayoutIsChosenForARealNetwork(t *testing.T) {
	cfg := Config{Model: filepath.Join("testdata", "tiny.onnx"), MaxBatch: 4}
	l, _, err := ChooseLayout(t.Context(), cfg)
	if err != nil || l.Workers*l.Threads > runtime.GOMAXPROCS(0) || l.Workers < 1 || l.MaxBatch != 1 && l.MaxBatch != 4 {
		t.Errorf("%+v, %v", l, err)
	}
	ended, end := context.WithCancel(t.Context())
	end()
	if _, _, err := ChooseLayout(ended, cfg); !errors.Is(err, context.Canceled) {
		t.Errorf("told to stop: %v", err)
	}
	cfg.Devices = []string{"cuda"}
	if l, _, err := ChooseLayout(t.Context(), cfg); err != nil || l != (Layout{Workers: defaultWorkers("cuda", runtime.GOMAXPROCS(0)), Threads: 1, MaxBatch: 4}) {
		t.Errorf("on another device: %+v, %v", l, err)
	}
	cfg.Model = "nowhere.onnx"
	if _, _, err := ChooseLayout(t.Context(), cfg); err == nil {
		t.Error("a missing model was measured")
	}
}
