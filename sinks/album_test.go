package sinks

import (
	"bytes"
	"fmt"
	"image/jpeg"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sightline/sightline/pipeline/bus"
)

// trackEach answers the detections of a film by tracks: all its objects are track 1, 2, 3…, and seen best in every frame.
func trackEach(t *testing.T, s *station) {
	t.Helper()
	sub, err := s.conn.SubscribeDetections("gate", func(d *bus.Detections) {
		m := &bus.Tracks{Camera: d.Camera, Session: d.Session, Seq: d.Seq, CapturedAt: d.CapturedAt, Clock: d.Clock, Frame: d.Frame}
		for i := range d.Objects {
			m.Objects = append(m.Objects, bus.TrackObject{Object: d.Objects[i], TrackID: uint64(i + 1), Predicted: d.Objects[i].Box, Best: true})
		}
		if err := s.conn.PublishTracks(t.Context(), m); err != nil && t.Context().Err() == nil { // which ends before the subscription does
			t.Error(err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sub.Close)
}

// snapshotOf gives the answer for a track.
func snapshotOf(t *testing.T, s *station, event string) (*http.Response, []byte) {
	t.Helper()
	resp, err := http.Get(s.url + "/api/events/" + event + "/snapshot.jpg")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, body
}

// awaitSnapshot waits for the first picture of a track.
func awaitSnapshot(t *testing.T, s *station, event string) (resp *http.Response, body []byte) {
	t.Helper()
	eventually(t, "a picture of the track is kept", func() bool {
		resp, body = snapshotOf(t, s, event)
		return resp.StatusCode == http.StatusOK
	})
	return resp, body
}

// TestBestPictureIsOfItsOwnFrame: the square jumps with every frame, so a picture of any other frame would not show it. A detector
// that is behind by more frames than there are slots finds copies.
func TestBestPictureIsOfItsOwnFrame(t *testing.T) {
	for name, c := range map[string]struct {
		encoding bus.Encoding
		lag      uint64
		side     int // of the picture, pixels
	}{"shared memory": {bus.EncodingSHM, 2, 288}, "JPEG": {bus.EncodingJPEG, 0, 288}, "slow": {bus.EncodingSHM, 12, 192}} {
		t.Run(name, func(t *testing.T) {
			s := startStation(t, Config{Cameras: []string{"gate"}, SnapshotBytes: 1 << 20})
			trackEach(t, s)
			f := one("gate", c.encoding, 1920, 1080)
			f.scene, f.lag = walk, c.lag
			f.roll(t, s.conn)
			resp, body := awaitSnapshot(t, s, "01JSESSION-1")
			shot, err := jpeg.Decode(bytes.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			seq, err := strconv.ParseUint(resp.Header.Get("Sightline-Seq"), 10, 64)
			if err != nil || resp.Header.Get("Sightline-Camera") != "gate" || resp.Header.Get("Content-Type") != "image/jpeg" {
				t.Errorf("headers %v", resp.Header)
			}
			if _, err := time.Parse(time.RFC3339Nano, resp.Header.Get("Sightline-Captured-At")); err != nil {
				t.Error(err)
			}
			b, stats := shot.Bounds(), s.server.Stats()
			if stats.KeptMissed > 0 && c.encoding == bus.EncodingSHM { // on a busy machine also where the detector is quick
				c.side = b.Dx()
			}
			if at := walk(seq, nil); !near(b.Dx(), c.side) || !near(b.Dy(), c.side) || !near(c.side, 288) && !near(c.side, 192) {
				t.Errorf("a picture of %v for a box of %v", b, at)
			}
			white := func(x, y int) bool { r, _, _, _ := shot.At(x*c.side/288, y*c.side/288).RGBA(); return r > 0xb000 }
			if !white(144, 144) || !white(95, 144) || !white(193, 190) || white(70, 144) || white(220, 144) || white(144, 70) {
				t.Errorf("frame %d: the square is not in the middle", seq)
			}
			if stats.Kept != 1 || stats.KeptBytes < 1000 || stats.KeptMissed == 0 && name == "slow" {
				t.Errorf("stats %+v", stats)
			}
		})
	}
}

func TestSnapshotsThatAreNotThere(t *testing.T) {
	s := startStation(t, Config{SnapshotBytes: 1 << 20})
	for event, want := range map[string]int{
		"01J-1": 404, "01J-18446744073709551615": 404, "a-b-7": 404, "01J-0": 400, "01J": 400, "-1": 400, "01J-x": 400, "01J--1": 404, "a.b-1": 400,
		"01J-18446744073709551616": 400, strings.Repeat("x", 65) + "-1": 400,
	} {
		if resp, body := snapshotOf(t, s, event); resp.StatusCode != want || !bytes.Contains(body, []byte(`{"error":"`)) {
			t.Errorf("%s: %d %s, want %d", event, resp.StatusCode, body, want)
		}
	}
	off := startStation(t, Config{})
	if resp, body := snapshotOf(t, off, "01J-1"); resp.StatusCode != 404 || !bytes.Contains(body, []byte("sinks.snapshots")) {
		t.Errorf("switched off: %d %s", resp.StatusCode, body)
	}
}

// shownIn is a frame of a JPEG with so many tracks in it.
func shownIn(t testing.TB, seq uint64, tracks int) (*bus.Frame, *bus.Tracks) {
	t.Helper()
	body, err := encodeJPEG(grey(640, 360, 90), 90)
	if err != nil {
		t.Fatal(err)
	}
	f := &bus.Frame{Camera: "gate", Session: "s", Seq: seq, Width: 640, Height: 360, Encoding: bus.EncodingJPEG, Body: body}
	m := someInside(tracks)
	m.Seq = seq
	for i := range m.Objects {
		m.Objects[i].Box = bus.Box{float32(10 * i), 50, float32(10*i + 80), 250}
	}
	return f, m
}

func TestAlbumIsBoundedAndGivesUpTheOldest(t *testing.T) {
	const limit = 20_000
	a := newAlbum(Config{SnapshotBytes: limit}.withDefaults(), nil, quiet())
	defer a.close()
	f, m := shownIn(t, 1, 50)
	a.recent.add(f)
	a.onTracks(m)
	var s Stats
	a.stats(&s)
	if s.KeptBytes > limit || s.Kept < 5 || s.Kept+int(s.KeptDropped) != 50 || s.KeptMissed != 0 {
		t.Errorf("%+v", s)
	}
	if a.find(trackKey{"s", 1}) != nil || a.find(trackKey{"s", 50}) == nil {
		t.Error("not the oldest was given up")
	}
	f, m = shownIn(t, 2, 50) // no better: what was given up does not come again
	a.recent.add(f)
	a.onTracks(m)
	after := s
	a.stats(&after)
	if after != s {
		t.Errorf("%+v, then %+v", s, after)
	}
	tiny := newAlbum(Config{SnapshotBytes: 1}.withDefaults(), nil, quiet())
	defer tiny.close()
	tiny.keep(&kept{key: trackKey{"s", 1}, jpeg: make([]byte, 100)})
	if tiny.bytes != 0 || len(tiny.pictures) != 0 {
		t.Error("a picture that does not fit is kept")
	}
}

// TestAlbumKeepsTheBestAndNotTheLast, also when the track is away for a frame, and takes any where the best one was missed.
func TestAlbumKeepsTheBestAndNotTheLast(t *testing.T) {
	a := newAlbum(Config{SnapshotBytes: 1 << 20}.withDefaults(), nil, quiet())
	defer a.close()
	show := func(seq uint64, here, best, carried, lost bool) {
		n := 0
		if here {
			n = 1
		}
		f, m := shownIn(t, seq, n)
		if here {
			m.Objects[0].Best, m.Objects[0].Carried = best, carried
		}
		if !lost {
			a.recent.add(f)
		}
		a.onTracks(m)
	}
	keeps := func(seq uint64) {
		t.Helper()
		if k := a.find(trackKey{"s", 1}); k == nil && seq != 0 || k != nil && k.seq != seq {
			t.Errorf("keeps %+v, want frame %d", k, seq)
		}
	}
	show(1, true, true, false, true)
	keeps(0)
	show(2, true, false, true, false)
	keeps(0) // it is carried
	show(3, true, false, false, false)
	keeps(3)
	show(4, true, false, false, false)
	show(5, false, false, false, false)
	show(6, true, false, false, false)
	keeps(3)
	show(7, true, true, false, false)
	keeps(7)
	show(6, true, true, false, false)
	keeps(7) // it is late
	if a.missed != 1 {
		t.Errorf("%d missed", a.missed)
	}
}

func TestFramesThatWaitAreBounded(t *testing.T) {
	now := time.Now()
	r := newRecent(Config{}.withDefaults(), nil)
	r.now = func() time.Time { return now }
	frame := func(seq uint64) *bus.Frame {
		return &bus.Frame{Camera: "gate", Session: "s", Seq: seq, Encoding: bus.EncodingJPEG, Body: make([]byte, 1<<20)}
	}
	for seq := range uint64(200) {
		r.add(frame(seq))
		r.add(frame(seq)) // twice
		if seq%3 == 0 {
			r.free(r.claim(frameKey{"s", seq}))
		}
	}
	if r.held > recentBytes || len(r.frames) < 40 || len(r.frames) > 64 || len(r.order) > 100 {
		t.Errorf("%d bytes of %d frames, %d in order", r.held, len(r.frames), len(r.order))
	}
	if r.claim(frameKey{"s", 1}) != nil || r.claim(frameKey{"s", 199}) == nil || r.claim(frameKey{"s", 199}) != nil {
		t.Error("the oldest is held, or the newest is not, or it can be had twice")
	}
	now = now.Add(recentAge + time.Second)
	r.add(frame(1000))
	if len(r.frames) != 1 || len(r.order) != 1 {
		t.Errorf("%d frames, %d in order after silence", len(r.frames), len(r.order))
	}
	for i := range 2 * maxCameras {
		r.hurry(fmt.Sprint("camera", i))
	}
	if len(r.hurried) > maxCameras {
		t.Errorf("%d cameras are hurried", len(r.hurried))
	}
}

// BenchmarkBestPicture is what one best frame of a track costs: a person of 300 by 800 pixels in 4K.
func BenchmarkBestPicture(b *testing.B) {
	c := cutter{height: 720, quality: 85}
	defer c.close()
	pic, _ := scene(3840, 2160, 0)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.code(pic, bus.Box{1000, 600, 1300, 1400}); err != nil {
			b.Fatal(err)
		}
	}
}
