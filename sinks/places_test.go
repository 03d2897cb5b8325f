package sinks

import (
	"encoding/json"
	"fmt"
	"image"
	"image/jpeg"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sightline/sightline/pipeline/bus"
	"github.com/sightline/sightline/pipeline/picture"
)

// yardAndDoor has a zone that is the left half, a line that leads up through the right half, and a mask at its top.
func yardAndDoor(camera string) *bus.Scene {
	return &bus.Scene{
		Camera: camera, At: time.Now(),
		Zones: []bus.SceneZone{{Name: "yard", Coordinates: []bus.Point{{0.05, 0.4}, {0.4, 0.4}, {0.4, 0.9}, {0.05, 0.9}}}},
		Lines: []bus.SceneLine{{Name: "door", Coordinates: [2]bus.Point{{0.8, 0.9}, {0.8, 0.4}}, Counts: &bus.Totals{In: 12, Out: 9}}},
		Masks: []bus.SceneMask{{Coordinates: []bus.Point{{0.5, 0}, {1, 0}, {1, 0.3}, {0.5, 0.3}}}},
	}
}

func someInside(n int) *bus.Tracks {
	t := &bus.Tracks{Camera: "gate", Session: "s", Seq: 1, CapturedAt: time.Now(), Clock: bus.ClockFile, Frame: bus.Size{Width: 640, Height: 360}}
	for i := range n {
		o := bus.TrackObject{TrackID: uint64(i + 1), Object: bus.Object{Label: "person"}, Zones: []string{"yard"}}
		t.Objects = append(t.Objects, o)
	}
	return t
}

func TestPlacesArePainted(t *testing.T) {
	pic := grey(640, 360, 120)
	p := places{scene: yardAndDoor("gate"), inside: []int{2}}
	p.paint(pic)
	if p.zones[0].text != "yard 2" || p.captions[0] != "door in 12 out 9" {
		t.Errorf("captions %q, %q", p.zones[0].text, p.captions[0])
	}
	luma := func(x, y int) byte { return pic.Y[y*pic.StrideY+x] }
	for _, outline := range []image.Point{{32, 250}, {256, 200}, {150, 323}, {511, 300}, {520, 233}} { // the last: the arrow to the right
		if luma(outline.X, outline.Y) == 120 {
			t.Errorf("nothing is drawn at %v", outline)
		}
	}
	for _, ground := range []image.Point{{150, 250}, {500, 300}, {300, 50}, {450, 233}} {
		if luma(ground.X, ground.Y) != 120 {
			t.Errorf("something is drawn at %v", ground)
		}
	}
	dark := 0
	for x := 340; x < 620; x++ {
		if luma(x, 50) == 80 {
			dark++
		}
	}
	if dark < 50 || dark > 90 {
		t.Errorf("%d of 280 pixels of the mask are darker, want a quarter", dark)
	}
	p.scene.Lines[0].Counts = nil
	if got := lineCaption(&p.scene.Lines[0]); got != "door" {
		t.Errorf("caption without counts: %q", got)
	}
}

func TestPaintingPlacesAllocatesNothing(t *testing.T) {
	pic := grey(640, 360, 120)
	c := newCameras([]string{"gate"})
	c.onScene(yardAndDoor("gate"))
	c.onTracks(someInside(3))
	var p places
	c.places("gate", &p)
	p.paint(pic)
	if n := testing.AllocsPerRun(20, func() { c.places("gate", &p); p.paint(pic) }); n != 0 {
		t.Errorf("%v allocations a picture", n)
	}
}

func TestCameraListTellsOfPlaces(t *testing.T) {
	now := time.Now()
	c := newCameras(nil)
	c.now = func() time.Time { return now }
	told := func(want string) {
		t.Helper()
		info := c.list(nil)[0]
		text, err := json.Marshal([]any{info.Zones, info.Lines})
		if err != nil || string(text) != want {
			t.Errorf("%s, %v, want %s", text, err, want)
		}
	}
	const door = `[{"name":"door","counts":{"in":12,"out":9}}]`
	c.get("gate")
	told(`[[],[]]`)
	c.onScene(yardAndDoor("gate"))
	told(`[[{"name":"yard","objects":null}],` + door + `]`)
	c.onTracks(someInside(2))
	told(`[[{"name":"yard","objects":2}],` + door + `]`)
	c.onTracks(someInside(0))
	told(`[[{"name":"yard","objects":0}],` + door + `]`)
	now = now.Add(insideStay + time.Second)
	told(`[[{"name":"yard","objects":null}],` + door + `]`)
	now = now.Add(staleAfter)
	told(`[[],[]]`)
	c.onScene(yardAndDoor("gate"))
	c.onScene(&bus.Scene{Camera: "gate"})
	told(`[[],[]]`)
}

// TestPicturesWithBoxesShowPlaces, and those without show none. The scene comes by the bus alone.
func TestPicturesWithBoxesShowPlaces(t *testing.T) {
	s := startStation(t, Config{Cameras: []string{"gate"}})
	one("gate", bus.EncodingSHM, 1280, 720).roll(t, s.conn)
	if err := s.conn.PublishScene(t.Context(), yardAndDoor("gate")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the scene is known", func() bool { return len(s.server.cameras.list(nil)[0].Lines) == 1 })
	amber := func(boxes int) bool { // on the lower edge of the zone
		y, cb, cr := colourAt(t, fmt.Sprintf("%s/gate/latest.jpg?boxes=%d", s.url, boxes), 300, 647)
		return y > 120 && cb < 90 && cr > 130
	}
	if !amber(1) || amber(0) {
		t.Errorf("the zone is drawn with boxes: %v, without: %v", amber(1), amber(0))
	}
}

func colourAt(t *testing.T, url string, x, y int) (luma, cb, cr byte) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	img, err := jpeg.Decode(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	p, ok := img.(*image.YCbCr)
	if !ok {
		t.Fatalf("a picture of %T", img)
	}
	return p.Y[p.YOffset(x, y)], p.Cb[p.COffset(x, y)], p.Cr[p.COffset(x, y)]
}

// BenchmarkPlaces draws a zone, a line and a mask on a picture as it is shown.
func BenchmarkPlaces(b *testing.B) {
	p := places{scene: yardAndDoor("gate"), inside: []int{2}}
	pic := picture.New(1280, 720)
	b.ReportAllocs()
	for b.Loop() {
		p.paint(pic)
	}
}

func TestPlacesOfManyCornersAndNoLengthAreSurvived(t *testing.T) {
	s := yardAndDoor("gate")
	s.Lines[0].Coordinates = [2]bus.Point{}
	s.Zones[0].Name, s.Zones[0].Coordinates = strings.Repeat("z", 64), make([]bus.Point, bus.MaxCorners)
	(&places{scene: s, inside: []int{-1}}).paint(grey(64, 48, 60))
}
