package main

import (
	"net"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/sightline/sightline/ingest/testcam"
)

// freeAddress is a port that was free a moment ago.
func freeAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// sample reads one number of /metrics; without labels the sum over all of them.
func sample(t testing.TB, page, metric string) (sum float64) {
	t.Helper()
	_, body := get(t, page+"/metrics")
	pattern := regexp.QuoteMeta(metric)
	if !strings.Contains(metric, "{") {
		pattern += `(?:\{.*\})?`
	}
	all := regexp.MustCompile(`(?m)^`+pattern+` (\S+)$`).FindAllStringSubmatch(body, -1)
	if all == nil {
		t.Fatalf("/metrics has no %s: %s", metric, body)
	}
	for _, m := range all {
		v, err := strconv.ParseFloat(m[1], 64)
		if err != nil {
			t.Fatal(err)
		}
		sum += v
	}
	return sum
}

// TestBrokerAwayAtStartAndLater: the process waits for its broker and says so; later the camera is read on without it.
func TestBrokerAwayAtStartAndLater(t *testing.T) {
	address, data := freeAddress(t), t.TempDir()
	camera := rtspCamera(t, scene(t, "4"), testcam.Options{})
	page := "http://" + freeAddress(t)
	config := write(t, "site.yaml", "bus: {url: \"nats://"+address+"\"}\nhttp: {listen: \""+page[len("http://"):]+"\"}\n"+
		"detectors: {default: {model: "+tiny(t)+"}}\ncameras: {gate: {source: \""+camera.URL()+"\"}}\n")
	p := start(t, nil, "run", "-c", config)

	p.await(t, "waiting for the broker.*"+regexp.QuoteMeta(address))
	if status, _ := get(t, page+"/healthz"); status != http.StatusOK {
		t.Errorf("/healthz is %d while the broker is away", status)
	}
	if status, body := get(t, page+"/readyz"); status != http.StatusServiceUnavailable {
		t.Errorf("/readyz is %d while the broker is away: %s", status, body)
	}

	broker := startBroker(t, address, data)
	p.await(t, "camera is online")
	eventually(t, "detections", func() bool { return sample(t, page, "sightline_detect_frames_total") > 5 })
	decoding, network := sample(t, page, "sightline_camera_decode_cpu_seconds_total"), sample(t, page, "sightline_detect_network_cpu_seconds_total")
	if all := sample(t, page, "process_cpu_seconds_total"); decoding <= 0 || network <= 0 || decoding+network > all+0.05 { // which counts in hundredths
		t.Errorf("%.3f s for decoding and %.3f s in the network, of %.3f s", decoding, network, all)
	}
	if status, body := get(t, page+"/readyz"); status != http.StatusOK {
		t.Errorf("/readyz is %d with a broker: %s", status, body)
	}

	broker.Close()
	eventually(t, "the loss of the broker is seen", func() bool { return sample(t, page, "sightline_bus_connected") == 0 })
	gone := sample(t, page, `sightline_camera_frames_total{camera="gate"}`)
	eventually(t, "the camera is read on", func() bool {
		return sample(t, page, `sightline_camera_frames_total{camera="gate"}`)+dropped(t, page) > gone+5
	})
	if status, _ := get(t, page+"/readyz"); status != http.StatusServiceUnavailable {
		t.Errorf("/readyz is %d after the broker went away", status)
	}

	again := startBroker(t, address, data)
	before := sample(t, page, "sightline_detect_frames_total")
	eventually(t, "detections after the broker came back", func() bool { return sample(t, page, "sightline_detect_frames_total") > before+5 })
	heard := listen(t, again.ClientURL(), "gate")
	eventually(t, "one session on both sides of the gap", func() bool {
		m := heard.messages()
		return len(m) > 10 && m[0].Session == m[len(m)-1].Session && m[len(m)-1].Seq > m[0].Seq+uint64(before)
	})
	if n := sample(t, page, `sightline_camera_reconnects_total{camera="gate"}`); n != 0 {
		t.Errorf("the camera was connected %v times more, though only the broker was away", n)
	}
	if code := p.stop(t); code != exitDone {
		t.Errorf("exit code %d", code)
	}
}

func dropped(t testing.TB, page string) float64 {
	t.Helper()
	return sample(t, page, `sightline_camera_dropped_total{camera="gate",reason="publish"}`)
}

// TestStopWhileWaitingForTheBroker: waiting for ever ends with the first signal.
func TestStopWhileWaitingForTheBroker(t *testing.T) {
	config := write(t, "site.yaml", "bus: {url: \"nats://someone:S3cret-in-a-test@"+freeAddress(t)+"\"}\nhttp: {listen: \"127.0.0.1:0\"}\n")
	p := start(t, nil, "run", "-c", config, "--roles", "track")
	said := p.await(t, "(.*waiting for the broker.*)")
	if regexp.MustCompile("S3cret").MatchString(said) {
		t.Error("the broker's password is in the log")
	}
	if code := p.stop(t); code != exitDone {
		t.Errorf("exit code %d", code)
	}
}
