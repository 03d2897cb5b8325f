package bus

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// yard is cameras whose frames one detector takes, in a time of its own. The detector hears of them only when it asks, as a puller does.
type yard struct {
	puller *FramePuller
	fields []field
	frames uint64 // that came
	now    time.Duration
}

// field is one camera, and what became of it.
type field struct {
	interval, phase time.Duration
	next            time.Duration // when its next frame comes
	ages            []time.Duration
}

func newYard(fields ...field) *yard {
	y := &yard{puller: &FramePuller{cameras: map[string]*pulled{}}, fields: fields}
	for i := range fields {
		y.fields[i].next = fields[i].phase
		y.puller.cameras[fmt.Sprint(i)] = &pulled{}
	}
	return y
}

// hear has all frames come that have come by now.
func (y *yard) hear() {
	for {
		first := 0
		for i := range y.fields {
			if y.fields[i].next < y.fields[first].next {
				first = i
			}
		}
		f := &y.fields[first]
		if f.next > y.now {
			return
		}
		y.frames++
		about := &jetstream.MsgMetadata{Timestamp: time.Unix(0, 0).Add(f.next), Sequence: jetstream.SequencePair{Stream: y.frames}}
		y.puller.tell(y.puller.cameras[fmt.Sprint(first)], about)
		f.next += f.interval
	}
}

// work takes frames, each of which keeps the detector for about so long, give or take a tenth.
func (y *yard) work(frames int, each time.Duration, order func() string) {
	dice := rand.New(rand.NewPCG(1, 2))
	for range frames {
		y.hear()
		camera := order()
		if camera == "" {
			y.now += time.Millisecond
			continue
		}
		c := y.puller.cameras[camera]
		c.taken = c.told
		y.puller.over(c)
		var i int
		fmt.Sscan(camera, &i) //nolint:errcheck // its own name
		y.fields[i].ages = append(y.fields[i].ages, y.now-c.came.Sub(time.Unix(0, 0)))
		y.now += time.Duration(float64(each) * (0.9 + 0.2*dice.Float64()))
	}
}

// ages gives a quantile of the frames' ages when they were taken.
func (y *yard) age(share float64) time.Duration {
	var all []time.Duration
	for _, f := range y.fields {
		all = append(all, f.ages...)
	}
	slices.Sort(all)
	return all[min(int(share*float64(len(all))), len(all)-1)]
}

// rotation is the order in which the camera comes first that was served longest ago.
func (y *yard) rotation() func() string {
	served, turn := map[string]int{}, 0
	return func() (camera string) {
		for _, name := range slices.Sorted(maps.Keys(y.puller.cameras)) {
			c := y.puller.cameras[name]
			if c.told > c.taken && (camera == "" || served[name] < served[camera]) {
				camera = name
			}
		}
		turn++
		served[camera] = turn
		return camera
	}
}

// TestNewestFramesHaveTheirTurnsFirst: at three times the load frames are younger than in rotation, and each camera has its share.
func TestNewestFramesHaveTheirTurnsFirst(t *testing.T) {
	const work, turns = 200 * time.Millisecond, 1000
	like := func(cameras int, step time.Duration) (all []field) {
		for i := range cameras {
			all = append(all, field{interval: time.Duration(cameras) * work / 3, phase: time.Duration(i) * step})
		}
		return all
	}
	for _, c := range []struct {
		name   string
		fields func() []field
		p50    float64 // at most, of that in rotation
		p95    float64
	}{
		{"four spread out", func() []field { return like(4, 47*time.Millisecond) }, 0.6, 0.9},
		{"four in step", func() []field { return like(4, time.Millisecond) }, 1.1, 1.02},
		{"sixteen spread out", func() []field { return like(16, 61*time.Millisecond) }, 0.3, 0.7},
	} {
		t.Run(c.name, func(t *testing.T) {
			rotating, y := newYard(c.fields()...), newYard(c.fields()...)
			rotating.work(turns, work, rotating.rotation())
			y.work(turns, work, y.puller.due)
			t.Logf("p50 %v, p95 %v, most %v; in rotation %v, %v, %v", y.age(0.5), y.age(0.95), y.age(1), rotating.age(0.5), rotating.age(0.95), rotating.age(1))
			if float64(y.age(0.5)) > c.p50*float64(rotating.age(0.5)) || float64(y.age(0.95)) > c.p95*float64(rotating.age(0.95)) {
				t.Error("frames are older than they need be")
			}
			for i, f := range y.fields {
				if n := len(f.ages); n < turns/len(y.fields)-2 || n > turns/len(y.fields)+2 {
					t.Errorf("camera %d had %d turns of %d", i, n, turns)
				}
			}
		})
	}
}

// TestASlowCameraIsNotPassedOver: one frame a second among cameras that have one at any time is taken in the round in which it comes, and
// nothing is made up for.
func TestASlowCameraIsNotPassedOver(t *testing.T) {
	const work = 50 * time.Millisecond
	fast := field{interval: 40 * time.Millisecond}
	y := newYard(field{interval: time.Second}, fast, fast, fast)
	y.work(1000, work, y.puller.due)
	slow := y.fields[0].ages
	if len(slow) < 45 || slices.Max(slow) > 6*work {
		t.Errorf("%d of 50 frames were taken, the oldest after %v", len(slow), slices.Max(slow))
	}
	y.fields[0].interval, y.fields[0].next = 40*time.Millisecond, y.now+time.Minute
	y.work(1200, work, y.puller.due)
	before := len(y.fields[0].ages)
	y.work(400, work, y.puller.due)
	if n := len(y.fields[0].ages) - before; n > 102 {
		t.Errorf("after a minute without frames a camera had %d of 400 turns", n)
	}
}
