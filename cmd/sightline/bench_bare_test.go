package main

import (
	"testing"
	"time"

	"github.com/sightline/sightline/detect/onnx"
	"github.com/sightline/sightline/ingest/decode"
	"github.com/sightline/sightline/models"
)

// decodeCPU is what a frame of the clip costs to decode, in seconds. Pictures stay where libavcodec puts them.
func decodeCPU(b *testing.B, clip string) float64 {
	b.Helper()
	demuxer, err := decode.OpenFile(b.Context(), clip)
	if err != nil {
		b.Fatal(err)
	}
	defer demuxer.Close()
	decoder, err := decode.Open(demuxer.Parameters(), 1)
	if err != nil {
		b.Fatal(err)
	}
	defer decoder.Close()
	frames, began := 0, ownCPU(b)
	var packet decode.Packet
	for {
		more, err := demuxer.Read(b.Context(), &packet)
		if err == nil && more {
			err = decoder.Send(packet.Data, packet.PTS.Microseconds())
		}
		if err != nil {
			b.Fatal(err)
		}
		if !more {
			return (ownCPU(b) - began) / float64(frames)
		}
		for {
			_, ok, err := decoder.Receive()
			if err != nil {
				b.Fatal(err)
			}
			if !ok {
				break
			}
			frames++
		}
	}
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
	spec := loadSpec(b, model)
	sessions := make([]*onnx.Session, lanes)
	for i := range sessions {
		var err error
		sessions[i], err = onnx.Open(onnx.Options{
			Model: spec.Path, Threads: 1, Input: onnx.Tensor{Name: spec.Input, Shape: spec.InputShape(1)},
			Outputs: outputs(spec), Unit: spec.Layout.Scale,
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
