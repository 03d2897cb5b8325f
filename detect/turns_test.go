package detect

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/sightline/sightline/pipeline/bus"
)

func TestTurnsKeepTheOrderOfEachCamera(t *testing.T) {
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

// A frame of many looks and one of a single look are in work at once: the second is done first, and waits.
func TestDetectionsOfACameraComeInOrder(t *testing.T) {
	w, p := startWorker(t)
	if w.engine.Workers() < 2 {
		t.Log("one worker: nothing can overtake here, only the order is checked")
	}
	many := bus.GridRegions(640, 360, 96, 0.5)
	body, err := p.jpeg.Encode(paint(640, 360, block{0, 100, 60, 120, 90}), nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 40 {
		f := p.frame(bus.EncodingJPEG)
		f.Body = body
		if i%2 == 0 {
			f.Regions = many
		}
		if err := p.conn.PublishFrame(context.Background(), f); err != nil {
			t.Fatal(err)
		}
		time.Sleep(4 * time.Millisecond)
	}
	last := uint64(0)
	for {
		select {
		case d := <-p.heard:
			if d.Seq <= last {
				t.Fatalf("frame %d came after frame %d", d.Seq, last)
			}
			last = d.Seq
		case <-time.After(2 * time.Second):
			if last != 40 {
				t.Errorf("the newest frame that was detected is %d, want 40", last)
			}
			return
		}
	}
}
