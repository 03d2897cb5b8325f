package main

import (
	"fmt"
	"image/color"
	"image/jpeg"
	"math"
	"net/http"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/sightline/sightline/pipeline/bus"
)

// happenings are the events of a camera as they come.
type happenings struct {
	mu  sync.Mutex // protects all
	all []*bus.Event
}

// happening listens to the events of all cameras; nothing that is published after it returns is missed.
func happening(t testing.TB, broker string) *happenings {
	t.Helper()
	nc, err := nats.Connect(broker)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	h := &happenings{}
	_, err = nc.Subscribe("sightline.events.>", func(m *nats.Msg) {
		e, err := bus.ParseEvent(m.Data)
		if err != nil {
			t.Errorf("%v: %s", err, m.Data)
			return
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		h.all = append(h.all, e)
	})
	if err == nil {
		err = nc.Flush()
	}
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func (h *happenings) of(kind bus.EventType) (some []*bus.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, e := range h.all {
		if e.Type == kind {
			some = append(some, e)
		}
	}
	return some
}

// siteWith is a configuration with one camera on somebody else's broker; camera is what stands below its name.
func siteWith(broker, model, camera string) string {
	return fmt.Sprintf("http: {listen: \"127.0.0.1:0\"}\nbus: {url: %q}\ndetectors: {default: {model: %s}}\ncameras:\n  hall:\n%s", broker, model, camera)
}

// TestPeopleAreCounted: in the clip six people, one after the other, come from below, stand at the table for a while, and leave to
// the right. When they come and go was read off two pictures a second.
func TestPeopleAreCounted(t *testing.T) {
	clip := shared(t, "clips", "one-by-one-person-detection.mp4")
	come := []float64{6.3, 22.8, 50.3, 74.7, 92.3, 123.8}
	leave := []float64{18.3, 43.4, 68.3, 85.2, 118.1, 134.2} // the table
	exit := []float64{18.9, 44, 69, 85.9, 118.9, 134.9}      // over the line
	broker := startBroker(t, "127.0.0.1:0", t.TempDir())
	heard := happening(t, broker.ClientURL())
	p := start(t, nil, "run", "-c", write(t, "site.yaml", siteWith(broker.ClientURL(), filepath.Join("..", "..", "models", "yolox-nano-int8.onnx"), `
    source: `+clip+`
    pace: fast
    zones: {table: {coordinates: [[0.4, 0.7], [0.72, 0.7], [0.72, 1], [0.4, 1]], labels: [person], loitering_time: 3s}}
    lines: {exit: {coordinates: [[0.8, 1], [0.8, 0]], labels: [person]}}
`)))
	if code := p.wait(t); code != exitDone {
		t.Fatalf("exit code %d", code)
	}
	const second, patient = 10, 1.5 // frames, and seconds by which a box may be early or late: it is cut off where people come and go
	eventually(t, "six came and went", func() bool { return len(heard.of(bus.EventZoneLeave)) >= 6 && len(heard.of(bus.EventLineCross)) >= 6 })
	crossed, entered, left := heard.of(bus.EventLineCross), heard.of(bus.EventZoneEnter), heard.of(bus.EventZoneLeave)
	if len(crossed) != 6 || len(entered) != 6 || len(left) != 6 {
		t.Fatalf("%d crossed the line, %d entered the zone, %d left it; want 6", len(crossed), len(entered), len(left))
	}
	for i, e := range crossed {
		if at := float64(e.Seq) / second; e.Direction != bus.DirectionIn || *e.Counts != (bus.Totals{In: uint64(i) + 1}) || math.Abs(at-exit[i]) > patient {
			t.Errorf("crossing %d: %s at %v s, counts %v; left at %v s", i, e.Direction, at, *e.Counts, exit[i])
		}
		if at := float64(entered[i].Seq) / second; math.Abs(at-come[i]-3) > patient {
			t.Errorf("entered at %v s, came at %v s", at, come[i])
		}
		if dwell, stood := *left[i].DwellMS/1000, leave[i]-come[i]; math.Abs(dwell-stood) > patient {
			t.Errorf("stood for %v s, want %v s", dwell, stood)
		}
	}
}

// A zone of the scene that the block enters in each of its runs, and a line that it crosses.
const (
	runs     = 5 // over the line in ten seconds
	runZone  = "{coordinates: [[0.25, 0], [0.6, 0], [0.6, 1], [0.25, 1]], inertia: 1}"
	runLines = "    lines: {mid: {coordinates: [[0.5, 1], [0.5, 0]]}}\n"
)

// TestCountsGoOnInTheNextProcess: the same clip, played by two processes.
func TestCountsGoOnInTheNextProcess(t *testing.T) {
	broker := startBroker(t, "127.0.0.1:0", t.TempDir())
	heard := happening(t, broker.ClientURL())
	config := write(t, "site.yaml", siteWith(broker.ClientURL(), tiny(t), "    source: "+scene(t, "10")+"\n    pace: fast\n"+runLines))
	for process := range 2 {
		p := start(t, nil, "run", "-c", config)
		if code := p.wait(t); code != exitDone {
			t.Fatalf("exit code %d", code)
		}
		eventually(t, "the block has run", func() bool { return len(heard.of(bus.EventLineCross)) >= (process+1)*runs })
	}
	for i, e := range heard.of(bus.EventLineCross) {
		if e.Counts == nil || *e.Counts != (bus.Totals{In: uint64(i) + 1}) || e.Label != "red" {
			t.Errorf("crossing %d: %s, counts %v", i, e.Label, e.Counts)
		}
	}
}

// checkBestPicture: the picture of a track shows the block, in the frame that its events name.
func checkBestPicture(t *testing.T, page string, heard *happenings) {
	t.Helper()
	e := heard.of(bus.EventStart)[0]
	status, body := 0, ""
	eventually(t, "a picture of the track", func() bool {
		status, body = get(t, fmt.Sprintf("%s/api/events/%s-%d/snapshot.jpg", page, e.Session, e.TrackID))
		return status == http.StatusOK
	})
	shot, err := jpeg.Decode(strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	middle := shot.Bounds().Max.Div(2)
	if e.Best == nil || !looksLike(shot.At(middle.X, middle.Y), color.RGBA{R: 255}) || math.Abs(float64(middle.X)*2-1.2*float64(e.Best.Box[2]-e.Best.Box[0])) > 20 {
		t.Errorf("best %+v; the picture is %v, %v in the middle", e.Best, shot.Bounds(), shot.At(middle.X, middle.Y))
	}
}

// TestChangedZonesDoNotTouchTheCamera: its session goes on.
func TestChangedZonesDoNotTouchTheCamera(t *testing.T) {
	broker := startBroker(t, "127.0.0.1:0", t.TempDir())
	heard := happening(t, broker.ClientURL())
	path, camera := filepath.Join(t.TempDir(), "site.yaml"), "    source: "+scene(t, "10")+"\n    loop: true\n"
	site := func(zone string) string {
		return siteWith(broker.ClientURL(), tiny(t), camera+"    zones: {"+zone+": "+runZone+"}\n"+runLines)
	}
	enters := func(zone string) func() bool {
		return func() bool {
			return slices.ContainsFunc(heard.of(bus.EventZoneEnter), func(e *bus.Event) bool { return e.Zone == zone })
		}
	}
	replace(t, path, site("before"))
	p := start(t, nil, "run", "-c", path)
	eventually(t, "the first zone is entered", enters("before"))
	eventually(t, "/metrics tells of tracks, zones and lines", func() bool {
		_, body := get(t, p.page(t)+"/metrics")
		return strings.Contains(body, `sightline_tracks_active{camera="hall",label="red"} 1`) && strings.Contains(body, `sightline_zone_objects{camera="hall",zone="before"} `) &&
			regexp.MustCompile(`sightline_line_crossings_total{camera="hall",direction="in",line="mid"} [1-9]`).MatchString(body)
	})
	checkBestPicture(t, p.page(t), heard)
	replace(t, path, site("after"))
	p.await(t, "configuration read again")
	eventually(t, "the changed zone is entered", enters("after"))
	all := heard.of(bus.EventZoneEnter)
	if first, last := all[0].Session, all[len(all)-1].Session; first != last || strings.Count(p.stderr.String(), "camera is online") != 1 {
		t.Errorf("the camera was connected anew: session %s, then %s", first, last)
	}
	if code := p.stop(t); code != exitDone {
		t.Errorf("exit code %d", code)
	}
}
