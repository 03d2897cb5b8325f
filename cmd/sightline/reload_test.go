package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// replace changes a file as editors and orchestrators do: whole, by another file.
func replace(t testing.TB, path, text string) {
	t.Helper()
	next := path + ".next"
	if err := os.WriteFile(next, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	later := time.Now().Add(2 * time.Second) // coarse clocks of file systems
	if err := os.Chtimes(next, later, later); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(next, path); err != nil {
		t.Fatal(err)
	}
}

// TestAChangedModelIsTakenWhileFramesCome: what is no model changes nothing.
func TestAChangedModelIsTakenWhileFramesCome(t *testing.T) {
	bytesOf := func(name string) string {
		text, err := os.ReadFile(strings.Replace(tiny(t), "tiny.onnx", name, 1))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	model := filepath.Join(t.TempDir(), "model.onnx")
	replace(t, model, bytesOf("tiny.onnx"))
	config := write(t, "site.yaml", "bus: {listen: \"127.0.0.1:0\"}\nhttp: {listen: \"127.0.0.1:0\"}\ndetectors: {default: {model: "+model+"}}\n"+
		"cameras: {gate: {source: "+scene(t, "10")+", loop: true}}\n")
	p := start(t, nil, "run", "-c", config)
	gate := listen(t, p.broker(t), "gate")
	first := gate.await(t, 3)[0].Model
	replace(t, model, "no model")
	p.await(t, "changed model is refused")
	replace(t, model, bytesOf("tiny_v8.onnx"))
	p.await(t, "model replaced.*before="+first)
	eventually(t, "the new model is told of", func() bool {
		m := gate.messages()
		return m[len(m)-1].Model != first
	})
	if _, body := get(t, p.page(t)+"/readyz"); strings.Contains(body, first) {
		t.Errorf("the old model is still told of: %s", body)
	}
	if code := p.stop(t); code != exitDone {
		t.Errorf("exit code %d", code)
	}
}

// TestChangedSettingsOfADetectorAreTakenWhileFramesCome: those that cannot be met change nothing, and other sections take a restart.
func TestChangedSettingsOfADetectorAreTakenWhileFramesCome(t *testing.T) {
	clip, path := scene(t, "10"), filepath.Join(t.TempDir(), "site.yaml")
	site := func(detector, more string) string {
		return "bus: {listen: \"127.0.0.1:0\"}\nhttp: {listen: \"127.0.0.1:0\"}\ndetectors: {default: {" + detector + "}" + more + "}\n" +
			"cameras: {gate: {source: " + clip + ", loop: true}}\n"
	}
	other := strings.Replace(tiny(t), "tiny.onnx", "tiny_v8.onnx", 1)
	replace(t, path, site("workers: 1, model: "+tiny(t), ""))
	p := start(t, nil, "run", "-c", path)
	gate := listen(t, p.broker(t), "gate")
	first := gate.await(t, 3)[0]
	replace(t, path, site("workers: 1, model: /nowhere.onnx", ""))
	p.await(t, "changed detector is refused.*nowhere")
	replace(t, path, site("workers: 2, model: "+other, ""))
	p.await(t, "detector replaced.*workers=2")
	eventually(t, "the new model is told of", func() bool {
		m := gate.messages()
		return m[len(m)-1].Model != first.Model
	})
	if m := gate.messages(); m[len(m)-1].Session != first.Session {
		t.Error("the camera was connected anew")
	}
	replace(t, path, site("workers: 2, model: "+other, "")+"tracks: {stationary_after: 20s}\n")
	p.await(t, "takes a restart.*tracks")
	if code := p.stop(t); code != exitDone {
		t.Errorf("exit code %d", code)
	}
}

// TestDetectorsComeAndGoWhileFramesCome: a camera is assigned to one that was not there, and back before it goes; who is the default one may
// change; and its session goes on.
func TestDetectorsComeAndGoWhileFramesCome(t *testing.T) {
	clip, path := scene(t, "10"), filepath.Join(t.TempDir(), "site.yaml")
	site := func(detectors, of string) string {
		return "bus: {listen: \"127.0.0.1:0\"}\nhttp: {listen: \"127.0.0.1:0\"}\ndetectors: {" + detectors + "}\n" +
			"cameras: {gate: {source: " + clip + ", loop: true" + of + "}}\n"
	}
	one, other := "one: {workers: 1, model: "+tiny(t)+"}", "other: {workers: 1, model: "+strings.Replace(tiny(t), "tiny.onnx", "tiny_v8.onnx", 1)+"}"
	replace(t, path, site(one, ""))
	p := start(t, nil, "run", "-c", path)
	gate := listen(t, p.broker(t), "gate")
	session := gate.await(t, 3)[0].Session
	looks := func(detector string) {
		t.Helper()
		eventually(t, "the camera is looked at by "+detector, func() bool {
			m := gate.messages()
			return m[len(m)-1].Detector == detector
		})
	}
	looks("one")
	replace(t, path, site(one+", broken: {model: /nowhere.onnx}", ", detector: one"))
	p.await(t, "detector not started.*nowhere")
	replace(t, path, site(one+", "+other, ", detector: other"))
	p.await(t, "detector added.*detector=other")
	looks("other")
	replace(t, path, site(other, "")) // it is the default one now
	p.await(t, "detector removed.*detector=one")
	eventually(t, "the one that went is told of no more", func() bool {
		_, body := get(t, p.page(t)+"/readyz")
		return !strings.Contains(body, `"one"`) && strings.Contains(body, `"other"`)
	})
	seen := len(gate.messages())
	eventually(t, "frames that name no detector are looked at", func() bool { return len(gate.messages()) > seen+3 })
	looks("other")
	if m := gate.messages(); m[len(m)-1].Session != session {
		t.Error("the camera was connected anew")
	}
	if code := p.stop(t); code != exitDone {
		t.Errorf("exit code %d", code)
	}
}

// TestChangedConfigurationTouchesChangedCamerasOnly: one camera goes on in its session while others come, change and go.
func TestChangedConfigurationTouchesChangedCamerasOnly(t *testing.T) {
	clip, path := scene(t, "10"), filepath.Join(t.TempDir(), "site.yaml")
	site := func(cameras ...string) string {
		return "bus: {listen: \"127.0.0.1:0\"}\nhttp: {listen: \"127.0.0.1:0\"}\ndetectors: {default: {model: " + tiny(t) + "}}\n" +
			"cameras:\n  steady: {source: " + clip + ", loop: true}\n" + strings.Join(cameras, "")
	}
	camera := func(name, more string) string {
		return "  " + name + ": {source: " + clip + ", loop: true" + more + "}\n"
	}
	replace(t, path, site(camera("leaving", ""), camera("changing", "")))
	p := start(t, nil, "run", "-c", path)
	broker := p.broker(t)
	p.await(t, "camera is online.*changing")
	steady, changing := listen(t, broker, "steady"), listen(t, broker, "changing")
	steady.await(t, 5)
	before := changing.await(t, 1)[0].Session

	replace(t, path, site("  coming: {source: ftp://nowhere}\n"))
	p.await(t, "changed configuration is refused.*cameras.coming.source")

	replace(t, path, site(camera("changing", ", fps: 5"), camera("coming", "")))
	p.await(t, "configuration read again.*cameras=3")
	listen(t, broker, "coming").await(t, 3)
	eventually(t, "the changed camera has another session", func() bool {
		m := changing.messages()
		return m[len(m)-1].Session != before
	})
	if _, body := get(t, p.page(t)+"/readyz"); strings.Contains(body, "leaving") {
		t.Errorf("a camera that left the configuration is still here: %s", body)
	}
	seen := len(steady.messages())
	for _, m := range steady.await(t, seen+5) {
		if m.Session != steady.messages()[0].Session {
			t.Error("a camera that did not change was connected anew")
			break
		}
	}
	if code := p.stop(t); code != exitDone {
		t.Errorf("exit code %d", code)
	}
}
