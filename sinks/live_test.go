package sinks

import (
	"image/jpeg"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sightline/sightline/pipeline/bus"
	"github.com/sightline/sightline/pipeline/picture"
)

// marks says which pixels of a decoded grey picture something was drawn on.
type marks struct {
	y, u, v []byte
	w, h    int
}

func (m marks) at(x, y int) bool {
	far := func(got, want byte) bool { return got > want+14 || got+14 < want }
	c := y/2*(m.w/2) + x/2
	return far(m.y[y*m.w+x], m.y[m.h/2*m.w+8]) || far(m.u[c], 128) || far(m.v[c], 128)
}

// span is the first and last marked pixel along a row or column.
func span(n int, marked func(i int) bool) (first, last int) {
	first, last = -1, -1
	for i := range n {
		if marked(i) {
			if first < 0 {
				first = i
			}
			last = i
		}
	}
	return first, last
}

func near(got, want int) bool { return got >= want-3 && got <= want+3 }

func TestViewerSeesTheBoxWhereTheMessageSays(t *testing.T) {
	for _, encoding := range []bus.Encoding{bus.EncodingSHM, bus.EncodingJPEG} {
		t.Run(string(encoding), func(t *testing.T) {
			s := startStation(t, Config{Cameras: []string{"gate"}})
			one("gate", encoding, 1920, 1080).roll(t, s.conn)
			p := play(t, s, "gate")
			var film []byte
			for i := range 12 {
				u := p.next(t)
				if i == 0 && !u.key {
					t.Fatal("the first picture is no key frame")
				}
				film = append(film, u.annexB...)
			}
			y, u, v := decodeLast(t, film, 1280, 720)
			m := marks{y, u, v, 1280, 720}
			left, right := span(1280, func(x int) bool { return m.at(x, 450) }) // rows and columns through the box of 400..800, 200..600
			top, bottom := span(720, func(y int) bool { return m.at(760, y) })
			if !near(left, 400) || !near(right, 799) || !near(top, 200) || !near(bottom, 599) {
				t.Errorf("box at %d..%d, %d..%d, want 400..800, 200..600", left, right, top, bottom)
			}
			if _, last := span(1280, func(x int) bool { return m.at(x, 192) }); last < 430 && !m.labelled() {
				t.Error("no label beside the box")
			}
			if g := int(y[360*1280+8]); g < 57 || g > 63 {
				t.Errorf("the grey of 60 came as %d", g)
			}
		})
	}
}

// labelled looks for a caption above or inside the top left corner of the box.
func (m marks) labelled() bool {
	n := 0
	for y := 170; y < 230; y++ {
		for x := 404; x < 500; x++ {
			if m.at(x, y) {
				n++
			}
		}
	}
	return n > 600
}

// walk is a white square of 120 pixels that jumps with every frame, 60 pixels inside the box that is said to hold it.
func walk(seq uint64, pic *picture.I420) bus.Box {
	const side, margin = 120, 60
	x, y := 200+int(seq*331%1300), 500
	if pic != nil {
		fill(pic.Y, 60)
		for row := y; row < y+side; row++ {
			fill(pic.Y[row*pic.StrideY+x:row*pic.StrideY+x+side], 235)
		}
	}
	return bus.Box{float32(x - margin), float32(y - margin), float32(x + side + margin), float32(y + side + margin)}
}

func TestBoxesOfASlowDetectorLieOnTheirOwnPicture(t *testing.T) {
	s := startStation(t, Config{Cameras: []string{"gate"}})
	f := one("gate", bus.EncodingSHM, 1920, 1080)
	f.scene, f.lag = walk, 7
	f.roll(t, s.conn)
	p := play(t, s, "gate")
	var film []byte
	for i := range 30 {
		film = append(film, p.next(t).annexB...)
		if i < 10 || i%5 > 0 {
			continue
		}
		y, u, v := decodeLast(t, film, 1280, 720)
		m := marks{y, u, v, 1280, 720}
		square, _ := span(1280, func(x int) bool { return y[373*1280+x] > 200 && y[373*1280+min(x+40, 1279)] > 200 })
		left, right := span(1280, func(x int) bool { return m.at(x, 373) })
		if square < 0 || !near(left, square-40) || !near(right, square+80+40-1) {
			t.Errorf("picture %d: square at %d, box at %d..%d, want 40 pixels around it", i, square, left, right)
		}
	}
}

func TestLateViewersGetAKeyFrameAtOnce(t *testing.T) {
	s := startStation(t, Config{Cameras: []string{"gate"}})
	f := one("gate", bus.EncodingSHM, 1280, 720)
	f.every = 3 * time.Second // a camera so slow that the last picture must be shown again
	f.roll(t, s.conn)
	first := play(t, s, "gate")
	if !first.next(t).key {
		t.Error("the first viewer's first picture is no key frame")
	}
	second := play(t, s, "gate")
	<-second.ssrc // connected
	begun := time.Now()
	if !second.next(t).key {
		t.Error("the second viewer's first picture is no key frame")
	}
	if took := time.Since(begun); took > time.Second {
		t.Errorf("the second viewer waited %v", took)
	}
}

func TestPictureLossBringsAKeyFrame(t *testing.T) {
	s := startStation(t, Config{Cameras: []string{"gate"}})
	one("gate", bus.EncodingSHM, 640, 360).roll(t, s.conn)
	p := play(t, s, "gate")
	ssrc := <-p.ssrc
	for range 5 {
		p.next(t)
	}
	p.losePicture(t, ssrc)
	for i := 0; !p.next(t).key; i++ {
		if i > 50 {
			t.Fatal("no key frame within 50 pictures")
		}
	}
	keys, begun := 0, time.Now()
	for range 40 { // a viewer that asks all the time
		p.losePicture(t, ssrc)
		if p.next(t).key {
			keys++
		}
	}
	if most := int(time.Since(begun)/keyGap) + 2; keys < 1 || keys > most {
		t.Errorf("%d key frames in %v, want at most %d", keys, time.Since(begun), most)
	}
}

func TestTimestampsOnTheWireFollowCaptureTimes(t *testing.T) {
	s := startStation(t, Config{Cameras: []string{"gate"}})
	one("gate", bus.EncodingSHM, 640, 360).roll(t, s.conn)
	p := play(t, s, "gate")
	last := p.next(t).timestamp
	begun, start := time.Now(), last
	for range 25 {
		u := p.next(t)
		if d := u.timestamp - last; d == 0 || d > 90000 {
			t.Fatalf("timestamp moved by %d ticks", int32(d))
		}
		last = u.timestamp
	}
	media, wall := float64(last-start)/90000, time.Since(begun).Seconds()
	if media < wall-0.5 || media > wall+0.5 {
		t.Errorf("%.2f s of video took %.2f s", media, wall)
	}
}

func TestWithoutDetectorPicturesAreShownPlain(t *testing.T) {
	s := startStation(t, Config{Cameras: []string{"gate"}})
	f := one("gate", bus.EncodingSHM, 640, 360)
	f.blind = true
	f.roll(t, s.conn)
	p := play(t, s, "gate")
	var film []byte
	for range 3 {
		film = append(film, p.next(t).annexB...)
	}
	y, u, v := decodeLast(t, film, 640, 360)
	m := marks{y, u, v, 640, 360}
	if first, _ := span(640, func(x int) bool { return m.at(x, 200) }); first >= 0 {
		t.Error("something was drawn although nothing was detected")
	}
	if s.server.Stats().Plain == 0 {
		t.Error("plain pictures are not counted")
	}
}

func TestSizeMayChangeWhileWatched(t *testing.T) {
	s := startStation(t, Config{Cameras: []string{"gate"}})
	p := play(t, s, "gate")
	publishSome := func(w, h int, seq uint64) {
		f := one("gate", bus.EncodingJPEG, w, h)
		for i := range uint64(3) {
			if err := f.publish(t.Context(), s.conn, nil, seq+i); err != nil {
				t.Fatal(err)
			}
		}
	}
	<-p.connectedTo(s, "gate")
	publishSome(640, 360, 1)
	first := p.next(t)
	publishSome(320, 240, 10)
	var u received
	for u = p.next(t); !u.key; u = p.next(t) {
	}
	decodeLast(t, first.annexB, 640, 360)
	decodeLast(t, u.annexB, 320, 240)
}

// connectedTo is closed once the server hands pictures to the player.
func (p *peer) connectedTo(s *station, camera string) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for range 2000 {
			<-tick.C
			s.server.mu.Lock()
			a := s.server.annotators[camera]
			s.server.mu.Unlock()
			if a == nil {
				continue
			}
			a.mu.Lock()
			n := len(a.watchers)
			a.mu.Unlock()
			if n > 0 {
				return
			}
		}
	}()
	return done
}

func TestSnapshots(t *testing.T) {
	s := startStation(t, Config{Cameras: []string{"gate", "dead"}})
	for _, encoding := range []bus.Encoding{bus.EncodingSHM, bus.EncodingJPEG} {
		one("gate-"+string(encoding), encoding, 1920, 1080).roll(t, s.conn)
	}
	eventually(t, "both cameras are known", func() bool { return s.server.cameras.known("gate-shm") && s.server.cameras.known("gate-jpeg") })
	for _, c := range []struct {
		path string
		w, h int
		box  bool
	}{
		{"/gate-shm/latest.jpg", 1280, 720, false}, {"/gate-shm/latest.jpg?boxes=1", 1280, 720, true},
		{"/gate-jpeg/latest.jpg?boxes=1&height=360&quality=95", 640, 360, true}, {"/gate-jpeg/latest.jpg?boxes=0", 1280, 720, false},
	} {
		resp, text := request(t, http.MethodGet, s.url+c.path, "", "")
		if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "image/jpeg" {
			t.Fatalf("%s: %s %s", c.path, resp.Status, text)
		}
		img, err := jpeg.Decode(strings.NewReader(text))
		if err != nil || img.Bounds().Dx() != c.w || img.Bounds().Dy() != c.h {
			t.Fatalf("%s: %v %v", c.path, img.Bounds(), err)
		}
		r, g, b, _ := img.At(8, c.h/2).RGBA()
		for _, v := range []uint32{r, g, b} { // limited range 60 is (60-16)*255/219 = 51 of 255
			if v>>8 < 48 || v>>8 > 55 {
				t.Errorf("%s: grey came as %d %d %d", c.path, r>>8, g>>8, b>>8)
				break
			}
		}
		edge := false
		for x := c.w*400/1280 - 3; x <= c.w*400/1280+3; x++ {
			er, eg, eb, _ := img.At(x, c.h/2).RGBA()
			edge = edge || differs(er, r) || differs(eg, g) || differs(eb, b)
		}
		if edge != c.box {
			t.Errorf("%s: box drawn: %v, want %v", c.path, edge, c.box)
		}
	}
	resp, text := request(t, http.MethodGet, s.url+"/dead/latest.jpg?boxes=1", "", "")
	if resp.StatusCode != 503 || !strings.Contains(text, "camera dead: no frame with detections came within 2 s") || resp.Header.Get("Retry-After") == "" {
		t.Errorf("a dead camera: %s %s", resp.Status, text)
	}
	if resp, text := request(t, http.MethodGet, s.url+"/gate-shm/latest.jpg?quality=0", "", ""); resp.StatusCode != 400 || !strings.Contains(text, "1 to 100") {
		t.Errorf("bad quality: %s %s", resp.Status, text)
	}
	if resp, text := request(t, http.MethodGet, s.url+"/nobody/latest.jpg", "", ""); resp.StatusCode != 404 || !strings.Contains(text, "nobody") {
		t.Errorf("unknown camera: %s %s", resp.Status, text)
	}
}

func differs(a, b uint32) bool { return a>>8 > b>>8+20 || b>>8 > a>>8+20 }

func TestCameraListOverHTTP(t *testing.T) {
	s := startStation(t, Config{})
	one("gate", bus.EncodingSHM, 640, 360).roll(t, s.conn)
	var text string
	eventually(t, "the camera is listed", func() bool {
		_, text = request(t, http.MethodGet, s.url+"/api/cameras", "", "")
		return strings.Contains(text, `"name":"gate"`) && strings.Contains(text, `"counts":{"person":1}`)
	})
	for _, want := range []string{`"width":640`, `"height":360`, `"objects":1`, `"viewers":0`, `"detection_fps":`} {
		if !strings.Contains(text, want) {
			t.Errorf("%s is missing in %s", want, text)
		}
	}
}

func TestAnnotatorRunsOnlyWhileWatched(t *testing.T) {
	s := startStation(t, Config{Cameras: []string{"gate"}})
	one("gate", bus.EncodingSHM, 640, 360).roll(t, s.conn)
	if n := s.server.Stats().Annotators; n != 0 {
		t.Fatalf("%d annotators before anybody watches", n)
	}
	p := play(t, s, "gate")
	p.next(t)
	if got := s.server.Stats(); got.Annotators != 1 || got.Viewers != 1 {
		t.Errorf("%+v while one watches", got)
	}
	if resp, _ := request(t, http.MethodDelete, p.location, "", ""); resp.StatusCode != 200 {
		t.Fatal(resp.Status)
	}
	eventually(t, "the annotator ends", func() bool { return s.server.Stats().Annotators == 0 })
	if got := s.server.Stats(); got.Viewers != 0 || got.Pictures == 0 || got.KeyFrames == 0 {
		t.Errorf("%+v after the only viewer left", got)
	}
}
