package detect

import (
	"errors"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sightline/sightline/pipeline/bus"
	"github.com/sightline/sightline/pipeline/picture"
)

var silent = slog.New(slog.DiscardHandler)

// testDevices is what the tests run networks on: the processor, unless `make test-device` names another.
var testDevices = strings.Fields(os.Getenv("SIGHTLINE_TEST_DEVICE"))

// block is a rectangle of a colour that the tiny models know: 0 red, 1 green, 2 blue.
type block struct{ class, x, y, w, h int }

var blockColours = [3]picture.Colour{{R: 255}, {G: 255}, {B: 255}}

// paint draws blocks on grey.
func paint(w, h int, blocks ...block) *picture.I420 {
	p := picture.New(w, h)
	p.Matrix, p.FullRange = picture.BT601, true
	for _, plane := range [][]byte{p.Y, p.U, p.V} {
		for i := range plane {
			plane[i] = 128
		}
	}
	for _, b := range blocks {
		picture.DrawBox(p, picture.Rect{X: b.x, Y: b.y, W: b.w, H: b.h}, blockColours[b.class], max(b.w, b.h))
	}
	return p
}

// processorOnly passes over tests of pictures at which a run fails: a GPU reads beyond a table without an error.
func processorOnly(t *testing.T) {
	t.Helper()
	if len(testDevices) > 0 {
		t.Skip(testDevices[0], " has no runs that fail at a picture")
	}
}

func open(t testing.TB, name string, change func(*Config)) *Engine {
	t.Helper()
	cfg := Config{Model: filepath.Join("testdata", name), Workers: 1, Devices: testDevices}
	if change != nil {
		change(&cfg)
	}
	e, err := Open(cfg, silent)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return e
}

func detectIn(t testing.TB, e *Engine, p *picture.I420, regions ...bus.Region) []bus.Object {
	t.Helper()
	r, err := e.Detect(t.Context(), Look{Picture: p, Regions: regions, Policy: bus.PolicyGrid})
	if err != nil {
		t.Fatal(err)
	}
	return r.Objects
}

// holdBlocks wants exactly these blocks, each side within some pixels.
func holdBlocks(t testing.TB, objects []bus.Object, within float64, blocks ...block) {
	t.Helper()
	if len(objects) != len(blocks) {
		t.Fatalf("%d objects, want %d: %+v", len(objects), len(blocks), objects)
	}
	for _, b := range blocks {
		found := false
		for _, o := range objects {
			far := 0.0
			for i, want := range []int{b.x, b.y, b.x + b.w, b.y + b.h} {
				far = max(far, math.Abs(float64(o.Box[i])-float64(want)))
			}
			found = found || o.ClassID == b.class && far <= within
		}
		if !found {
			t.Errorf("%+v is not among %+v", b, objects)
		}
	}
}

func TestEveryFamilyFindsBlocksWhereTheyAre(t *testing.T) {
	for _, name := range []string{"tiny.onnx", "tiny_v5.onnx", "tiny_v8.onnx"} {
		e := open(t, name, nil)
		blocks := []block{{0, 100, 60, 120, 90}, {1, 330, 200, 150, 60}, {2, 40, 260, 70, 80}}
		holdBlocks(t, detectIn(t, e, paint(640, 360, blocks...)), 2*640.0/192, blocks...)
		if found := detectIn(t, e, paint(640, 360)); len(found) != 0 {
			t.Errorf("%s finds %+v in grey", name, found)
		}
	}
}

// TestBatchesAndWorkersChangeNothing: bit by bit the same, whatever goes through the network together.
func TestBatchesAndWorkersChangeNothing(t *testing.T) {
	blocks := []block{{0, 200, 150, 160, 140}, {1, 900, 600, 200, 180}, {2, 1200, 100, 150, 300}}
	p := paint(1500, 1100, blocks...)
	regions := bus.GridRegions(1500, 1100, 640, 0.2)
	want := detectIn(t, open(t, "tiny.onnx", nil), p, regions...)
	if len(want) != 3 {
		t.Fatalf("%d objects, want 3: %+v", len(want), want)
	}
	for _, c := range []Config{{Workers: 3}, {Workers: 1, MaxBatch: 4}, {Workers: 1, Threads: 2}, {Workers: 2, MaxBatch: 16, MaxQueueDelay: time.Millisecond}} {
		e := open(t, "tiny.onnx", func(cfg *Config) {
			cfg.Workers, cfg.Threads, cfg.MaxBatch, cfg.MaxQueueDelay = c.Workers, c.Threads, c.MaxBatch, c.MaxQueueDelay
		})
		got := detectIn(t, e, p, regions...)
		if len(testDevices) > 0 { // which sum in other orders by the size of the batch
			holdBlocks(t, got, 2*640.0/192, blocks...)
			continue
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%d workers of %d threads, batches of %d: %+v, want %+v", c.Workers, max(1, c.Threads), c.MaxBatch, got, want)
		}
	}
}

func TestTilesFindWhatTheWholeFrameIsTooCoarseFor(t *testing.T) {
	small := block{0, 1700, 900, 24, 24}
	p := paint(3840, 2160, small)
	e := open(t, "tiny.onnx", nil)
	if found := detectIn(t, e, p); len(found) != 0 {
		t.Errorf("the whole frame shows %+v", found)
	}
	holdBlocks(t, detectIn(t, e, p, bus.GridRegions(3840, 2160, 640, 0.2)...), 7, small)
}

func TestObjectsAcrossSeamsAreOne(t *testing.T) {
	e := open(t, "tiny.onnx", nil)
	for name, b := range map[string]block{
		"vertical": {0, 380, 200, 500, 150}, "horizontal": {1, 300, 400, 140, 420}, "corner": {2, 420, 420, 300, 300},
		"whole": {0, 20, 20, 1200, 900}, "inside": {1, 100, 100, 200, 200},
	} {
		t.Run(name, func(t *testing.T) {
			found := detectIn(t, e, paint(1280, 960, b), bus.GridRegions(1280, 960, 640, 0.2)...)
			holdBlocks(t, found, 16, b)
		})
	}
}

// TestFailedBatchTakesNobodyDown: a picture that the network cannot bear fails alone, whatever it shared a batch with.
func TestFailedBatchTakesNobodyDown(t *testing.T) {
	processorOnly(t)
	e := open(t, "tiny_poison.onnx", func(c *Config) { c.MaxBatch, c.MaxQueueDelay = 8, 50*time.Millisecond })
	good, bad := paint(192, 192, block{0, 40, 40, 60, 60}), paint(192, 192)
	picture.DrawBox(bad, picture.Rect{W: 192, H: 192}, picture.Colour{R: 255, G: 255, B: 255}, 192)
	var wait sync.WaitGroup
	for i := range 8 {
		wait.Go(func() {
			if i%2 == 0 {
				r, err := e.Detect(t.Context(), Look{Picture: good})
				if err != nil || len(r.Objects) != 1 {
					t.Errorf("a good picture: %+v, %v", r.Objects, err)
				}
				return
			}
			if _, err := e.Detect(t.Context(), Look{Picture: bad}); err == nil {
				t.Error("a picture that the network cannot bear gives objects")
			}
		})
	}
	wait.Wait()
}

// TestProcessorTimeIsThatOfRuns, by a network that makes its thread work.
func TestProcessorTimeIsThatOfRuns(t *testing.T) {
	if thisThread().now() == 0 {
		t.Skip("this system does not tell the time of a thread")
	}
	e := open(t, "tiny.onnx", nil)
	before := e.ProcessorTime()
	detectIn(t, e, paint(640, 360))
	if took := e.ProcessorTime() - before; took <= 0 {
		t.Errorf("a run took %v", took)
	}
}

func TestPictureThatIsTakenBackIsStale(t *testing.T) {
	e := open(t, "tiny.onnx", nil)
	prepared := 0
	_, err := e.Detect(t.Context(), Look{Picture: paint(640, 360), Valid: func() bool { return false }, OnPrepared: func() { prepared++ }})
	if !errors.Is(err, ErrStale) || prepared != 1 {
		t.Errorf("%v, let go of %d times", err, prepared)
	}
	_, err = e.Detect(t.Context(), Look{Picture: paint(640, 360), Valid: func() bool { return true }, OnPrepared: func() { prepared++ }})
	if err != nil || prepared != 2 {
		t.Errorf("%v, let go of %d times", err, prepared)
	}
}

func TestRegionsOutsideThePictureAreRefused(t *testing.T) {
	e := open(t, "tiny.onnx", nil)
	for _, r := range []bus.Region{{X: 600, W: 100, H: 100}, {X: -1, W: 100, H: 100}, {W: 0, H: 10}, {Y: 1 << 40, W: 10, H: 10}} {
		if _, err := e.Detect(t.Context(), Look{Picture: paint(640, 360), Regions: []bus.Region{r}}); err == nil {
			t.Errorf("%+v was taken", r)
		}
	}
}

func TestFiltersDropWhatIsNotWanted(t *testing.T) {
	p := paint(640, 360, block{0, 100, 60, 120, 90}, block{1, 330, 200, 150, 60}, block{2, 40, 260, 70, 80})
	for name, c := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"labels":   {func(c *Config) { c.Labels = []string{"green", "blue"} }, "blue green"},
		"smallest": {func(c *Config) { c.Filters = map[string]Filter{"blue": {MinArea: 50_000}} }, "green red"},
		"largest":  {func(c *Config) { c.Filters = map[string]Filter{"red": {MaxArea: 1_000}} }, "blue green"},
		"score":    {func(c *Config) { c.Filters = map[string]Filter{"red": {MinScore: 0.99}} }, "blue green"},
		"all":      {func(c *Config) { c.Score = 0.999 }, ""},
	} {
		var labels []string
		for _, o := range detectIn(t, open(t, "tiny.onnx", c.change), p) {
			labels = append(labels, o.Label)
		}
		for _, want := range strings.Fields(c.want) {
			if !strings.Contains(strings.Join(labels, " "), want) {
				t.Errorf("%s: %v lacks %s", name, labels, want)
			}
		}
		if len(labels) != len(strings.Fields(c.want)) {
			t.Errorf("%s: %v, want %q", name, labels, c.want)
		}
	}
}

func TestWrongSettingsAreNamed(t *testing.T) {
	for want, c := range map[string]Config{
		"workers": {Workers: -1}, "max_batch_size": {MaxBatch: 1 << 20}, "max_queue_delay": {MaxQueueDelay: -1}, "min_score": {Score: 2},
		"objects.track": {Labels: []string{"unicorn"}}, "objects.filters": {Filters: map[string]Filter{"unicorn": {}}}, "must be cpu": {Devices: []string{"abacus"}},
	} {
		c.Model = filepath.Join("testdata", "tiny.onnx")
		if e, err := Open(c, silent); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
			if e != nil {
				e.Close()
			}
		}
	}
}

func BenchmarkDetectGrid(b *testing.B) {
	e := open(b, "tiny.onnx", nil)
	p := paint(3840, 2160, block{0, 380, 200, 500, 150})
	regions := bus.GridRegions(3840, 2160, 640, 0.2)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := e.Detect(b.Context(), Look{Picture: p, Regions: regions}); err != nil {
			b.Fatal(err)
		}
	}
}

// TestSteadyWorkAllocatesOnlyItsAnswer: the list of objects, and nothing that grows with regions.
func TestSteadyWorkAllocatesOnlyItsAnswer(t *testing.T) {
	e := open(t, "tiny.onnx", nil)
	p := paint(1280, 960, block{0, 380, 200, 100, 150})
	regions := bus.GridRegions(1280, 960, 640, 0.2)
	work := func() {
		if _, err := e.Detect(t.Context(), Look{Picture: p, Regions: regions, Policy: bus.PolicyGrid}); err != nil {
			t.Error(err)
		}
	}
	work()
	if n := testing.AllocsPerRun(20, work); n > 8 {
		t.Errorf("%v allocations for %d regions", n, len(regions))
	}
}
