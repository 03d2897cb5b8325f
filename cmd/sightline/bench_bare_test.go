package main

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sightline/sightline/detect/onnx"
	"github.com/sightline/sightline/ingest/decode"
	"github.com/sightline/sightline/models"
)

// bareLanes is how many sessions run at once where the pipeline's two are compared with bare ones.
const bareLanes = 2

// decodeAll decodes a clip to its end, or until each says no. Pictures stay where libavcodec puts them.
func decodeAll(b *testing.B, clip string, each func() bool) {
	b.Helper()
	demuxer, err := decode.OpenFile(b.Context(), clip)
	if err != nil {
		b.Error(err)
		return
	}
	defer demuxer.Close()
	decoder, err := decode.Open(demuxer.Parameters(), 1)
	if err != nil {
		b.Error(err)
		return
	}
	defer decoder.Close()
	var packet decode.Packet
	for {
		more, err := demuxer.Read(b.Context(), &packet)
		if err == nil && more {
			err = decoder.Send(packet.Data, packet.PTS.Microseconds())
		}
		if err != nil {
			b.Error(err)
			return
		}
		if !more {
			return
		}
		for {
			_, ok, err := decoder.Receive()
			if err != nil {
				b.Error(err)
				return
			}
			if !ok {
				break
			}
			if !each() {
				return
			}
		}
	}
}

// decodeCPU is what a frame of the clip costs to decode, in seconds.
func decodeCPU(b *testing.B, clip string) float64 {
	b.Helper()
	frames, began := 0, ownCPU(b)
	decodeAll(b, clip, func() bool { frames++; return true })
	return (ownCPU(b) - began) / float64(frames)
}

// bare decodes clips and looks at their frames with nothing around it: each clip is decoded by a goroutine, and frames wait until their
// looks are taken, by sessions of one thread.
type bare struct {
	b           *testing.B
	gate        sync.Mutex // held while nothing may run
	ended       atomic.Bool
	tiles       atomic.Uint64 // that a frame gets beside the look at the whole, in 1/1000
	decoded     atomic.Uint64
	due         chan bareLook
	frames, cpu float64 // decoded, and seconds that these took with their looks, in all runs
}

// bareLook is one at the whole frame or one at a tile, which has the network's own shape.
type bareLook int

const (
	lookWhole bareLook = iota
	lookTile
)

// startBare readies decoders and sessions for run. They go with the benchmark. shaped tells whether frames of 16:9 are looked at in their
// shape, as far as the network takes it, or in the network's own.
func startBare(b *testing.B, clips []string, model string, shaped bool) *bare {
	b.Helper()
	spec := loadSpec(b, model)
	whole := spec
	if shaped {
		whole = spec.Resized(spec.Width, (spec.Width*9/16+31)/32*32)
	}
	sessions := bareSessions(b, spec, bareLanes)
	r := &bare{b: b, due: make(chan bareLook, bareLanes)}
	r.gate.Lock()
	var decoding, looking sync.WaitGroup
	for _, clip := range clips {
		decoding.Go(func() {
			owed := uint64(0)
			for !r.ended.Load() && !b.Failed() {
				decodeAll(b, clip, func() bool { return r.frame(&owed) })
			}
		})
	}
	for _, s := range sessions {
		other, err := s.Bind(onnx.Tensor{Name: whole.Input, Shape: whole.InputShape(1)}, outputs(whole))
		if err != nil {
			b.Fatal(err)
		}
		inputs := [...]*onnx.Binding{lookWhole: other, lookTile: s.Binding}
		looking.Go(func() {
			for at := range r.due {
				if err := inputs[at].Run(1); err != nil {
					b.Error(err)
				}
			}
		})
	}
	b.Cleanup(func() {
		r.ended.Store(true)
		r.gate.Unlock()
		decoding.Wait()
		close(r.due)
		looking.Wait()
		closeAll(sessions)
	})
	return r
}

// frame hands a frame's looks out, as soon as there may be any. false is the end.
func (r *bare) frame(owed *uint64) bool {
	r.gate.Lock()
	r.gate.Unlock() //nolint:staticcheck // it is a gate
	r.decoded.Add(1)
	r.due <- lookWhole
	for *owed += r.tiles.Load(); *owed >= 1000; *owed -= 1000 {
		r.due <- lookTile
	}
	return !r.ended.Load()
}

// run works for a while, with so many looks at tiles a frame beside the one at the whole.
func (r *bare) run(tiles float64, during time.Duration) {
	r.tiles.Store(uint64(1000 * max(0, tiles)))
	r.gate.Unlock()
	time.Sleep(during / 10) // until all are at work
	frames, cpu := r.decoded.Load(), ownCPU(r.b)
	time.Sleep(during)
	r.frames += float64(r.decoded.Load() - frames)
	r.cpu += ownCPU(r.b) - cpu
	r.gate.Lock()
	time.Sleep(during / 10) // until the last looks are taken
}

// inputPixels are those of the network's own input.
func inputPixels(b *testing.B, model string) float64 {
	b.Helper()
	spec := loadSpec(b, model)
	return float64(spec.Width * spec.Height)
}

// cost is what one run of the network takes, in seconds.
type cost struct{ wall, cpu float64 }

// bareLooks runs the network on inputs that are there, in as many sessions of one thread at once as there are lanes.
func bareLooks(b *testing.B, model string, lanes int) cost {
	b.Helper()
	const runs = 120
	sessions := bareSessions(b, loadSpec(b, model), lanes)
	defer closeAll(sessions)
	began, cpu := time.Now(), ownCPU(b)
	atOnce(b, lanes, func(i int) error {
		for range runs {
			if err := sessions[i].Run(1); err != nil {
				return err
			}
		}
		return nil
	})
	return cost{time.Since(began).Seconds() / runs, (ownCPU(b) - cpu) / float64(lanes*runs)}
}

// bareSessions opens sessions of one thread each, and runs each once.
func bareSessions(b *testing.B, spec models.Spec, lanes int) []*onnx.Session {
	b.Helper()
	sessions := make([]*onnx.Session, lanes)
	for i := range sessions {
		var err error
		sessions[i], err = onnx.Open(onnx.Options{
			Model: spec.Path, Threads: 1, Input: onnx.Tensor{Name: spec.Input, Shape: spec.InputShape(1)},
			Outputs: outputs(spec), AnySize: true,
		})
		if err != nil {
			b.Fatal(err)
		}
		if err := sessions[i].Run(1); err != nil {
			b.Fatal(err)
		}
	}
	return sessions
}

// loadSpec reads a model for a bare run.
func loadSpec(b *testing.B, model string) models.Spec {
	b.Helper()
	spec, err := models.Load(model)
	if err != nil {
		b.Fatal(err)
	}
	return spec
}

func closeAll(sessions []*onnx.Session) {
	for _, s := range sessions {
		_ = s.Close()
	}
}

// atOnce runs a function in so many goroutines and returns when all are through.
func atOnce(b *testing.B, lanes int, f func(lane int) error) {
	b.Helper()
	done := make(chan error, lanes)
	for i := range lanes {
		go func() { done <- f(i) }()
	}
	for range lanes {
		if err := <-done; err != nil {
			b.Fatal(err)
		}
	}
}

func outputs(spec models.Spec) (all []onnx.Tensor) {
	for _, o := range spec.Outputs(1) {
		all = append(all, onnx.Tensor(o))
	}
	return all
}
