package pipeline

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/sightline/sightline/pipeline/bus"
)

// TestCamerasWithoutADetectorHaveTheDefaultOne: the only one, whatever it is called, or the one called default.
func TestCamerasWithoutADetectorHaveTheDefaultOne(t *testing.T) {
	for text, want := range map[string]string{
		"": "default", "detectors: {fast: {}}": "fast", "detectors: {default: {}, big: {}}": "default", "detectors: {big: {}, small: {}}": "",
	} {
		cfg, err := Parse("x.yml", []byte(text))
		if err != nil || cfg.DefaultDetector() != want {
			t.Errorf("%s: %q, %v", text, cfg.DefaultDetector(), err)
		}
	}
	cfg, err := Parse("x.yml", []byte("detectors: {default: {}, big: {min_score: 0.7}}\ncameras: {gate: {source: a.mp4, detector: big}, yard: {source: b.mp4}}"))
	if err != nil {
		t.Fatal(err)
	}
	for name, score := range map[string]float32{"big": 0.7, "": 0.4, "default": 0.4} {
		if d, err := cfg.Detector(name); err != nil || d.MinScore != score {
			t.Errorf("%q: %+v, %v", name, d, err)
		}
	}
	if _, err := cfg.Detector("bgi"); err == nil || !strings.Contains(err.Error(), `"bgi"; there are: big, default`) {
		t.Errorf("%v", err)
	}
	Overrides{Model: "m.onnx"}.Apply(&cfg, nil)
	if cfg.Detectors["default"].Model != "m.onnx" || cfg.Detectors["big"].Model != "" {
		t.Errorf("the model of the command line is that of %+v", cfg.Detectors)
	}
}

func TestAChangeOfTheDetectorTouchesNoStream(t *testing.T) {
	a := CameraConfig{Source: "a.mp4", Detector: "big"}
	if b := a; !a.sameStream(CameraConfig{Source: "a.mp4"}) || b.Detector != "big" {
		t.Error("another detector alone makes another stream")
	}
}

func TestAbsentDetectorsAreNoticed(t *testing.T) {
	a, now := newAttendance(), time.Now()
	missing := func(names ...string) (list []string) {
		for _, name := range names {
			if a.missing(name, now) {
				list = append(list, name)
			}
		}
		return list
	}
	if m := missing("", "big"); m != nil {
		t.Errorf("missing at once: %q", m)
	}
	now = now.Add(absentAfter + time.Second)
	a.hear(&bus.Status{Role: "ingest", ID: "big"}, now)
	a.hear(&bus.Status{Role: "detect", Detector: &bus.DetectorStatus{Name: "big"}}, now)
	if m := missing("", "big", "small"); strings.Join(m, "|") != "|small" {
		t.Errorf("missing %q, want the default one and small", m)
	}
	a.hear(&bus.Status{Role: "detect", Detector: &bus.DetectorStatus{Name: "small", Default: true}}, now)
	if m := missing("", "big", "small"); m != nil {
		t.Errorf("missing %q", m)
	}
	now = now.Add(absentAfter + time.Second)
	a.hear(&bus.Status{Role: "detect"}, now) // of a version that knows no names
	if m := missing("", "big"); strings.Join(m, "|") != "big" {
		t.Errorf("missing %q, want big, which went away", m)
	}
}

// TestLabelsMayBeThoseOfOneDetectorOnly, but not of none.
func TestLabelsMayBeThoseOfOneDetectorOnly(t *testing.T) {
	const tiny, person = "../detect/testdata/tiny.onnx", "../models/yolox-nano-416x320-int8.onnx"
	for labels, want := range map[string]string{"red, person": "", "red": "", "unicorn, red": "unicorn"} {
		cfg, err := Parse("x.yml", []byte("objects: {track: ["+labels+"]}\ndetectors: {a: {model: "+tiny+", workers: 1}, b: {model: "+person+", workers: 1}}"))
		if err != nil {
			t.Fatal(err)
		}
		var log strings.Builder
		p := &process{cfg: cfg, log: slog.New(slog.NewTextHandler(&log, nil))}
		err = p.openDetectors(t.Context())
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", labels, err)
		}
		if nothing := strings.Contains(log.String(), "reports nothing"); nothing != !strings.Contains(labels, "person") {
			t.Errorf("%s: the log says %s", labels, &log)
		}
		p.close()
	}
}
