package detect

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sightline/sightline/pipeline/bus"
)

func TestTurnsKeepTheOrderOfEachCamera(t *testing.T) {
	synctest.Test(t, keepTheOrder)
}

func keepTheOrder(t *testing.T) {
	const workers, frames = 8, 2000
	turns := newTurns()
	var pull, mu sync.Mutex
	pulled, told := 0, map[string][]int{}
	var running sync.WaitGroup
	for range workers {
		running.Go(func() {
			for {
				pull.Lock()
				n := pulled
				pulled++
				camera := fmt.Sprintf("camera-%d", n%3)
				mine := turns.take(camera)
				pull.Unlock()
				if n >= frames {
					mine.end()
					return
				}
				time.Sleep(time.Duration(rand.IntN(50)) * time.Microsecond)
				if n%7 > 0 { // else it is given up
					mine.await()
					mu.Lock()
					told[camera] = append(told[camera], n)
					mu.Unlock()
				}
				mine.end()
			}
		})
	}
	running.Wait()
	total := 0
	for camera, list := range told {
		total += len(list)
		for i := 1; i < len(list); i++ {
			if list[i] <= list[i-1] {
				t.Fatalf("%s: %d was told after %d", camera, list[i], list[i-1])
			}
		}
	}
	if want := frames - (frames+6)/7; total != want {
		t.Errorf("%d were told, want %d", total, want)
	}
}

func TestTurnsForgetIdleCameras(t *testing.T) {
	turns := newTurns()
	busy := turns.take("busy")
	for i := range 3 * mostIdle {
		turns.take(fmt.Sprint(i)).end()
	}
	if n := len(turns.cameras); n > mostIdle {
		t.Errorf("%d cameras are remembered", n)
	}
	second := turns.take("busy")
	busy.end()
	second.end()
	if n := testing.AllocsPerRun(100, func() { turns.take("busy").end() }); n > 0 {
		t.Errorf("%v allocations a frame", n)
	}
}

// TestAPlaceThatIsGivenUpFreesTheNext: once those before it are over, and other cameras do not notice.
func TestAPlaceThatIsGivenUpFreesTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := newTurns()
		first, second, third, other := turns.take("gate"), turns.take("gate"), turns.take("gate"), turns.take("yard")
		var own, others atomic.Bool
		go second.end()
		go func() {
			third.await()
			own.Store(true)
			third.end()
		}()
		go func() {
			other.await()
			others.Store(true)
			other.end()
		}()
		synctest.Wait()
		if own.Load() || !others.Load() {
			t.Errorf("the third had its turn: %v, the other camera: %v; want false, true", own.Load(), others.Load())
		}
		first.end()
		synctest.Wait()
		if !own.Load() {
			t.Error("the third still waits")
		}
	})
}

// order hears the detections of a camera, which must come with rising numbers in each session.
type order struct {
	mu   sync.Mutex // protects what follows
	seqs map[string][]uint64
	all  int
}

func hearOrder(t *testing.T, conn *bus.Conn, camera string) *order {
	t.Helper()
	o := &order{seqs: map[string][]uint64{}}
	sub, err := conn.SubscribeDetections(camera, func(d *bus.Detections) {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.seqs[d.Session], o.all = append(o.seqs[d.Session], d.Seq), o.all+1
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sub.Close)
	return o
}

func (o *order) heard() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.all
}

// hold wants every frame of every session once, those before in front.
func (o *order) hold(t *testing.T, camera string, want map[string][]uint64) {
	t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	for session, seqs := range want {
		if !slices.Equal(o.seqs[session], seqs) {
			t.Errorf("%s, session %s: frames %v, want %v", camera, session, o.seqs[session], seqs)
		}
	}
}

// until waits for what a worker does on its own.
func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within 30 s: %s", what)
		}
	}
}

func (t *turns) takenBy(camera string) uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	if q := t.cameras[camera]; q != nil {
		return q.taken
	}
	return 0
}

// TestDetectionsOfACameraComeInOrder: a frame of many looks and one of a single look are in work at once, the second is done first and
// waits; now and then one cannot be read. Each frame is pulled before the next is published, so the broker replaces none.
func TestDetectionsOfACameraComeInOrder(t *testing.T) {
	const frames = 40
	w, p := startLanes(t, 3)
	body, err := p.jpeg.Encode(paint(640, 360, block{0, 100, 60, 120, 90}), nil)
	if err != nil {
		t.Fatal(err)
	}
	many := bus.GridRegions(640, 360, 96, 0.5)
	cameras := []string{"gate", "yard"}
	orders, want := map[string]*order{}, map[string][]uint64{}
	for _, camera := range cameras {
		orders[camera] = hearOrder(t, p.conn, camera)
	}
	for i := range frames {
		f := p.frame(bus.EncodingJPEG)
		f.Body, f.Session, f.Seq = body, fmt.Sprintf("S%d", 2*i/frames), uint64(1+i%(frames/2))
		if i%2 == 0 {
			f.Regions = many
		}
		if i%9 == 8 {
			f.Body = []byte("no JPEG")
		} else {
			want[f.Session] = append(want[f.Session], f.Seq)
		}
		for _, camera := range cameras {
			f.Camera = camera
			if err := p.conn.PublishFrame(t.Context(), f); err != nil {
				t.Fatal(err)
			}
			until(t, "frame pulled", func() bool { return w.turns.takenBy(camera) == uint64(i+1) })
		}
	}
	sound := frames - frames/9
	for _, camera := range cameras {
		until(t, "all of "+camera, func() bool { return orders[camera].heard() == sound })
		orders[camera].hold(t, camera, want)
	}
	until(t, "all counted", func() bool { return w.Stats().Frames == uint64(2*sound) })
	if s := w.Stats(); s.Bad != 2*(frames/9) || s.Stale+s.Failed != 0 {
		t.Errorf("%+v", s)
	}
}
