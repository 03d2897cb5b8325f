package main

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/sightline/sightline/pipeline/bus"
)

// twoDetectors is a configuration with two models; cameras may be given to either.
func twoDetectors(t testing.TB, more, cameras string) string {
	t.Helper()
	v8 := strings.Replace(tiny(t), "tiny.onnx", "tiny_v8.onnx", 1)
	return "http: {listen: \"127.0.0.1:0\"}\n" + more + "detectors:\n  default: {model: " + tiny(t) + ", workers: 1}\n  big: {model: " + v8 + ", workers: 1}\ncameras:\n" + cameras
}

// modelsOf tells which detector, with which model, looked at the frames.
func modelsOf(messages []*bus.Detections) map[string]bool {
	all := map[string]bool{}
	for _, m := range messages {
		name, _, _ := strings.Cut(m.Model, "@")
		all[m.Detector+"="+name] = true
	}
	return all
}

// TestCamerasAreGivenToDetectorsAndChangeThem: two models in one process, each with cameras of its own; one of the cameras is given to
// the other in its running session.
func TestCamerasAreGivenToDetectorsAndChangeThem(t *testing.T) {
	clip, path := scene(t, "10"), filepath.Join(t.TempDir(), "site.yaml")
	site := func(gate string) string {
		return twoDetectors(t, "bus: {listen: \"127.0.0.1:0\"}\n",
			"  gate: {source: "+clip+", loop: true"+gate+"}\n  yard: {source: "+clip+", loop: true, detector: big}\n")
	}
	replace(t, path, site(""))
	p := start(t, nil, "run", "-c", path)
	gate, yard := listen(t, p.broker(t), "gate"), listen(t, p.broker(t), "yard")
	before := gate.await(t, 5)
	if m := modelsOf(before); len(m) != 1 || !m["default=tiny"] {
		t.Errorf("gate was looked at by %v", m)
	}
	replace(t, path, site(", detector: bgi"))
	p.await(t, "changed configuration is refused.*no detector .*bgi.*there are: big, default")
	replace(t, path, site(", detector: big"))
	p.await(t, "camera has another detector.*camera=gate detector=big")
	eventually(t, "the other model is told of", func() bool {
		m := gate.messages()
		return m[len(m)-1].Detector == "big"
	})
	after := gate.await(t, len(gate.messages())+5)
	if m := modelsOf(after[len(after)-5:]); len(m) != 1 || !m["big=tiny_v8"] {
		t.Errorf("then gate was looked at by %v", m)
	}
	if after[len(after)-1].Session != before[0].Session {
		t.Error("the camera was connected anew")
	}
	if m := modelsOf(yard.await(t, 5)); len(m) != 1 || !m["big=tiny_v8"] {
		t.Errorf("yard was looked at by %v", m)
	}
	for _, name := range []string{"default", "big"} {
		if sample(t, p.page(t), `sightline_detect_frames_total{detector="`+name+`"}`) < 5 {
			t.Errorf("few frames are counted for %s", name)
		}
	}
	if _, body := get(t, p.page(t)+"/readyz"); !strings.Contains(body, `"big":{"model":"tiny_v8@`) || strings.Contains(body, "unattended") {
		t.Errorf("the process tells %s", body)
	}
	if code := p.stop(t); code != exitDone {
		t.Errorf("exit code %d", code)
	}
}

// TestFramesThatNobodyLooksAtAreTold: of two detectors one runs; later the other one does, in a process of its own.
func TestFramesThatNobodyLooksAtAreTold(t *testing.T) {
	t.Parallel() // most of its time is waiting
	broker := startBroker(t, "127.0.0.1:0", t.TempDir())
	clip := scene(t, "10")
	config := write(t, "site.yaml", twoDetectors(t, "bus: {url: \""+broker.ClientURL()+"\"}\n",
		"  gate: {source: "+clip+", loop: true}\n  yard: {source: "+clip+", loop: true, detector: big}\n"))
	p := start(t, nil, "run", "-c", config, "--roles", "ingest,detect,sinks", "--detectors", "default")
	p.await(t, "camera is online")
	listen(t, broker.ClientURL(), "gate").await(t, 3)
	p.await(t, `nobody looks at the frames.*detector=big cameras=\[yard\]`)
	eventually(t, "the page tells of it", func() bool {
		_, body := get(t, p.page(t)+"/api/cameras")
		return strings.Contains(body, `"cause":"nobody runs its detector, big"`)
	})
	if status, body := get(t, p.page(t)+"/readyz"); status != 200 || !strings.Contains(body, `"unattended":{"yard":"big"}`) {
		t.Errorf("%d: %s", status, body)
	}
	if sample(t, p.page(t), `sightline_camera_unattended{camera="yard",detector="big"}`) != 1 {
		t.Error("the camera is not counted as unattended")
	}
	other := start(t, nil, "run", "-c", config, "--roles", "detect", "--detectors", "big")
	if m := modelsOf(listen(t, broker.ClientURL(), "yard").await(t, 3)); len(m) != 1 || !m["big=tiny_v8"] {
		t.Errorf("yard was looked at by %v", m)
	}
	p.await(t, "all cameras of this detector are looked at.*detector=big")
	for _, one := range []*process{p, other} {
		if code := one.stop(t); code != exitDone {
			t.Errorf("exit code %d", code)
		}
	}
}

// TestPicturesAreLookedAtByTheDetectorThatIsNamed of a configuration with several.
func TestPicturesAreLookedAtByTheDetectorThatIsNamed(t *testing.T) {
	config := write(t, "site.yaml", twoDetectors(t, "", "  {}\n"))
	neither := write(t, "neither.yaml", "detectors: {a: {}, b: {}}\n")
	pic := photo(t, "a.jpg")
	for name, model := range map[string]string{"": "tiny@", "default": "tiny@", "big": "tiny_v8@"} {
		code, out, stderr := finish(t, "detect", "-c", config, "--detector", name, "--json", pic)
		if code != exitDone || !strings.Contains(out, `"model":"`+model) {
			t.Errorf("%q: %d, %s%s", name, code, out, stderr)
		}
	}
	checkAll(t, []refusal{
		{"unknown", []string{"detect", "-c", config, "--detector", "bgi", pic}, exitWrongUse, []string{"--detector", `"bgi"; there are: big, default`}},
		{"none", []string{"detect", "-c", neither, pic}, exitWrongUse, []string{"--detector", "one of: a, b"}},
		{"bench", []string{"bench", "-c", neither}, exitWrongUse, []string{"--detector", "one of: a, b"}},
		{"subset", run("-c", config, "--detectors", "big,bgi"), exitWrongUse, []string{"--detectors", `"bgi"; there are: big, default`}},
		{"model", run("-c", neither, "--model", tiny(t)), exitWrongUse, []string{"--model", "several detectors"}},
	})
}
