package detect

import (
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sightline/sightline/models"
	"github.com/sightline/sightline/pipeline/picture"
)

// glaring is a picture that tiny_hang.onnx takes the longer for the brighter than 250 it is, and tiny_poison.onnx fails at.
func glaring(bright uint8) *picture.I420 {
	p := paint(192, 192)
	picture.DrawBox(p, picture.Rect{W: 192, H: 192}, picture.Colour{R: bright, G: bright, B: bright}, 192)
	return p
}

// withLoops passes over tests of tiny_hang.onnx, a loop, where a device has none.
func withLoops(t *testing.T) {
	t.Helper()
	if device := (Config{Devices: testDevices}).device(); strings.HasPrefix(device, "openvino") {
		t.Skip(device, " has no loops")
	}
}

// impatient has runs hang after half a second.
func impatient(c *Config) { c.patience = 500 * time.Millisecond }

// TestAHungSessionIsReplaced: its frame fails, others are looked at, in batches too, and the session is free when it comes back.
func TestAHungSessionIsReplaced(t *testing.T) {
	withLoops(t)
	for _, batch := range []int{1, 4} {
		e := open(t, "tiny_hang.onnx", func(c *Config) {
			impatient(c)
			c.MaxBatch, c.MaxQueueDelay = batch, 5*time.Millisecond
		})
		red := block{0, 40, 40, 60, 60}
		holdBlocks(t, detectIn(t, e, paint(192, 192, red)), 5, red)
		if _, err := e.Detect(t.Context(), Look{Picture: glaring(253)}); !errors.Is(err, errHung) {
			t.Fatalf("a run that takes for ever: %v", err)
		}
		var wait sync.WaitGroup
		for range 4 {
			wait.Go(func() {
				if r, err := e.Detect(t.Context(), Look{Picture: paint(192, 192, red)}); err != nil || len(r.Objects) != 1 {
					t.Errorf("after it: %+v, %v", r.Objects, err)
				}
			})
		}
		wait.Wait()
		if h := e.Health(); h.Hung != 1 || h.Replaced != 1 || h.Abandoned > 1 || h.Poisoned != 0 || e.Err() != nil {
			t.Errorf("%+v, %v", h, e.Err())
		}
		if len(testDevices) > 0 {
			continue // where a loop may take longer than the test
		}
		until(t, "the session came back", func() bool { return e.Health().Abandoned == 0 })
	}
}

// TestTooManyHungSessionsEndTheWorker, with what to do about it.
func TestTooManyHungSessionsEndTheWorker(t *testing.T) {
	withLoops(t)
	w, _ := startLanes(t, 1)
	e := open(t, "tiny_hang.onnx", impatient)
	e.health.most = 1
	w.Replace(e)
	for range 2 {
		if _, err := e.Detect(t.Context(), Look{Picture: glaring(255)}); err == nil {
			t.Fatal("a run that takes for ever has an answer")
		}
	}
	if e.Err() == nil || !strings.Contains(e.Err().Error(), "restart the process") {
		t.Fatalf("the engine goes on: %v, %+v", e.Err(), e.Health())
	}
	if _, err := e.Detect(t.Context(), Look{Picture: paint(192, 192)}); !errors.Is(err, e.Err()) {
		t.Errorf("a frame afterwards: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := w.Run(ctx); !errors.Is(err, e.Err()) {
		t.Errorf("the worker ends with %v", err)
	}
}

// TestASessionThatAnswersOtherwiseIsReplaced: this one goes wrong in its 39th run.
func TestASessionThatAnswersOtherwiseIsReplaced(t *testing.T) {
	e := open(t, "tiny_flaky.onnx", func(c *Config) { c.checkEvery = time.Millisecond })
	until(t, "replaced twice", func() bool { return e.Health().Replaced >= 2 })
	if h := e.Health(); h.Poisoned < 2 || h.Checks < 60 || h.Hung != 0 || e.Err() != nil {
		t.Errorf("%+v, %v", h, e.Err())
	}
}

// TestHealthySessionsAreLeftAlone, also those that fail at single pictures.
func TestHealthySessionsAreLeftAlone(t *testing.T) {
	processorOnly(t)
	e := open(t, "tiny_poison.onnx", func(c *Config) { c.checkEvery, c.Workers = time.Millisecond, 2 })
	if _, err := e.Detect(t.Context(), Look{Picture: glaring(255)}); err == nil {
		t.Fatal("a picture that the network cannot bear gives objects")
	}
	until(t, "checked often", func() bool { return e.Health().Checks > 50 })
	if h := e.Health(); h.Poisoned+h.Hung+h.Replaced != 0 {
		t.Errorf("%+v", h)
	}
}

// TestNoOtherNetworkTakesThePlace: the file has been replaced; the lane is lost, and with the last one the engine.
func TestNoOtherNetworkTakesThePlace(t *testing.T) {
	withLoops(t)
	path := filepath.Join(t.TempDir(), "m.onnx")
	put := func(name string) {
		data, err := os.ReadFile(filepath.Join("testdata", name))
		if err == nil {
			err = os.WriteFile(path, data, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	put("tiny_hang.onnx")
	e, err := Open(Config{Model: path, Workers: 2, Devices: testDevices, patience: 500 * time.Millisecond}, silent)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	put("tiny.onnx")
	for left := 1; left >= 0; left-- {
		if _, err := e.Detect(t.Context(), Look{Picture: glaring(255)}); err == nil {
			t.Fatal("a run that takes for ever has an answer")
		}
		until(t, "the lane is lost", func() bool { return e.health.lanes.Load() == int64(left) })
	}
	if err := e.Err(); err == nil || !strings.Contains(err.Error(), "every session of the network is lost") || !strings.Contains(err.Error(), "another one by now") {
		t.Errorf("%v", err)
	}
	if _, err := e.Detect(t.Context(), Look{Picture: paint(192, 192)}); !errors.Is(err, e.Err()) {
		t.Errorf("a frame afterwards: %v", err)
	}
}

func TestAnswersAreCompared(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	for name, c := range map[string]struct {
		a, b  []float32
		alike bool
	}{
		"same":            {[]float32{1, -2, inf}, []float32{1, -2, inf}, true},
		"a little":        {[]float32{0.5, 300}, []float32{0.51, 303}, true},
		"another score":   {[]float32{0.5, 300}, []float32{0.55, 300}, false},
		"another place":   {[]float32{0.5, 300}, []float32{0.5, 310}, false},
		"NaN":             {[]float32{0.5, 300}, []float32{nan, 300}, false},
		"infinite":        {[]float32{0.5, 300}, []float32{inf, 300}, false},
		"always NaN":      {[]float32{nan, 300}, []float32{nan, 300}, true},
		"NaN and another": {[]float32{nan, 300}, []float32{nan, 0}, false},
	} {
		err := answerOf([][]float32{c.a}).compare(answerOf([][]float32{c.b}))
		if (err == nil) != c.alike || err != nil && !errors.Is(err, errOtherAnswer) {
			t.Errorf("%s: %v", name, err)
		}
	}
	large := make([]float32, 10*canarySamples+7)
	if a := answerOf([][]float32{large}); len(a.samples[0]) > canarySamples+canarySamples/8 {
		t.Errorf("%d of %d numbers are remembered", len(a.samples[0]), len(large))
	}
	spoilt := append([]float32{}, large...)
	spoilt[len(spoilt)-2] = nan // between the samples
	if answerOf([][]float32{large}).compare(answerOf([][]float32{spoilt})) == nil {
		t.Error("a NaN is overlooked")
	}
}

// TestTheShippedModelsAreSteady: their sessions can be checked by what they answer.
func TestTheShippedModelsAreSteady(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("..", "models", "*.onnx"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, file := range files {
		cfg := Config{Model: file, Devices: testDevices}
		spec, err := models.Load(file)
		if err != nil {
			t.Fatal(err)
		}
		l, err := openLane(cfg, spec, ownShape(spec), newHealth(silent))
		if err != nil {
			t.Fatal(err)
		}
		if err := l.askCanary(leastPatience); err != nil || !l.seat.steady || l.seat.known.nans > 0 || l.seat.limit < leastPatience {
			t.Errorf("%s: %v, %+v", file, err, l.seat.limit)
		}
		if err := l.seat.known.compare(answerOf(l.inputs[0].outputsOf(0))); err != nil {
			t.Errorf("%s: %v", file, err)
		}
		l.close()
	}
}
