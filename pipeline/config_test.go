package pipeline

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestShippedConfigurationEqualsTheDefaults(t *testing.T) {
	got, err := Load(filepath.Join("..", "configs", "default.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	want := Default()
	want.Objects = ObjectsConfig{Track: []string{}, Filters: map[string]FilterConfig{}}
	want.Cameras = map[string]CameraConfig{}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("configs/default.yaml differs from Default:\n got %+v\nwant %+v", got, want)
	}
}

// TestBadConfigurations reads testdata/*.bad.yml; each file says in `# want:` lines which faults it must cause, in order.
func TestBadConfigurations(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("testdata", "*.bad.yml"))
	if err != nil || len(files) < 10 {
		t.Fatalf("found %d bad configurations, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var want []string
			for line := range strings.Lines(string(data)) {
				if text, ok := strings.CutPrefix(line, "# want: "); ok {
					want = append(want, "x.yml:"+strings.TrimSpace(text))
				}
			}
			_, err = Parse("x.yml", data)
			if err == nil {
				t.Fatal("was accepted")
			}
			if got := err.Error(); got != strings.Join(want, "\n") {
				t.Errorf("faults:\n%s\nwant:\n%s", got, strings.Join(want, "\n"))
			}
		})
	}
}

func TestCamerasInheritGlobalSections(t *testing.T) {
	cfg, err := Parse("x.yml", []byte(`
cameras:
  gate: {source: "rtsp://camera.example/1", tiles: {overlap: 0}}
tiles: {policy: grid, size: 512}
`))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := cfg.Cameras["gate"].Tiles, (TilesConfig{"grid", 512, 0, 5, Duration(5 * time.Second), map[string]RegionConfig{}}); !reflect.DeepEqual(got, want) {
		t.Errorf("tiles of the camera are %+v, want %+v", got, want)
	}
}

func TestFramesTravelForPicturesOnlyWhereTheyMay(t *testing.T) {
	s := Default().Sinks.Snapshots
	if s.bytes(true) != s.MaxBytes || s.bytes(false) != 0 {
		t.Errorf("%d bytes beside the broker, %d far from it", s.bytes(true), s.bytes(false))
	}
	s.OverNetwork = true
	if s.bytes(false) != s.MaxBytes {
		t.Errorf("%d bytes far from the broker where frames may travel", s.bytes(false))
	}
}

func TestSecretsComeFromTheEnvironment(t *testing.T) {
	t.Setenv("GATE_PASSWORD", "S3cr3t!")
	cfg, err := Parse("x.yml", []byte(`cameras: {gate: {source: "rtsp://user:{GATE_PASSWORD}@camera.example/1"}}`))
	if err != nil {
		t.Fatal(err)
	}
	if got := cfg.Cameras["gate"].Source; got != "rtsp://user:S3cr3t!@camera.example/1" {
		t.Errorf("source is %q", got)
	}
}

func TestFaultsDoNotRepeatValues(t *testing.T) {
	_, err := Parse("x.yml", []byte("http: {token: S3cr3t!}\ncameras: {gate: {source: \"ftp://u:S3cr3t!@camera.example\"}}\n"))
	if err == nil || strings.Contains(err.Error(), "S3cr3t!") {
		t.Errorf("error is %v", err)
	}
}

func TestSourcesOfTheCommandLineGetNames(t *testing.T) {
	cfg := Default()
	cfg.AddSources([]string{"a b/clip one.mp4", "rtsp://10.0.0.7/stream", "x/clip one.avi", "..."})
	for name, source := range map[string]string{
		"clip-one": "a b/clip one.mp4", "10-0-0-7": "rtsp://10.0.0.7/stream", "clip-one-2": "x/clip one.avi", "camera": "...",
	} {
		if cfg.Cameras[name].Source != source {
			t.Errorf("camera %s has source %q, want %q", name, cfg.Cameras[name].Source, source)
		}
	}
	if err := cfg.Validate(); err != nil {
		t.Error(err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("cameras: {gate: {source: a.mp4}}"))
	f.Add([]byte("a: &a [*a]"))
	f.Add([]byte("detectors:\n  x: {max_queue_delay: 1}\n? [1]\n: 2"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if _, err := Parse("x.yml", data); err != nil && err.Error() == "" {
			t.Error("an error without words")
		}
	})
}
