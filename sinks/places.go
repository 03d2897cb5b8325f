package sinks

import (
	"math"
	"strconv"

	"github.com/sightline/sightline/pipeline/bus"
	"github.com/sightline/sightline/pipeline/picture"
)

// The colours of places; no class of the first dozens has one of them.
var (
	zoneColour = picture.Colour{R: 255, G: 196}
	lineColour = picture.Colour{G: 184, B: 255}
	maskColour = picture.Colour{R: 120, G: 120, B: 120}
)

// places draws the zones, lines and masks of a camera. It remembers the captions that it made, so that a steady scene costs no
// allocation. It belongs to one goroutine.
type places struct {
	scene    *bus.Scene // nil for none
	inside   []int      // objects by zone; -1: not known
	captions []string   // of the lines
	zones    []zoneCaption
	written  *bus.Scene // that the captions are of
	corners  [bus.MaxCorners]picture.Point
}

type zoneCaption struct {
	objects int
	text    string
}

// paint draws on pic, which shows the whole frame: masks first, then zones with the number of objects inside, then lines with
// their direction and counts.
func (p *places) paint(pic *picture.I420) {
	if p.scene == nil {
		return
	}
	p.write()
	thickness := max(2, pic.Height/360)
	for i := range p.scene.Masks {
		corners := p.pixels(pic, p.scene.Masks[i].Coordinates)
		picture.Hatch(pic, corners, max(8, pic.Height/45))
		picture.DrawPolygon(pic, corners, maskColour, thickness/2)
	}
	for i := range p.scene.Zones {
		corners := p.pixels(pic, p.scene.Zones[i].Coordinates)
		picture.DrawPolygon(pic, corners, zoneColour, thickness)
		at := topmost(corners)
		picture.DrawLabel(pic, at.X, at.Y, p.zones[i].text, zoneColour)
	}
	for i := range p.scene.Lines {
		ends := p.pixels(pic, p.scene.Lines[i].Coordinates[:])
		middle, arrow := picture.Point{X: (ends[0].X + ends[1].X) / 2, Y: (ends[0].Y + ends[1].Y) / 2}, max(12, pic.Height/24)
		paintLine(pic, ends[0], ends[1], middle, arrow, thickness)
		picture.DrawLabel(pic, middle.X, middle.Y-arrow-thickness, p.captions[i], lineColour)
	}
}

// write makes the captions that changed.
func (p *places) write() {
	if p.written != p.scene {
		p.written, p.captions, p.zones = p.scene, p.captions[:0], p.zones[:0]
		for i := range p.scene.Lines {
			p.captions = append(p.captions, lineCaption(&p.scene.Lines[i]))
		}
		for i := range p.scene.Zones {
			p.zones = append(p.zones, zoneCaption{-1, p.scene.Zones[i].Name})
		}
	}
	for i := range p.zones {
		if z := &p.zones[i]; z.objects != p.inside[i] {
			z.objects, z.text = p.inside[i], p.scene.Zones[i].Name
			if z.objects >= 0 {
				z.text += " " + strconv.Itoa(z.objects)
			}
		}
	}
}

func lineCaption(l *bus.SceneLine) string {
	if l.Counts == nil {
		return l.Name
	}
	return l.Name + " in " + strconv.FormatUint(l.Counts.In, 10) + " out " + strconv.FormatUint(l.Counts.Out, 10)
}

// pixels are at most bus.MaxCorners points in pixels of pic, until the next call.
func (p *places) pixels(pic *picture.I420, points []bus.Point) []picture.Point {
	for i, at := range points {
		p.corners[i] = picture.Point{X: pixel(float32(at[0]) * float32(pic.Width-1)), Y: pixel(float32(at[1]) * float32(pic.Height-1))}
	}
	return p.corners[:len(points)]
}

func topmost(corners []picture.Point) picture.Point {
	top := corners[0]
	for _, c := range corners {
		if c.Y < top.Y || c.Y == top.Y && c.X < top.X {
			top = c
		}
	}
	return top
}

// paintLine draws a line and, from its middle, an arrow as long as said that points where in is: to the right of who stands at a
// and looks to b.
func paintLine(pic *picture.I420, a, b, middle picture.Point, arrow, thickness int) {
	picture.DrawLine(pic, a, b, lineColour, thickness)
	dx, dy := float32(b.X-a.X), float32(b.Y-a.Y)
	size := float32(arrow) / max(float32(math.Hypot(float64(dx), float64(dy))), 1)
	ahead := func(right, along float32) picture.Point {
		return picture.Point{X: middle.X + pixel((along*dx-right*dy)*size), Y: middle.Y + pixel((along*dy+right*dx)*size)}
	}
	tip := ahead(1, 0)
	picture.DrawLine(pic, middle, tip, lineColour, thickness)
	picture.DrawLine(pic, tip, ahead(0.6, 0.3), lineColour, thickness)
	picture.DrawLine(pic, tip, ahead(0.6, -0.3), lineColour, thickness)
}
