package pipeline

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/sightline/sightline/detect/onnx"
	"github.com/sightline/sightline/detect/track"
	"github.com/sightline/sightline/pipeline/bus"
	"github.com/sightline/sightline/pipeline/strict"
)

// Validate expands secrets and checks every value. The error is of type strict.Faults.
func (c *Config) Validate() error {
	if faults := c.problems(); len(faults) > 0 {
		return faults
	}
	return nil
}

// checker gathers faults under one key.
type checker struct{ faults strict.Faults }

func (c *checker) that(ok bool, key, format string, args ...any) {
	if !ok {
		c.faults = append(c.faults, strict.Fault{Key: key, Text: fmt.Sprintf(format, args...)})
	}
}

func (c *checker) oneOf(key, value string, words ...string) {
	c.that(slices.Contains(words, value), key, "must be one of %s", strings.Join(words, ", "))
}

// secret replaces {ENV_NAME} by the environment's value.
func (c *checker) secret(key string, value *string) {
	*value = secretName.ReplaceAllStringFunc(*value, func(match string) string {
		name := match[1 : len(match)-1]
		v, ok := os.LookupEnv(name)
		c.that(ok, key, "environment variable %s is not set", name)
		return v
	})
}

var secretName = regexp.MustCompile(`\{[A-Z][A-Z0-9_]*\}`)

func (c *Config) problems() strict.Faults {
	var k checker
	c.checkBus(&k)
	c.checkHTTP(&k)
	checkFrames(&k, "frames", c.Frames)
	checkTiles(&k, "tiles", c.Tiles)
	c.checkDetectors(&k)
	checkObjects(&k, "objects", c.Objects)
	k.that(c.Tracks.StationaryAfter >= Duration(time.Second) && c.Tracks.StationaryAfter <= Duration(24*time.Hour), "tracks.stationary_after", "must be 1s to 24h")
	c.checkSinks(&k)
	k.oneOf("log.level", c.Log.Level, "debug", "info", "warn", "error")
	k.oneOf("log.format", c.Log.Format, "text", "json")
	c.checkCameras(&k)
	return k.faults
}

func (c *Config) checkBus(k *checker) {
	k.secret("bus.url", &c.Bus.URL)
	if c.Bus.URL != "" {
		u, err := url.Parse(c.Bus.URL)
		k.that(err == nil && slices.Contains([]string{"nats", "tls", "ws", "wss"}, u.Scheme) && u.Host != "",
			"bus.url", "must look like nats://host:4222 (or tls://, ws://, wss://)")
	}
	k.that(c.Bus.Listen == "" || loopback(c.Bus.Listen), "bus.listen",
		"the embedded broker has no accounts: it must listen on loopback, such as 127.0.0.1:4222; run a nats-server and set bus.url for more")
	_, err := bus.NewSubjects(c.Bus.Prefix)
	k.that(err == nil, "bus.prefix", "%v", err)
	k.that(c.Bus.StoreBytes >= 1<<20, "bus.store_bytes", "must be at least 1048576")
}

func (c *Config) checkHTTP(k *checker) {
	k.secret("http.token", &c.HTTP.Token)
	_, _, err := net.SplitHostPort(c.HTTP.Listen)
	k.that(err == nil, "http.listen", "must be address:port, such as 127.0.0.1:8889")
	k.that(err != nil || c.HTTP.Token != "" || loopback(c.HTTP.Listen), "http.listen",
		"listening beyond loopback needs http.token, such as token: \"{SIGHTLINE_TOKEN}\"")
	k.that(c.HTTP.Token == "" || len(c.HTTP.Token) >= 16, "http.token", "must have at least 16 characters")
}

// loopback tells whether an address can be reached from this host only.
func loopback(listen string) bool {
	host, _, err := net.SplitHostPort(listen)
	ip := net.ParseIP(host)
	return err == nil && (host == "localhost" || ip != nil && ip.IsLoopback())
}

func checkFrames(k *checker, key string, f FramesConfig) {
	k.oneOf(key+".transport", f.Transport, "auto", "shm", "jpeg")
	k.that(f.JPEGQuality >= 1 && f.JPEGQuality <= 100, key+".jpeg_quality", "must be 1 to 100")
}

func checkTiles(k *checker, key string, t TilesConfig) {
	k.oneOf(key+".policy", t.Policy, string(bus.PolicyOff), string(bus.PolicyGrid), string(bus.PolicyAdaptive))
	k.that(t.Size >= 64 && t.Size <= 4096, key+".size", "must be 64 to 4096 pixels")
	k.that(t.Overlap >= 0 && t.Overlap <= 0.9, key+".overlap", "must be 0 to 0.9 of the size")
	k.that(t.Budget >= 1 && t.Budget < bus.MaxRegions, key+".budget", "must be 1 to %d tiles", bus.MaxRegions-1)
	k.that(t.Sweep >= Duration(time.Second) && t.Sweep <= Duration(time.Hour), key+".sweep", "must be 1s to 1h")
	k.that(len(t.Regions) <= bus.MaxFixed, key+".regions", "must be at most %d; found %d", bus.MaxFixed, len(t.Regions))
	for _, name := range slices.Sorted(maps.Keys(t.Regions)) {
		_, ok := t.Regions[name].box()
		k.that(bus.ValidateCamera(name) == nil, key+".regions."+name, "a name must match [A-Za-z0-9_-]{1,64}")
		k.that(ok, key+".regions."+name+".coordinates", "must be points x, y from 0 to 1 with the region between them, such as two corners")
	}
}

func (c *Config) checkDetectors(k *checker) {
	k.that(len(c.Detectors) >= 1 && len(c.Detectors) <= maxDetectors, "detectors", "must hold 1 to %d detectors; found %d", maxDetectors, len(c.Detectors))
	for _, name := range slices.Sorted(maps.Keys(c.Detectors)) {
		d, key := c.Detectors[name], "detectors."+name
		k.that(bus.ValidateCamera(name) == nil, key, "a name must match [A-Za-z0-9_-]{1,64}")
		checkDevices(k, key+".device", d.Device)
		k.that(d.Workers >= WorkersAuto && d.Workers <= 256, key+".workers", "must be auto, or 0 (one per processor) to 256")
		k.that(d.MaxBatchSize >= 1 && d.MaxBatchSize <= 256, key+".max_batch_size", "must be 1 to 256")
		k.that(d.MaxQueueDelay >= 0 && d.MaxQueueDelay <= Duration(1e9), key+".max_queue_delay", "must be 0s to 1s")
		k.that(d.MinScore > 0 && d.MinScore <= 1, key+".min_score", "must be above 0 and at most 1")
	}
}

func checkDevices(k *checker, key string, devices Devices) {
	k.that(len(devices) > 0, key, "must name a device, or a list of them in order of preference")
	for i, device := range devices {
		_, err := onnx.ParseDevice(device)
		if device == "" {
			err = errors.New("must not be empty")
		}
		k.that(err == nil, key, "%v", err)
		k.that(!slices.Contains(devices[:i], device), key, "%.40q is there twice", device)
	}
}

func checkObjects(k *checker, key string, o ObjectsConfig) {
	for _, label := range slices.Sorted(maps.Keys(o.Filters)) {
		f, key := o.Filters[label], key+".filters."+label
		k.that(f.MinScore >= 0 && f.MinScore <= 1, key+".min_score", "must be 0 to 1")
		k.that(f.MinArea >= 0, key+".min_area", "must not be negative")
		k.that(f.MaxArea == 0 || f.MaxArea >= f.MinArea, key+".max_area", "must be 0 (no limit) or at least min_area")
	}
}

func (c *Config) checkSinks(k *checker) {
	a := c.Sinks.Annotated
	k.that(a.MaxWidth >= 64 && a.MaxWidth <= 4096, "sinks.annotated.max_width", "must be 64 to 4096 pixels")
	k.that(a.MaxHeight >= 64 && a.MaxHeight <= 4096, "sinks.annotated.max_height", "must be 64 to 4096 pixels")
	s := c.Sinks.Snapshots
	k.that(s.MaxBytes == 0 || s.MaxBytes >= 1<<20, "sinks.snapshots.max_bytes", "must be 0 (none are kept) or at least 1048576")
	k.that(s.Height >= 16 && s.Height <= 4320, "sinks.snapshots.height", "must be 16 to 4320 pixels")
	k.that(s.Quality >= 1 && s.Quality <= 100, "sinks.snapshots.quality", "must be 1 to 100")
}

func (c *Config) checkCameras(k *checker) {
	for _, name := range slices.Sorted(maps.Keys(c.Cameras)) {
		cam, key := c.Cameras[name], "cameras."+name
		k.that(bus.ValidateCamera(name) == nil, key, "a camera's name must match [A-Za-z0-9_-]{1,64}")
		k.secret(key+".source", &cam.Source)
		c.Cameras[name] = cam
		fault := sourceFault(cam.Source)
		k.that(fault == "", key+".source", "%s", fault)
		fault = c.detectorFault(cam.Detector)
		k.that(fault == "", key+".detector", "%s", fault)
		k.oneOf(key+".pace", cam.Pace, "realtime", "fast")
		k.that(cam.FPS >= 0 && cam.FPS <= 1000, key+".fps", "must be 0 (every frame) to 1000")
		checkFrames(k, key+".frames", cam.Frames)
		checkTiles(k, key+".tiles", cam.Tiles)
		checkObjects(k, key+".objects", cam.Objects)
		c.checkTracked(k, key+".objects.track", cam.Objects.Track)
		checkScene(k, key, cam)
	}
}

// checkTracked refuses labels of a camera that no detector reports.
func (c *Config) checkTracked(k *checker, key string, labels []string) {
	err := track.ValidateLabels(labels)
	k.that(err == nil, key, "%v", err)
	for _, label := range labels {
		k.that(len(c.Objects.Track) == 0 || slices.Contains(c.Objects.Track, label), key, "%.40q is not in the global objects.track", label)
	}
}

// sourceFault tells what is wrong with a source, "" for nothing. It repeats no more than the scheme: the rest may be secret.
func sourceFault(source string) string {
	const must = "must be rtsp://…, rtsps://…, http(s)://…/whep, whip, or the path of a file"
	scheme, _, found := strings.Cut(source, "://")
	switch u, err := url.Parse(source); {
	case source == "":
		return must
	case !found:
		return ""
	case !slices.Contains([]string{"rtsp", "rtsps", "http", "https"}, scheme):
		return fmt.Sprintf("is of scheme %.20q: %s", scheme, must)
	case err != nil || u.Host == "":
		return "is no address: " + must
	}
	return ""
}

// AddSources adds a camera for every source of the command line, named after the file or host.
func (c *Config) AddSources(sources []string) {
	if c.Cameras == nil {
		c.Cameras = make(map[string]CameraConfig, len(sources))
	}
	for _, source := range sources {
		cam := defaultCamera(*c)
		cam.Source = source
		c.Cameras[c.freeName(source)] = cam
	}
}

// unsafeName is whatever may not stand in a camera's name.
var unsafeName = regexp.MustCompile(`[^A-Za-z0-9_-]+`)

func (c *Config) freeName(source string) string {
	name := strings.TrimSuffix(filepath.Base(source), filepath.Ext(source))
	if u, err := url.Parse(source); err == nil && u.Host != "" {
		name = u.Hostname()
	}
	name = strings.Trim(unsafeName.ReplaceAllString(name, "-"), "-")
	name = name[:min(len(name), 60)]
	if name == "" {
		name = "camera"
	}
	for free, i := name, 2; ; i++ {
		if _, taken := c.Cameras[free]; !taken {
			return free
		}
		free = fmt.Sprintf("%s-%d", name, i)
	}
}
