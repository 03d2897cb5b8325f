package detect

import (
	"strings"
	"testing"

	"github.com/sightline/sightline/pipeline/bus"
	"github.com/sightline/sightline/pipeline/picture"
)

// TestShrunkFramesShowThingsWhereTheyAre: a JPEG that is decoded only as far as the network needs.
func TestShrunkFramesShowThingsWhereTheyAre(t *testing.T) {
	e := open(t, "tiny.onnx", nil)
	blocks := []block{{0, 600, 360, 720, 540}, {1, 1980, 1200, 900, 360}, {2, 240, 1560, 420, 480}}
	for _, size := range [][2]int{{3840, 2160}, {3833, 2159}, {400, 300}} {
		shown := blocks
		if size[0] < 1000 {
			shown = []block{{0, 60, 36, 72, 54}}
		}
		encoder, err := picture.NewJPEGEncoder(90)
		if err != nil {
			t.Fatal(err)
		}
		defer encoder.Close()
		body, err := encoder.Encode(paint(size[0], size[1], shown...), nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, regions := range [][]bus.Region{nil, {{W: size[0], H: size[1]}}, {{W: size[0], H: size[1]}, {W: 192, H: 192}}} {
			look := decoded(t, e, &bus.Frame{Width: size[0], Height: size[1], Body: body, Regions: regions})
			if want := size[0] > 1000 && len(regions) < 2; want != (look.Shrunk == 8) {
				t.Errorf("%v with %d regions is shrunk by %d", size, len(regions), look.Shrunk)
			}
			r, err := e.Detect(t.Context(), look)
			if err != nil {
				t.Fatal(err)
			}
			if len(regions) < 2 {
				holdBlocks(t, r.Objects, 2*float64(size[0])/192, shown...)
			}
		}
	}
}

// decoded is what a reader makes of a frame.
func decoded(t *testing.T, e *Engine, f *bus.Frame) Look {
	t.Helper()
	decoder, err := picture.NewJPEGDecoder()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(decoder.Close)
	r := &reader{decoder: decoder}
	look, err := r.decode(e, f)
	if err != nil {
		t.Fatal(err)
	}
	f.Width++
	if _, err := r.decode(e, f); look.Shrunk == 1 && (err == nil || !strings.Contains(err.Error(), "they must be equal")) {
		t.Errorf("a frame with another size than its header says: %v", err)
	}
	f.Width--
	look, err = r.decode(e, f)
	if err != nil {
		t.Fatal(err)
	}
	return look
}

func TestShrunkPicturesThatAreNotOfTheirFrameAreRefused(t *testing.T) {
	e := open(t, "tiny.onnx", nil)
	small := paint(480, 270)
	for _, l := range []Look{
		{Picture: small, Shrunk: 8, Frame: bus.Size{Width: 3900, Height: 2160}},
		{Picture: small, Shrunk: 8, Frame: bus.Size{Width: 3840, Height: 2160}, Regions: []bus.Region{{W: 10, H: 10}}},
	} {
		if _, err := e.Detect(t.Context(), l); err == nil {
			t.Errorf("%+v was taken", l)
		}
	}
}
