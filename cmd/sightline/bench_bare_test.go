package main

import (
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

// besideCPU is what decoding a frame and so many looks of the network at its own size cost together, in seconds, while as much is decoded
// and looked at as in the pipeline: each clip is decoded by a goroutine, and frames wait until their looks are taken.
func besideCPU(b *testing.B, clips []string, model string, looks float64) float64 {
	b.Helper()
	sessions := bareSessions(b, model, bareLanes)
	defer closeAll(sessions)
	const during = 4 * time.Second
	began, cpu, frames := time.Now(), ownCPU(b), make([]int, len(clips))
	due := make(chan struct{}, bareLanes)
	ended := make(chan struct{})
	for i, clip := range clips {
		go func() {
			defer func() { ended <- struct{}{} }()
			owed := 0.0
			for time.Since(began) < during && !b.Failed() {
				decodeAll(b, clip, func() bool {
					frames[i]++
					for owed += looks; owed >= 1; owed-- {
						due <- struct{}{}
					}
					return time.Since(began) < during
				})
			}
		}()
	}
	go func() {
		for range clips {
			<-ended
		}
		close(due)
	}()
	atOnce(b, bareLanes, func(lane int) error {
		for range due {
			if err := sessions[lane].Run(1); err != nil {
				return err
			}
		}
		return nil
	})
	sum := 0
	for _, n := range frames {
		sum += n
	}
	return (ownCPU(b) - cpu) / float64(sum)
}

// inputPixels are those of the network's own input.
func inputPixels(b *testing.B, model string) float64 {
	b.Helper()
	spec, err := models.Load(model)
	if err != nil {
		b.Fatal(err)
	}
	return float64(spec.Width * spec.Height)
}

// cost is what one run of the network takes, in seconds.
type cost struct{ wall, cpu float64 }

// bareLooks runs the network on inputs that are there, in as many sessions of one thread at once as there are lanes.
func bareLooks(b *testing.B, model string, lanes int) cost {
	b.Helper()
	const runs = 120
	sessions := bareSessions(b, model, lanes)
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
func bareSessions(b *testing.B, model string, lanes int) []*onnx.Session {
	b.Helper()
	spec, err := models.Load(model)
	if err != nil {
		b.Fatal(err)
	}
	sessions := make([]*onnx.Session, lanes)
	for i := range sessions {
		sessions[i], err = onnx.Open(onnx.Options{
			Model: spec.Path, Threads: 1, Input: onnx.Tensor{Name: spec.Input, Shape: spec.InputShape(1)},
			Outputs: outputs(spec),
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
