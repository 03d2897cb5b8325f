package track

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/sightline/sightline/pipeline/bus"
)

func randomised(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 7)) }

// best tries every assignment and returns the least sum of cost - limit; costs of 1 or more are not allowed.
func best(costs [][]float64, used uint) float64 {
	if len(costs) == 0 {
		return 0
	}
	least := best(costs[1:], used)
	for j, cost := range costs[0] {
		if used&(1<<j) == 0 && cost < 1 {
			least = min(least, cost-1+best(costs[1:], used|1<<j))
		}
	}
	return least
}

func TestAssignmentIsTheBestOfAll(t *testing.T) {
	rng := randomised(3)
	var a assigner
	for range 3000 {
		costs := make([][]float64, rng.IntN(7))
		columns := rng.IntN(7)
		a.reset(columns)
		for i := range costs {
			costs[i] = make([]float64, columns)
			a.row()
			for j := range costs[i] {
				costs[i][j] = math.Round(rng.Float64()*15) / 10 // ties are frequent
				if costs[i][j] < 1 {
					a.allow(j, costs[i][j])
				}
			}
		}
		sum, used := 0.0, map[int]bool{}
		for i, j := range a.solve(1) {
			if j < 0 {
				continue
			}
			if used[j] || costs[i][j] >= 1 {
				t.Fatalf("column %d given twice or not allowed in %v", j, costs)
			}
			used[j] = true
			sum += costs[i][j] - 1
		}
		if want := best(costs, 0); math.Abs(sum-want) > 1e-9 {
			t.Fatalf("the sum is %v, the best %v, of %v", sum, want, costs)
		}
	}
}

func TestBeliefFindsSpeedAndStaysCertain(t *testing.T) {
	m := newMotion(bus.Box{0, 0, 100, 100})
	for i := 1; i <= 50; i++ {
		m.predict(0.1)
		x := float32(i) * 12
		m.correct(bus.Box{x, 0, x + 100, 100})
	}
	if math.Abs(m.cx.v-120) > 2 || math.Abs(m.cy.v) > 1 || math.Abs(m.w.x-100) > 1 {
		t.Errorf("speed %.1f, %.1f, width %.1f", m.cx.v, m.cy.v, m.w.x)
	}
	if _, ok := m.distance(bus.Box{600, 0, 700, 100}); !ok {
		t.Error("the true box is out of the question")
	}
	if _, ok := m.distance(bus.Box{600, 0, 900, 300}); ok {
		t.Error("a box three times as large is the same thing")
	}
	before := m.cx.xx
	m.predict(1)
	if m.cx.xx <= before {
		t.Error("a second without news left the belief as certain")
	}
}

func TestCovarianceStaysPositive(t *testing.T) {
	rng := randomised(5)
	m := newMotion(bus.Box{10, 10, 12, 500})
	for range 20000 {
		m.predict(rng.Float64() * rng.Float64() * 2)
		if rng.IntN(3) > 0 {
			x, y := rng.Float32()*4000, rng.Float32()*4000
			m.correct(bus.Box{x, y, x + rng.Float32()*4000 + 0.001, y + rng.Float32()*4000 + 0.001})
		}
		for _, a := range []axis{m.cx, m.cy, m.w, m.h} {
			if !(a.xx >= 0 && a.vv >= 0 && a.xx*a.vv-a.xv*a.xv >= -1e-6*a.xx*a.vv) || !finite(a) {
				t.Fatalf("covariance %+v", a)
			}
		}
	}
}

func finite(a axis) bool {
	sum := a.x + a.v + a.xx + a.xv + a.vv
	return !math.IsNaN(sum) && !math.IsInf(sum, 0)
}

func TestBoxesAreCutToTheFrame(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	small := bus.Size{Width: 100, Height: 50}
	for _, c := range []struct {
		in, out bus.Box
		ok      bool
	}{
		{bus.Box{10, 10, 20, 20}, bus.Box{10, 10, 20, 20}, true},
		{bus.Box{-10, -10, 200, 200}, bus.Box{0, 0, 100, 50}, true},
		{bus.Box{20, 10, 10, 20}, bus.Box{}, false}, {bus.Box{101, 0, 120, 20}, bus.Box{}, false}, {bus.Box{5, 5, 5, 9}, bus.Box{}, false},
		{bus.Box{nan, 0, 10, 10}, bus.Box{}, false}, {bus.Box{0, 0, inf, 10}, bus.Box{}, false},
	} {
		if out, ok := inFrame(c.in, small); ok != c.ok || ok && out != c.out {
			t.Errorf("%v: %v %v", c.in, out, ok)
		}
		if !math.IsNaN(float64(c.in[0])) {
			if out := atEdge(c.in, small); !inside(out, small) {
				t.Errorf("%v at the edge is %v", c.in, out)
			}
		}
	}
}

func TestConfigIsChecked(t *testing.T) {
	for _, c := range []struct {
		cfg  Config
		says string
	}{
		{Config{}, ""}, {Config{High: 0.05}, ""}, {Config{High: 1.5}, "high"}, {Config{High: float32(math.NaN())}, "high"}, {Config{Low: 0.6}, "low"},
		{Config{MinHits: -1}, "min hits"}, {Config{Lost: -time.Second}, "lost"}, {Config{Carry: time.Second}, "carry"}, {Config{Lost: time.Minute}, ""},
		{Config{MaxTracks: 257}, "max tracks"}, {Config{MaxTracks: -1}, "max tracks"},
	} {
		err := c.cfg.Validate()
		if (err == nil) != (c.says == "") || err != nil && !strings.HasPrefix(err.Error(), c.says) {
			t.Errorf("%+v: %v", c.cfg, err)
		}
	}
}

// FuzzTracker reads frames out of bytes: whatever comes, ids are not used again and boxes stay in the frame.
func FuzzTracker(f *testing.F) {
	f.Add([]byte{0, 10, 10, 10, 60, 60, 200, 1, 12, 12, 62, 62, 200, 1, 14, 14, 64, 64, 200, 1, 16, 16, 66, 66, 200})
	f.Add([]byte{255, 0, 0, 0, 0, 0, 254, 255, 255, 255, 255, 255, 253, 250, 1, 2, 3, 250, 251, 252, 253})
	f.Fuzz(func(t *testing.T, data []byte) {
		tracker := NewTracker(Config{MinHits: 1 + len(data)%3}, "gate", "s1")
		d := &bus.Detections{Frame: bus.Size{Width: 200, Height: 100}, CapturedAt: epoch}
		if len(data)%2 == 1 {
			d.Tiles = bus.Tiles{Policy: bus.PolicyAdaptive, Run: 1, Of: 33}
		}
		tracker.SetScene(Scene{
			Zones: []Zone{{Name: "half", Area: Polygon{{0.5, 0}, {1, 0}, {1, 1}, {0.5, 1}}, Inertia: 1}, {Name: "a", Area: Polygon{{0, 0}, {1, 0}, {0, 1}}, Labels: []string{"a"}}},
			Lines: []Line{{Name: "across", From: Point{0.2, 0.3}, To: Point{0.9, 0.6}}},
		})
		visits := visitors{}
		defer func() { visits.gone(t, tracker.End()) }()
		ended := map[uint64]bool{}
		for ; len(data) >= 6; data = data[6:] {
			if step := data[0]; step > 0 { // 0: one more object of the same frame
				d.Seq++
				checkUpdate(t, tracker, d, ended, visits)
				d.Objects = d.Objects[:0]
				d.Tiles.Regions = []bus.Region{{X: int(data[1]), Y: int(data[2]) / 4, W: 100, H: 50}}
				d.CapturedAt = d.CapturedAt.Add(time.Duration(int8(step)) * 30 * time.Millisecond)
			}
			o := bus.Object{Label: string(rune('a' + data[5]%2)), Score: strange(data[5]) / 200}
			for k := range o.Box {
				o.Box[k] = strange(data[1+k])
			}
			d.Objects = append(d.Objects, o)
		}
		d.Seq++
		checkUpdate(t, tracker, d, ended, visits)
	})
}

// strange makes a number of a byte; the last ones are none.
func strange(b byte) float32 {
	switch b {
	case 250:
		return float32(math.NaN())
	case 251:
		return float32(math.Inf(1))
	case 252:
		return float32(math.Inf(-1))
	case 253:
		return math.MaxFloat32
	case 254:
		return -math.MaxFloat32
	}
	return float32(b)
}

// visitors are the tracks in each zone by the events that came.
type visitors map[string]bool

func (v visitors) check(t *testing.T, events []bus.Event) {
	t.Helper()
	for _, e := range events {
		key := fmt.Sprint(e.Zone, e.TrackID)
		if (e.Type == bus.EventZoneEnter) == v[key] && e.Zone != "" {
			t.Fatalf("%s of %s by %d, inside before: %v", e.Type, e.Zone, e.TrackID, v[key])
		}
		if e.Validate() != nil {
			t.Fatalf("%+v: %v", e, e.Validate())
		}
		v[key] = e.Type == bus.EventZoneEnter
	}
}

// gone requires that with the last track every zone is left.
func (v visitors) gone(t *testing.T, last []bus.Event) {
	t.Helper()
	v.check(t, last)
	for key, in := range v {
		if in {
			t.Fatalf("%s is never left", key)
		}
	}
}

func checkUpdate(t *testing.T, tracker *Tracker, d *bus.Detections, ended map[uint64]bool, visits visitors) {
	t.Helper()
	tracks, events := tracker.Update(d)
	checkFrame(t, d, tracks, events, ended)
	visits.check(t, events)
	for i := range tracker.targets {
		g := &tracker.targets[i]
		if !finite(g.cx) || !finite(g.cy) || !finite(g.w) || !finite(g.h) {
			t.Fatalf("frame %d: belief %+v", d.Seq, g.motion)
		}
	}
}

// BenchmarkTracker50 follows 50 objects of 1920x1080 at 25 frames a second.
func BenchmarkTracker50(b *testing.B) { benchmarkTracker(b, 50) }

// BenchmarkTracker250 is a crowd at the limit.
func BenchmarkTracker250(b *testing.B) { benchmarkTracker(b, 250) }

func benchmarkTracker(b *testing.B, n int) {
	tracker := NewTracker(Config{UpdateEvery: time.Hour}, "gate", "s1") // events are messages, and messages need memory
	d := &bus.Detections{Frame: frame, CapturedAt: epoch, Objects: make([]bus.Object, n)}
	rng := randomised(1)
	step := func() {
		d.Seq++
		d.CapturedAt = d.CapturedAt.Add(40 * time.Millisecond)
		for i := range d.Objects {
			x := float32(i%25)*74 + 20*float32(math.Sin(float64(d.Seq)/25+float64(i))) + rng.Float32()*2
			y := float32(i/25)*100 + rng.Float32()*2
			d.Objects[i] = bus.Object{Label: "person", Score: 0.8, Box: bus.Box{x, y, x + 50, y + 120}}
		}
		tracker.Update(d)
	}
	for range 10 {
		step()
	}
	b.ReportAllocs()
	for b.Loop() {
		step()
	}
}
