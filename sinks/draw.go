package sinks

import (
	"math"
	"strconv"

	"github.com/sightline/sightline/pipeline/bus"
	"github.com/sightline/sightline/pipeline/picture"
)

// maxCaptions bounds the cache of captions; beyond it the cache starts anew.
const maxCaptions = 8192

type captionKey struct {
	label   string
	percent int
}

// painter draws what was found. It remembers the captions it made, so that a steady scene costs no allocation. It belongs to
// one goroutine.
type painter struct {
	captions map[captionKey]string
}

// paint draws boxes, labels and scores on pic, which shows the whole frame of f. The best object ends on top; a thinner box is
// that of one whose place was not looked at in this frame.
func (p *painter) paint(pic *picture.I420, f *finding) {
	if f.frame.Width <= 0 || f.frame.Height <= 0 {
		return
	}
	scaleX := float32(pic.Width) / float32(f.frame.Width)
	scaleY := float32(pic.Height) / float32(f.frame.Height)
	thickness := max(2, pic.Height/360)
	for i := len(f.objects) - 1; i >= 0; i-- {
		o, line := &f.objects[i], thickness
		if o.Carried {
			line = thickness / 2
		}
		picture.DrawBox(pic, outputRect(o.Box, scaleX, scaleY), picture.ColourOf(o.ClassID), line)
	}
	for i := len(f.objects) - 1; i >= 0; i-- {
		o := &f.objects[i]
		r := outputRect(o.Box, scaleX, scaleY)
		picture.DrawLabel(pic, r.X, r.Y, p.caption(o.Label, o.Score), picture.ColourOf(o.ClassID))
	}
}

// note writes a line into the top left corner.
func (p *painter) note(pic *picture.I420, text string) {
	picture.DrawLabel(pic, 8, 8, text, picture.ColourOf(0))
}

func (p *painter) caption(label string, score float32) string {
	k := captionKey{label, int(math.Round(float64(score) * 100))}
	if s, ok := p.captions[k]; ok {
		return s
	}
	if p.captions == nil || len(p.captions) >= maxCaptions {
		p.captions = make(map[captionKey]string)
	}
	s := label + " " + strconv.FormatFloat(float64(k.percent)/100, 'f', 2, 64)
	p.captions[k] = s
	return s
}

func outputRect(b bus.Box, scaleX, scaleY float32) picture.Rect {
	x1, y1 := pixel(b[0]*scaleX), pixel(b[1]*scaleY)
	x2, y2 := pixel(b[2]*scaleX), pixel(b[3]*scaleY)
	return picture.Rect{X: x1, Y: y1, W: x2 - x1, H: y2 - y1}
}

func pixel(v float32) int { return int(math.Round(float64(v))) }

// outputSize is the largest even size of a w by h frame's shape within maxW by maxH; never larger than the frame, and
// never smaller than encoders take.
func outputSize(w, h, maxW, maxH int) (int, int) {
	scale := min(1, float64(maxW)/float64(w), float64(maxH)/float64(h))
	even := func(v int) int { return max(16, int(math.Round(float64(v)*scale/2))*2) }
	ow, oh := even(w), even(h)
	if scale == 1 { // an odd frame loses a line instead of growing
		ow, oh = max(16, w&^1), max(16, h&^1)
	}
	return ow, oh
}
