package main

import (
	"net/http"
	"strings"
	"testing"
)

// TestOneSightlineWatchesAnother: the stream that one process offers by WHEP is the camera of the next.
func TestOneSightlineWatchesAnother(t *testing.T) {
	const token = "S3cret-token-in-a-test"
	first := start(t, []string{"PAGE_TOKEN=" + token}, run("--loop", "--model", tiny(t), "-c",
		write(t, "first.yaml", "bus: {listen: \"\"}\nhttp: {token: \"{PAGE_TOKEN}\"}\n"), scene(t, "10"))...)
	source := strings.Replace(first.page(t), "http://", "http://:{PAGE_TOKEN}@", 1) + "/scene/annotated/whep"
	second := start(t, []string{"PAGE_TOKEN=" + token}, run("--model", tiny(t), "-c",
		write(t, "second.yaml", "bus: {listen: \"127.0.0.1:0\"}\ncameras: {gate: {source: \""+source+"\"}}\n"))...)
	for _, m := range listen(t, second.broker(t), "gate").await(t, 2*sceneRate)[sceneRate:] {
		if m.Frame.Width != sceneWidth || m.Frame.Height != sceneHeight || m.Clock == "file" {
			t.Errorf("frame %v by the clock %s, want %dx%d of a live stream", m.Frame, m.Clock, sceneWidth, sceneHeight)
		}
		found := false
		for _, o := range m.Objects {
			found = found || o.Label == "red"
		}
		if !found {
			t.Errorf("the block is not among %v", m.Objects)
		}
	}
	for _, path := range []string{"/api/cameras", "/api/events/01J-1/snapshot.jpg", "/scene/latest.jpg", "/metrics"} {
		if status, body := get(t, first.page(t)+path); status != http.StatusUnauthorized {
			t.Errorf("%s without the token: %d %s", path, status, body)
		}
	}
	if code := second.stop(t); code != exitDone {
		t.Errorf("exit code %d", code)
	}
	if log := second.stderr.String() + first.stderr.String(); strings.Contains(log, token) {
		t.Error("the token is in the log")
	}
}
