package main

import (
	"fmt"
	"log/slog"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/sightline/sightline/pipeline/bus"
)

// startBroker runs a NATS server of its own; address may be a port that was used before.
func startBroker(t testing.TB, address, dataDir string) *bus.Server {
	t.Helper()
	server, err := bus.StartServer(bus.ServerConfig{Listen: address, DataDir: dataDir}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	return server
}

// shared returns the path of a file beside the repository, and skips the test where it is not there.
func shared(t testing.TB, parts ...string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join(append([]string{"..", "..", "..", "shared", "data"}, parts...)...))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Skip("shared/data is not here: " + path)
	}
	return path
}

// TestRolesApartFindTheSame: every role in a process of its own, over TCP and with JPEG pictures, sees what one process sees that
// hands pixels over in shared memory. A real network reacts to the finest noise in some pictures, so a few may differ there.
func TestRolesApartFindTheSame(t *testing.T) {
	t.Run("block", func(t *testing.T) { compareRoles(t, tiny(t), scene(t, "4"), 4*sceneRate, 1) })
	t.Run("person", func(t *testing.T) {
		model, clip := shared(t, "models", "yolox_nano.onnx"), shared(t, "clips", "one-by-one-person-detection.mp4")
		compareRoles(t, model, cut(t, clip), 100, 0.95)
	})
}

// cut takes a part of the clip in which somebody walks.
func cut(t testing.TB, clip string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "cut.mkv")
	if out, err := exec.Command("ffmpeg", "-v", "error", "-ss", "10", "-i", clip, "-t", "12", "-c", "copy", path).CombinedOutput(); err != nil {
		t.Fatalf("ffmpeg (install package ffmpeg): %v: %s", err, out)
	}
	return path
}

func compareRoles(t *testing.T, model, clip string, frames int, share float64) {
	together := detectTogether(t, model, clip, frames)
	apart := detectApart(t, model, clip, frames)
	var a, b agreement
	for i := range frames {
		if together[i].Seq != apart[i].Seq {
			t.Fatalf("message %d is about frame %d together and %d apart", i, together[i].Seq, apart[i].Seq)
		}
		a.count(together[i], apart[i])
		b.count(apart[i], together[i])
	}
	if a.objects < frames/2 {
		t.Errorf("%d objects in %d frames: nothing to compare", a.objects, frames)
	}
	if a.share() < share || b.share() < share {
		t.Errorf("%v of the objects found together are found apart, %v the other way, want %v: such as %v", a.share(), b.share(), share, a.missed)
	}
}

func siteOf(t testing.TB, model, clip, more string) string {
	t.Helper()
	return write(t, "site.yaml", "http: {listen: \"127.0.0.1:0\"}\ndetectors: {default: {model: "+model+"}}\n"+
		"cameras: {gate: {source: "+clip+", pace: fast, zones: {yard: "+runZone+"}}}\n"+more)
}

func detectTogether(t testing.TB, model, clip string, frames int) []*bus.Detections {
	t.Helper()
	// The file loops, so that the process is still there when its stream is read.
	p := start(t, nil, "run", "--loop", "-c", siteOf(t, model, clip, "bus: {listen: \"127.0.0.1:0\"}\nframes: {transport: shm}\n"))
	messages := listen(t, p.broker(t), "gate").await(t, frames)
	if code := p.stop(t); code != exitDone {
		t.Errorf("exit code %d", code)
	}
	return messages
}

func detectApart(t testing.TB, model, clip string, frames int) []*bus.Detections {
	t.Helper()
	broker := startBroker(t, "127.0.0.1:0", t.TempDir())
	config := siteOf(t, model, clip, "bus: {url: \""+broker.ClientURL()+"\"}\nframes: {transport: jpeg}\n")
	others := []*process{}
	for _, role := range []string{"detect", "track", "sinks"} {
		p := start(t, nil, "run", "-c", config, "--roles", role)
		p.await(t, "connected to broker")
		others = append(others, p)
	}
	ingest := start(t, nil, "run", "--loop", "-c", config, "--roles", "ingest")
	ingest.await(t, "camera is online.*transport=jpeg")
	messages := listen(t, broker.ClientURL(), "gate").await(t, frames)
	page := others[len(others)-1].page(t)
	eventually(t, "the sinks know of the tracker's zone and who is in it", func() bool {
		_, body := get(t, page+"/api/cameras")
		return regexp.MustCompile(`"zones":\[{"name":"yard","objects":\d`).MatchString(body)
	})
	for _, p := range append(others, ingest) {
		if code := p.stop(t); code != exitDone {
			t.Errorf("exit code %d of %v", code, p.cmd.Args)
		}
	}
	return messages
}

// agreement counts clear objects of one run that the other has too. What is near the threshold may be seen by one alone.
type agreement struct {
	objects, same int
	missed        []string
}

func (g *agreement) count(a, b *bus.Detections) {
	const clear = 0.4 + 0.03 // of the threshold
	for _, o := range a.Objects {
		if o.Score < clear {
			continue
		}
		g.objects++
		if hasLike(b.Objects, o) {
			g.same++
		} else if len(g.missed) < 5 {
			g.missed = append(g.missed, fmt.Sprintf("frame %d: %v is not among %v", a.Seq, o, b.Objects))
		}
	}
}

func (g *agreement) share() float64 { return float64(g.same) / float64(max(1, g.objects)) }

func hasLike(objects []bus.Object, like bus.Object) bool {
	for _, o := range objects {
		far := math.Abs(float64(o.Score - like.Score))
		if o.Label == like.Label && far <= 0.03 && apart(o.Box, like.Box) <= 3 {
			return true
		}
	}
	return false
}

// apart is the largest distance of two boxes' sides, pixels.
func apart(a, b bus.Box) (far float64) {
	for i := range a {
		far = max(far, math.Abs(float64(a[i]-b[i])))
	}
	return far
}
