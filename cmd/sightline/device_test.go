package main

import (
	"strings"
	"testing"
)

// TestDevicesThatCannotBeUsed are refused with reason and remedy; where another one is allowed the process runs there and says so. No
// machine has a GPU of this number.
func TestDevicesThatCannotBeUsed(t *testing.T) {
	site := func(device string) string {
		return write(t, "site.yaml", "bus: {listen: \"\"}\nhttp: {listen: \"127.0.0.1:0\"}\ndetectors: {default: {model: "+tiny(t)+", device: "+device+"}}\n"+
			"cameras: {gate: {source: "+scene(t, "10")+", loop: true}}\n")
	}
	refusal{"", []string{"run", "-c", site("cuda:999")}, exitFailed, []string{"detector default", "device cuda:999 cannot be used", "onnxruntime.library"}}.check(t)

	p := start(t, nil, "run", "-c", site("[cuda:999, cpu]"))
	p.await(t, "falls back.*device=cpu wanted=cuda:999")
	eventually(t, "frames are detected", func() bool { return sample(t, p.page(t), `sightline_detect_frames_total{detector="default"}`) > 3 })
	if sample(t, p.page(t), "sightline_detect_fallback") != 1 {
		t.Error("the fallback is not in /metrics")
	}
	if _, body := get(t, p.page(t)+"/readyz"); !strings.Contains(body, `"device":"cpu","fallback":"open model`) {
		t.Errorf("the process tells %s", body)
	}
	if code := p.stop(t); code != exitDone {
		t.Errorf("exit code %d", code)
	}
}
