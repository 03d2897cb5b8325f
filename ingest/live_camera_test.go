package ingest

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/pion/webrtc/v4"

	"github.com/sightline/sightline/ingest/decode/testclip"
	"github.com/sightline/sightline/ingest/testcam"
	"github.com/sightline/sightline/pipeline/bus"
)

// overheard collects what the bus is told about a camera, as text.
type overheard struct {
	mu   sync.Mutex
	text strings.Builder
}

func overhear(t *testing.T, conn *bus.Conn, camera string) *overheard {
	t.Helper()
	o := new(overheard)
	events, err := conn.SubscribeEvents(camera, func(e *bus.Event) { o.add(e) })
	if err != nil {
		t.Fatal(err)
	}
	statuses, err := conn.SubscribeStatus(camera, func(s *bus.Status) { o.add(s) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		events.Close()
		statuses.Close()
		checkSecrets(t, o.String())
	})
	return o
}

func (o *overheard) add(message any) {
	text, err := json.Marshal(message)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.text.Write(text)
	if err != nil {
		o.text.WriteString(err.Error())
	}
}

func (o *overheard) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// checkShots checks that the frames of one session show a Counter clip of 48 frames, one after the other.
func checkShots(t *testing.T, shots []shot) {
	t.Helper()
	for i, s := range shots {
		if s.Width != 64 || s.Height != 64 || s.Session != shots[0].Session {
			t.Errorf("frame %d: %dx%d, session %s after %s", i, s.Width, s.Height, s.Session, shots[0].Session)
		}
		if i == 0 {
			continue
		}
		before := shots[i-1]
		if n, m := testclip.CounterOf(before.luma), testclip.CounterOf(s.luma); m != (n+int(s.Seq-before.Seq))%48 {
			t.Errorf("frame %d: number %d, seq %d after number %d, seq %d", i, m, s.Seq, n, before.Seq)
		}
		if s.CapturedAt.Before(before.CapturedAt) {
			t.Errorf("frame %d was captured %s before the one before", i, before.CapturedAt.Sub(s.CapturedAt))
		}
	}
}

// ofSession returns the frames of a session.
func ofSession(shots []shot, id string) (list []shot) {
	for _, s := range shots {
		if s.Session == id {
			list = append(list, s)
		}
	}
	return list
}

func TestRTSPCameraPublishesAndComesBack(t *testing.T) {
	t.Parallel()
	log := new(logged)
	conn := connect(t, log)
	told := overhear(t, conn, "gate")
	d := detect(t, conn, "gate")
	source := camera(t, testclip.Counter(t, "clip.mp4", 48, 25, testclip.Lossless), testcam.Options{User: "admin", Password: secret})
	p := newProxy(t, source.Address())
	c := newCamera(t, conn, log, CameraConfig{Source: "rtsp://admin:" + secretEscaped + "@" + p.address() + "/test"})
	stop := run(t, c)
	first := d.wait(20)[0].Session
	p.reset()
	waitFor(t, func() bool {
		all := d.all()
		return len(ofSession(all, all[len(all)-1].Session)) >= 10 && all[len(all)-1].Session != first
	})
	if err := stop(); err != nil {
		t.Error(err)
	}
	all := d.all()
	before, after := ofSession(all, first), ofSession(all, all[len(all)-1].Session)
	if len(before)+len(after) != len(all) || source.Stats().Sessions != 2 {
		t.Errorf("%d frames: %d before, %d after; %d connections", len(all), len(before), len(after), source.Stats().Sessions)
	}
	checkShots(t, before)
	checkShots(t, after)
	if s := c.Stats(); s.Reconnects != 1 {
		t.Errorf("%+v", s)
	}
	for _, text := range []string{log.String(), told.String()} {
		checkSecrets(t, text)
		if !strings.Contains(text, "the camera reset the connection") {
			t.Errorf("the cause was not told: %s", text)
		}
	}
}

// A wrong password is tried twice, then rarely, so that the camera does not lock us out.
func TestRTSPCameraWithAWrongPassword(t *testing.T) {
	t.Parallel()
	log := new(logged)
	conn := connect(t, log)
	told := overhear(t, conn, "gate")
	clip := testclip.Make(t, "clip.mp4", testclip.Moving, testclip.H264)
	source := camera(t, clip, testcam.Options{User: "admin", Password: "right"})
	c := newCamera(t, conn, log, CameraConfig{Source: with("admin:"+secretEscaped, source.URL())})
	run(t, c)
	waitFor(t, func() bool { return strings.Contains(log.String(), "retry_in=1m") })
	if s := source.Stats(); s.Refused != 2 {
		t.Errorf("the password was tried %d times", s.Refused)
	}
	if cause := c.Stats().Cause; !strings.Contains(cause, "authentication refused") || !strings.Contains(cause, `realm "ipcam"`) {
		t.Errorf("cause: %s", cause)
	}
	checkSecrets(t, log.String()+told.String()+c.Stats().Cause)
}

func TestWHIPCameraPublishesASessionPerPublisher(t *testing.T) {
	t.Parallel()
	log := new(logged)
	conn := connect(t, log)
	d := detect(t, conn, "yard")
	d.grows = true
	hub := NewWHIP("", log.logger())
	c := newCamera(t, conn, log, CameraConfig{Name: "yard", Source: "whip"})
	hub.Add(c)
	server := httptest.NewServer(hub)
	t.Cleanup(server.Close)
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	run(t, c)
	if s := c.Stats(); s.State == StateOnline {
		t.Errorf("without a publisher the camera is %s", s.State)
	}
	clip := testclip.Counter(t, "clip.h264", 48, 25, baseline)
	large := testclip.Make(t, "large.h264", "color=c=white:size=128x96:rate=25:duration=2", baseline)
	for n := range 2 {
		track, write := sampleTrack(t, webrtc.MimeTypeH264)
		p := newPeer(t, track)
		p.publish(server.URL + "/yard/whip")
		p.play(write, clip, large)
		waitFor(t, func() bool {
			return len(sessions(d.all())) == n+1 && len(ofSession(d.all(), sessions(d.all())[n])) >= 15
		})
		if n == 1 { // the picture grows in the middle of a session, as browsers do
			waitFor(t, func() bool {
				return slices.ContainsFunc(d.all(), func(s shot) bool { return s.Width == 128 && s.Height == 96 })
			})
		}
		if code, _, _ := ask(t, http.MethodDelete, p.session, ""); code != http.StatusOK {
			t.Errorf("DELETE: %d", code)
		}
		p.leave()
	}
	all := d.all()
	if len(sessions(all)) != 2 {
		t.Errorf("%d sessions of two publishers", len(sessions(all)))
	}
	for _, id := range sessions(all) {
		checkShots(t, ofSession(slices.DeleteFunc(slices.Clone(all), func(s shot) bool { return s.Width == 128 }), id))
	}
	if last := all[len(all)-1]; last.Width != 128 || last.luma < 220 {
		t.Errorf("the last frame is %dx%d with luma %d, want the large white one", last.Width, last.Height, last.luma)
	}
	hub.Remove("yard")
	if code, text, _ := ask(t, http.MethodPost, server.URL+"/yard/whip", "v=0", "Content-Type", "application/sdp"); code != http.StatusNotFound {
		t.Errorf("a camera that was removed: %d %s", code, text)
	}
}

// sessions returns the sessions of frames in their order.
func sessions(shots []shot) (ids []string) {
	for _, s := range shots {
		if len(ids) == 0 || ids[len(ids)-1] != s.Session {
			ids = append(ids, s.Session)
		}
	}
	return ids
}
