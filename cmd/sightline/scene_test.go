package main

import (
	"bytes"
	"math"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/sightline/sightline/pipeline/bus"
	"github.com/sightline/sightline/pipeline/picture"
)

// The scene: a red block runs over grey ground, so fast that a box on the wrong picture is beside it.
const (
	sceneWidth, sceneHeight = 640, 360
	blockWidth, blockHeight = 128, 96
	blockTop                = 180
	sceneRate               = 15
	blockStep               = 16 // pixels from picture to picture
)

// scene makes a clip of the running block.
func scene(t testing.TB, seconds string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "scene.mp4")
	input := "color=c=0x808080:size=640x360:rate=15:duration=" + seconds + "[ground];" +
		"color=c=red:size=128x96:rate=15:duration=" + seconds + "[block];" +
		"[ground][block]overlay=x='16+mod(16*n,448)':y=180:format=yuv420"
	cmd := exec.Command("ffmpeg", "-v", "error", "-y", "-f", "lavfi", "-i", input, "-c:v", "libx264", "-preset", "ultrafast",
		"-tune", "zerolatency", "-crf", "12", "-g", "15", "-pix_fmt", "yuv420p", path)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("ffmpeg (install package ffmpeg): %v: %s", err, out)
	}
	return path
}

// extent is where something lies on one axis, from inclusive, to exclusive.
type extent struct{ from, to float64 }

func (e extent) centre() float64 { return (e.from + e.to) / 2 }

func (e extent) near(from, to, within float64) bool {
	return math.Abs(e.from-from) <= within && math.Abs(e.to-to) <= within
}

// isRed and isDrawn tell the block from the boxes, which have the colour of class 0.
func isRed(p *picture.I420, x, y int) bool {
	at := y/2*p.StrideC + x/2
	return p.V[at] > 190 && p.U[at] < 128
}

func isDrawn(p *picture.I420, x, y int) bool {
	at := y/2*p.StrideC + x/2
	return p.V[at] < 100 && p.U[at] < 100
}

// along gives the extent of what looks so on a line of n pixels.
func along(n int, looks func(i int) bool) extent {
	e := extent{-1, -1}
	for i := range n {
		if looks(i) {
			if e.from < 0 {
				e.from = float64(i)
			}
			e.to = float64(i + 1)
		}
	}
	return e
}

// seen is what a picture of the annotated stream shows.
type seen struct {
	block    extent // the red between the lines, on the row through its middle
	box      extent // the lines, on the same row
	vertical extent // the lines, on the column through the block's right quarter, where no label is
}

func look(p *picture.I420) (seen, bool) {
	const row = blockTop + blockHeight/2
	s := seen{
		block: along(p.Width, func(x int) bool { return isRed(p, x, row) }),
		box:   along(p.Width, func(x int) bool { return isDrawn(p, x, row) }),
	}
	if s.block.from < 0 || s.box.from < 0 {
		return s, false
	}
	column := int(s.block.to) - 8
	s.vertical = along(p.Height, func(y int) bool { return isDrawn(p, column, y) })
	return s, s.vertical.from >= 0
}

// told finds the message about the picture: the one whose box lies around the block as it is seen.
func told(messages []*bus.Detections, s seen) (bus.Box, bool) {
	for _, m := range slices.Backward(messages) {
		for _, o := range m.Objects {
			if math.Abs(float64(o.Box[0]+o.Box[2])/2-s.block.centre()) < blockStep/2 {
				return o.Box, true
			}
		}
	}
	return bus.Box{}, false
}

func TestSceneShowsWhatItSays(t *testing.T) {
	frames, err := exec.Command("ffmpeg", "-v", "error", "-i", scene(t, "1"), "-f", "rawvideo", "-pix_fmt", "yuv420p", "-").Output()
	if err != nil {
		t.Fatal(err)
	}
	const size = sceneWidth * sceneHeight * 3 / 2
	for n := range sceneRate {
		p := picture.New(sceneWidth, sceneHeight)
		fill(p, bytes.NewBuffer(frames[n*size:(n+1)*size]))
		from := float64(32 + blockStep*n)
		if got := along(sceneWidth, func(x int) bool { return isRed(p, x, blockTop+40) }); !got.near(from, from+blockWidth, 2) {
			t.Errorf("picture %d: block at %v, want it at %g", n, got, from)
		}
	}
}

// fill takes tightly packed planes into a picture.
func fill(p *picture.I420, from *bytes.Buffer) {
	for y := range p.Height {
		copy(p.Y[y*p.StrideY:], from.Next(p.Width))
	}
	for _, plane := range [][]byte{p.U, p.V} {
		for y := range p.Height / 2 {
			copy(plane[y*p.StrideC:], from.Next(p.Width/2))
		}
	}
}
