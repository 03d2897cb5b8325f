package main

import (
	"context"
	"strings"
	"testing"

	"github.com/sightline/sightline/ingest/testcam"
	"github.com/sightline/sightline/pipeline/bus"
)

// rtspCamera serves a clip as a camera does, until the end of the test.
func rtspCamera(t testing.TB, clip string, o testcam.Options) *testcam.Camera {
	t.Helper()
	camera, err := testcam.Listen(t.Context(), "127.0.0.1:0", clip, o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- camera.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		<-ended
	})
	return camera
}

// withPassword puts user and a reference to the environment into an RTSP address.
func withPassword(url string) string {
	return strings.Replace(url, "rtsp://", "rtsp://viewer:{CAMERA_PASSWORD}@", 1)
}

// TestOneProcess: camera → ingest → NATS → detect → stream → annotated video, with everything real.
func TestOneProcess(t *testing.T) {
	for _, transport := range []string{"shm", "jpeg"} {
		t.Run(transport, func(t *testing.T) {
			camera := rtspCamera(t, scene(t, "10"), testcam.Options{User: "viewer", Password: "S3cret-in-a-test"})
			config := write(t, "site.yaml", "bus: {listen: \"127.0.0.1:0\"}\nhttp: {listen: \"127.0.0.1:0\"}\n"+
				"detectors: {default: {model: "+tiny(t)+"}}\nframes: {transport: "+transport+"}\n"+
				"cameras: {gate: {source: \""+withPassword(camera.URL())+"\"}}\n")
			p := start(t, []string{"CAMERA_PASSWORD=S3cret-in-a-test"}, "run", "-c", config)
			broker, page := p.broker(t), p.page(t)
			heard := listen(t, broker, "gate")
			heard.await(t, 5) // the camera is on
			v := watch(t, page, "gate")
			compared := 0
			for range 3 * sceneRate {
				if s, ok := look(v.next(t)); ok {
					compared += compare(t, heard.messages(), s)
				}
			}
			if compared < sceneRate {
				t.Errorf("%d of %d pictures showed block and box, want %d", compared, 3*sceneRate, sceneRate)
			}
			checkStream(t, heard.await(t, 3*sceneRate))
			if code := p.stop(t); code != exitDone {
				t.Errorf("exit code %d after an interrupt", code)
			}
			if strings.Contains(p.stderr.String(), "S3cret") {
				t.Error("the camera's password is in the log")
			}
		})
	}
}

// compare holds a picture against the message about it; it gives 1 when there was one.
func compare(t testing.TB, messages []*bus.Detections, s seen) int {
	t.Helper()
	b, ok := told(messages, s)
	if !ok {
		return 0
	}
	if !s.box.near(float64(b[0]), float64(b[2]), 3) || !s.vertical.near(float64(b[1]), float64(b[3]), 3) {
		t.Errorf("the box is drawn at %v, %v, the message says %v", s.box, s.vertical, b)
	}
	return 1
}

// checkStream holds messages of one camera against the contract.
func checkStream(t testing.TB, messages []*bus.Detections) {
	t.Helper()
	for i, m := range messages {
		if m.Camera != "gate" || m.Frame != (bus.Size{Width: sceneWidth, Height: sceneHeight}) || m.Session != messages[0].Session {
			t.Errorf("message %d is of %s, %v, session %s", i, m.Camera, m.Frame, m.Session)
		}
		if len(m.Objects) != 1 || m.Objects[0].Label != "red" || m.Objects[0].Score < 0.9 {
			t.Errorf("message %d: objects %v, want the red block", i, m.Objects)
			continue
		}
		if b := m.Objects[0].Box; !(extent{float64(b[1]), float64(b[3])}).near(blockTop, blockTop+blockHeight, 5) || b[2]-b[0] < blockWidth-9 || b[2]-b[0] > blockWidth+9 {
			t.Errorf("message %d: box %v, want one of %dx%d at %d", i, b, blockWidth, blockHeight, blockTop)
		}
		if i > 0 && (m.Seq <= messages[i-1].Seq || m.CapturedAt.Before(messages[i-1].CapturedAt)) {
			t.Errorf("message %d: seq %d at %s follows seq %d at %s", i, m.Seq, m.CapturedAt, messages[i-1].Seq, messages[i-1].CapturedAt)
		}
	}
}
