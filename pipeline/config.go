// Package pipeline assembles the roles: configuration, one process's life, health and metrics.
package pipeline

import (
	"os"
	"path/filepath"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/sightline/sightline/detect/track"
)

// Config is the whole configuration of one process. configs/default.yaml explains every key; a test holds it equal to
// Default.
type Config struct {
	Bus         BusConfig                 `yaml:"bus"`
	HTTP        HTTPConfig                `yaml:"http"`
	Frames      FramesConfig              `yaml:"frames"`
	Tiles       TilesConfig               `yaml:"tiles"`
	ONNXRuntime ONNXRuntimeConfig         `yaml:"onnxruntime"`
	Detectors   map[string]DetectorConfig `yaml:"detectors"`
	Objects     ObjectsConfig             `yaml:"objects"`
	Tracks      TracksConfig              `yaml:"tracks"`
	Sinks       SinksConfig               `yaml:"sinks"`
	Log         LogConfig                 `yaml:"log"`
	Cameras     map[string]CameraConfig   `yaml:"cameras"`
}

// BusConfig says where the broker is. An empty URL embeds one in this process.
type BusConfig struct {
	URL         string `yaml:"url"`
	Listen      string `yaml:"listen"`
	DataDir     string `yaml:"data_dir"`
	Prefix      string `yaml:"prefix"`
	Credentials string `yaml:"credentials"`
	StoreBytes  int64  `yaml:"store_bytes"`
}

// HTTPConfig says where the page, WHEP, WHIP, metrics and health are served.
type HTTPConfig struct {
	Listen string `yaml:"listen"`
	Token  string `yaml:"token"`
}

// FramesConfig says how pixels travel from ingest to detect and sinks; a camera may override it.
type FramesConfig struct {
	Transport   string `yaml:"transport"`
	JPEGQuality int    `yaml:"jpeg_quality"`
}

// TilesConfig says how closely frames are looked at; a camera may override it.
type TilesConfig struct {
	Policy  string   `yaml:"policy"`
	Size    int      `yaml:"size"`
	Overlap float64  `yaml:"overlap"`
	Budget  int      `yaml:"budget"`
	Sweep   Duration `yaml:"sweep"`
	// Regions by name are looked at in each frame, whatever the policy.
	Regions map[string]RegionConfig `yaml:"regions"`
}

// ONNXRuntimeConfig names the inference library where it is not found by itself.
type ONNXRuntimeConfig struct {
	Library string `yaml:"library"`
}

// DetectorConfig is one detector: a model and how it runs; its name is the key in the map.
type DetectorConfig struct {
	Model         string   `yaml:"model"`
	Device        Devices  `yaml:"device"`
	Workers       Workers  `yaml:"workers"`
	MaxBatchSize  int      `yaml:"max_batch_size"`
	MaxQueueDelay Duration `yaml:"max_queue_delay"`
	MinScore      float32  `yaml:"min_score"`
}

// ObjectsConfig says which objects are reported.
type ObjectsConfig struct {
	Track   []string                `yaml:"track"`
	Filters map[string]FilterConfig `yaml:"filters"`
}

// FilterConfig drops objects of one label; areas are in pixels of the frame, 0 means no limit.
type FilterConfig struct {
	MinScore float32 `yaml:"min_score"`
	MinArea  float32 `yaml:"min_area"`
	MaxArea  float32 `yaml:"max_area"`
}

// TracksConfig says what is told of tracks.
type TracksConfig struct {
	StationaryAfter Duration `yaml:"stationary_after"`
}

// SinksConfig says where detections and pictures go beside the bus.
type SinksConfig struct {
	NDJSON    string          `yaml:"ndjson"`
	Annotated AnnotatedConfig `yaml:"annotated"`
	Snapshots SnapshotsConfig `yaml:"snapshots"`
}

// SnapshotsConfig bounds the best pictures of tracks that are kept in memory.
type SnapshotsConfig struct {
	MaxBytes    int64 `yaml:"max_bytes"`
	Height      int   `yaml:"height"`
	Quality     int   `yaml:"quality"`
	OverNetwork bool  `yaml:"over_network"`
}

// AnnotatedConfig bounds the annotated video in pixels.
type AnnotatedConfig struct {
	MaxWidth  int `yaml:"max_width"`
	MaxHeight int `yaml:"max_height"`
}

// LogConfig says what is logged to stderr, and in which form.
type LogConfig struct {
	Level  string `yaml:"level"`
	Format string `yaml:"format"`
}

// CameraConfig is one camera; its name is the key in the map.
type CameraConfig struct {
	Source   string       `yaml:"source"`
	Detector string       `yaml:"detector"`
	Loop     bool         `yaml:"loop"`
	Pace     string       `yaml:"pace"`
	FPS      float64      `yaml:"fps"`
	Frames   FramesConfig `yaml:"frames"`
	Tiles    TilesConfig  `yaml:"tiles"`
	// What follows is for the role track. Objects takes away from what the global section lets through.
	Objects ObjectsConfig         `yaml:"objects"`
	Zones   map[string]ZoneConfig `yaml:"zones"`
	Lines   map[string]LineConfig `yaml:"lines"`
	Masks   map[string]MaskConfig `yaml:"masks"`
}

// Devices are what a network may run on, the first that can be used: in the file a text, or a list of them.
type Devices []string

// UnmarshalYAML reads one device, or a list of them in order of preference.
func (d *Devices) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		var one string
		err := n.Decode(&one)
		*d = Devices{one}
		return err
	}
	return n.Decode((*[]string)(d))
}

// Duration is a time.Duration written as text, such as 10ms.
type Duration time.Duration

// UnmarshalText reads text such as 10ms or 2s.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	*d = Duration(v)
	return err
}

// MarshalText writes what UnmarshalText reads.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// Default is the configuration of a process that was told nothing.
func Default() Config {
	return Config{
		Bus:       BusConfig{Listen: "127.0.0.1:4222", DataDir: defaultDataDir(), Prefix: "sightline", StoreBytes: 1 << 30},
		HTTP:      HTTPConfig{Listen: "127.0.0.1:8889"},
		Frames:    FramesConfig{Transport: "auto", JPEGQuality: 90},
		Tiles:     TilesConfig{Policy: "adaptive", Size: 640, Overlap: 0.2, Budget: 5, Sweep: Duration(5 * time.Second), Regions: map[string]RegionConfig{}},
		Detectors: map[string]DetectorConfig{"default": defaultDetector()},
		Tracks:    TracksConfig{StationaryAfter: Duration(track.DefaultStationary)},
		Sinks:     SinksConfig{Annotated: AnnotatedConfig{MaxWidth: 1280, MaxHeight: 720}, Snapshots: SnapshotsConfig{MaxBytes: 64 << 20, Height: 720, Quality: 85}},
		Log:       LogConfig{Level: "info", Format: "text"},
	}
}

func defaultDetector() DetectorConfig {
	return DetectorConfig{Device: Devices{"cpu"}, Workers: WorkersAuto, MaxBatchSize: 8, MaxQueueDelay: Duration(5 * time.Millisecond), MinScore: 0.4}
}

func defaultCamera(c Config) CameraConfig {
	return CameraConfig{Pace: "realtime", Frames: c.Frames, Tiles: c.Tiles}
}

// defaultDataDir follows the XDG convention; root's services use /var/lib.
func defaultDataDir() string {
	if dir := os.Getenv("XDG_DATA_HOME"); dir != "" {
		return filepath.Join(dir, "sightline")
	}
	if home, err := os.UserHomeDir(); err == nil {
		return filepath.Join(home, ".local", "share", "sightline")
	}
	return filepath.Join(string(filepath.Separator), "var", "lib", "sightline")
}
