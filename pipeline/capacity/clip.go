package capacity

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"time"

	"github.com/sightline/sightline/ingest/decode"
	"github.com/sightline/sightline/pipeline/picture"
	"github.com/sightline/sightline/sinks/encode"
)

const (
	generated = 50  // frames of generated video
	mostRead  = 250 // frames of a file
)

// clip is some coded video in memory.
type clip struct {
	name       string
	parameters *decode.Parameters
	units      [][]byte // access units
}

// clipsOf reads the source, or makes video in the sizes that cameras have.
func clipsOf(ctx context.Context, o Options) ([]clip, error) {
	if o.Source != "" {
		c, err := readClip(ctx, o.Source)
		return []clip{c}, err
	}
	var clips []clip
	for i, size := range [][2]int{{1280, 720}, {1920, 1080}, {3840, 2160}} {
		c, err := makeClip(size[0], size[1])
		if err != nil {
			return nil, err
		}
		clips = append(clips, c)
		o.Progress("generating video", i+1, 3)
	}
	return clips, ctx.Err()
}

func readClip(ctx context.Context, path string) (clip, error) {
	d, err := decode.OpenFile(ctx, path)
	if err != nil {
		return clip{}, err
	}
	defer d.Close()
	c := clip{name: filepath.Base(path), parameters: d.Parameters()}
	var p decode.Packet
	for len(c.units) < mostRead {
		ok, err := d.Read(ctx, &p)
		if err != nil {
			return clip{}, fmt.Errorf("read %s: %w", path, err)
		}
		if !ok {
			break
		}
		c.units = append(c.units, append([]byte(nil), p.Data...))
	}
	return c, nil
}

// makeClip codes a textured picture that shifts, with things that move in it, at the bit rate of a camera.
func makeClip(width, height int) (clip, error) {
	e, err := encode.Open(encode.Config{Width: width, Height: height, KeyInterval: generated / 2})
	if err != nil {
		return clip{}, err
	}
	defer e.Close()
	c := clip{name: "generated", parameters: &decode.Parameters{Codec: "h264"}}
	texture := noise(width, height)
	pic := picture.New(width, height)
	for i := range pic.U {
		pic.U[i], pic.V[i] = 120, 132
	}
	for n := range generated {
		for y := range height {
			copy(pic.Y[y*pic.StrideY:][:width], texture[y*width:])
		}
		for thing := range 6 {
			at := picture.Rect{X: (n*9 + thing*width/6) % (width - 80), Y: height / 8 * (1 + thing), W: 60, H: 90}
			picture.DrawBox(pic, at, picture.ColourOf(thing), 20)
		}
		unit, _, err := e.Encode(pic, time.Duration(n)*40*time.Millisecond, n == 0, nil)
		if err != nil {
			return clip{}, fmt.Errorf("generate video of %dx%d: %w", width, height, err)
		}
		c.units = append(c.units, unit)
	}
	return c, nil
}

// noise is a picture with detail of several sizes, the same each time.
func noise(width, height int) []byte {
	random := rand.New(rand.NewPCG(1, 2))
	luma := make([]byte, width*height)
	coarse := make([]byte, (width/16+1)*(height/16+1))
	for i := range coarse {
		coarse[i] = byte(60 + random.IntN(120))
	}
	for y := range height {
		for x := range width {
			luma[y*width+x] = coarse[y/16*(width/16+1)+x/16] + byte(random.IntN(8))
		}
	}
	return luma
}
