package capacity

import (
	"context"
	"errors"
	"time"

	"github.com/sightline/sightline/detect"
	"github.com/sightline/sightline/ingest/decode"
	"github.com/sightline/sightline/pipeline/bus"
	"github.com/sightline/sightline/pipeline/picture"
	"github.com/sightline/sightline/sinks/encode"
)

// The annotated video is at most of this size, as by default.
const shownWidth, shownHeight = 1280, 720

// measure takes the time of each stage of a frame, one after the other.
func (c *clip) measure(ctx context.Context, engine *detect.Engine, o Options) (Video, error) {
	pic, took, err := c.decode(ctx, o.Each)
	if err != nil {
		return Video{}, err
	}
	v := Video{Name: c.name, Width: pic.Width, Height: pic.Height, Decode: took}
	var motion picture.Motion
	if v.Plan, err = mean(ctx, o.Each, func() error {
		err := motion.Update(pic, 40*time.Millisecond)
		motion.Clusters(2)
		return err
	}); err != nil {
		return Video{}, err
	}
	if err := v.looks(ctx, engine, pic, o); err != nil {
		return Video{}, err
	}
	v.Picture, err = annotate(ctx, pic, o.Each)
	return v, err
}

// decode gives the last picture and the milliseconds of a frame.
func (c *clip) decode(ctx context.Context, during time.Duration) (*picture.I420, float64, error) {
	var pic *picture.I420
	frames, began := 0, time.Now()
	for frames == 0 || time.Since(began) < during {
		n, err := c.decodeOnce(&pic)
		if err = errors.Join(err, ctx.Err()); err != nil {
			return nil, 0, err
		}
		if frames += n; n == 0 {
			return nil, 0, errors.New("no picture could be decoded")
		}
	}
	return pic, millis(time.Since(began)) / float64(frames), nil
}

func (c *clip) decodeOnce(pic **picture.I420) (frames int, err error) {
	d, err := decode.Open(c.parameters, 1)
	if err != nil {
		return 0, err
	}
	defer d.Close()
	to := func(w, h int) (*picture.I420, error) {
		if *pic == nil || (*pic).Width != w || (*pic).Height != h {
			*pic = picture.New(w, h)
		}
		return *pic, nil
	}
	receive := func() error {
		for {
			ok, _, _, err := d.Next(to)
			if err != nil || !ok {
				return err
			}
			frames++
		}
	}
	for i, unit := range c.units {
		if err := errors.Join(d.Send(unit, int64(i)), receive()); err != nil {
			return frames, err
		}
	}
	return frames, errors.Join(d.Drain(), receive())
}

// looks measures what surrounds the network. The first look is left out: it makes memory.
func (v *Video) looks(ctx context.Context, engine *detect.Engine, pic *picture.I420, o Options) error {
	look := detect.Look{Picture: pic, Regions: bus.PolicyGrid.Regions(pic.Width, pic.Height, o.Tiles.Size, o.Tiles.Overlap), Policy: bus.PolicyGrid}
	if _, err := engine.Detect(ctx, look); err != nil {
		return err
	}
	var prepare, merge time.Duration
	run, frames := 0, 0
	for began := time.Now(); frames == 0 || time.Since(began) < o.Each; frames++ {
		r, err := engine.Detect(ctx, look)
		if err != nil {
			return err
		}
		prepare, merge, run = prepare+r.Prepare, merge+r.Merge, run+r.Run
	}
	v.Prepare, v.Merge = millis(prepare)/float64(run), millis(merge)/float64(frames)
	return nil
}

// annotate gives what a picture of the annotated video costs.
func annotate(ctx context.Context, pic *picture.I420, during time.Duration) (float64, error) {
	scale := min(1, float64(shownWidth)/float64(pic.Width), float64(shownHeight)/float64(pic.Height))
	small := picture.New(max(16, int(scale*float64(pic.Width))&^1), max(16, int(scale*float64(pic.Height))&^1))
	e, err := encode.Open(encode.Config{Width: small.Width, Height: small.Height, Matrix: pic.Matrix})
	if err != nil {
		return 0, err
	}
	defer e.Close()
	var unit []byte
	at := time.Duration(0)
	return mean(ctx, during, func() error {
		if err := picture.Scale(pic, small); err != nil {
			return err
		}
		at += 40 * time.Millisecond
		picture.DrawBox(small, picture.Rect{X: int(at/time.Millisecond) % small.Width, Y: 8, W: 16, H: 16}, picture.ColourOf(1), 8)
		unit, _, err = e.Encode(small, at, false, unit[:0])
		return err
	})
}

// mean gives the milliseconds of one call.
func mean(ctx context.Context, during time.Duration, work func() error) (float64, error) {
	n, began := 0, time.Now()
	for n == 0 || time.Since(began) < during {
		if err := errors.Join(work(), ctx.Err()); err != nil {
			return 0, err
		}
		n++
	}
	return millis(time.Since(began)) / float64(n), nil
}

func millis(d time.Duration) float64 { return d.Seconds() * 1000 }
