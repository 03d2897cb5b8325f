package sinks

import (
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sightline/sightline/pipeline/bus"
)

const (
	maxCameras  = 4096             // known at once; more names than any site has are somebody's mistake
	rateSpan    = 10 * time.Second // frame rates are measured over this
	rateSamples = 64
	staleAfter  = 15 * time.Second // three missed states of an ingest worker, or scenes of a tracker
	insideStay  = 5 * time.Second  // how long the numbers of objects in zones count without tracks
)

// cameras is what this process knows of every camera, by listening. Safe for concurrent use.
type cameras struct {
	now func() time.Time

	mu     sync.Mutex // guards what follows
	byName map[string]*camera
}

type camera struct {
	state, cause string
	stateAt      time.Time // zero: never heard of
	statedFPS    float64   // as its owner counts; 0: it does not say
	size         bus.Size
	detector     string
	model        string
	latency      float64 // ms, smoothed
	origin       origin  // of what is counted
	objects      int
	counts       map[string]int
	scene        *bus.Scene // nil before the first
	sceneAt      time.Time
	inside       map[string]int // objects by zone, of the newest tracks
	session      string
	seq          uint64
	dropped      uint64
	updated      time.Time
	samples      [rateSamples]sample // of the current session
	seen         int
}

type sample struct {
	at, captured time.Time
	seq          uint64
}

func newCameras(names []string) *cameras {
	c := &cameras{now: time.Now, byName: make(map[string]*camera)}
	for _, n := range names {
		c.get(n)
	}
	return c
}

// get returns the camera of that name, made where it is new, or nil where there are too many.
func (c *cameras) get(name string) *camera {
	k := c.byName[name]
	if k == nil && len(c.byName) < maxCameras && bus.ValidateCamera(name) == nil {
		k = &camera{state: "unknown", counts: map[string]int{}, inside: map[string]int{}}
		c.byName[name] = k
	}
	return k
}

// known says whether a camera of that name was configured or heard of.
func (c *cameras) known(name string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, ok := c.byName[name]
	return ok
}

func (c *cameras) onStatus(s *bus.Status) {
	if s.Role != "ingest" {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if k := c.get(s.ID); k != nil {
		k.state, k.cause = s.State, s.Cause
		k.statedFPS = s.Counters["fps"]
		k.stateAt = c.now()
		k.updated = k.stateAt
	}
}

func (c *cameras) onEvent(e *bus.Event) {
	state := ""
	switch e.Type {
	case bus.EventCameraOnline:
		state = "online"
	case bus.EventCameraOffline:
		state = "offline"
	default:
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if k := c.get(e.Camera); k != nil {
		k.state, k.cause = state, e.Cause
		k.stateAt = c.now()
		k.updated = k.stateAt
	}
}

func (c *cameras) onDetections(d *bus.Detections) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := c.get(d.Camera)
	if k == nil {
		return
	}
	k.add(d, c.now())
}

func (k *camera) add(d *bus.Detections, now time.Time) {
	k.updated = now
	took := max(0, float64(now.Sub(d.CapturedAt))/1e6)
	switch {
	case d.Session != k.session:
		k.session, k.seq, k.seen, k.latency = d.Session, d.Seq, 0, took
	case d.Seq <= k.seq:
		return // detectors overtake each other; the newest is known already
	default:
		k.dropped += d.Seq - k.seq - 1
		k.seq = d.Seq
		k.latency += (took - k.latency) / 16
	}
	k.samples[k.seen%rateSamples] = sample{now, d.CapturedAt, d.Seq}
	k.seen++
	k.size, k.detector, k.model = d.Frame, d.Detector, d.Model
	if k.origin.detections(d, now) {
		k.count(detected(d))
	}
}

func (c *cameras) onTracks(t *bus.Tracks) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := c.byName[t.Camera]
	if k == nil {
		return
	}
	k.enter(t)
	if k.origin.tracked(c.now()) {
		k.count(tracked(t))
	}
}

// enter counts the objects in zones.
func (k *camera) enter(t *bus.Tracks) {
	clear(k.inside)
	for i := range t.Objects {
		for _, zone := range t.Objects[i].Zones {
			k.inside[zone]++
		}
	}
}

func (c *cameras) onScene(s *bus.Scene) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if k := c.get(s.Camera); k != nil {
		k.scene, k.sceneAt = s, c.now()
	}
}

// places gives what is to be drawn of a camera's scene.
func (c *cameras) places(name string, p *places) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p.scene, p.inside = nil, p.inside[:0]
	if k := c.byName[name]; k != nil {
		p.scene, p.inside = k.places(c.now(), p.inside)
	}
}

// places gives the scene, nil where the tracker has been silent, and appends the number of objects by zone, -1 where none is known.
func (k *camera) places(now time.Time, inside []int) (*bus.Scene, []int) {
	if k.scene == nil || now.Sub(k.sceneAt) > staleAfter {
		return nil, inside
	}
	for i := range k.scene.Zones {
		n := -1
		if now.Sub(k.origin.tracks) <= insideStay {
			n = k.inside[k.scene.Zones[i].Name]
		}
		inside = append(inside, n)
	}
	return k.scene, inside
}

func (k *camera) count(f *finding) {
	k.objects = len(f.objects)
	clear(k.counts)
	for i := range f.objects {
		k.counts[f.objects[i].Label]++
	}
}

// rates are captured and detected frames a second over the last rateSpan.
func (k *camera) rates(now time.Time) (captured, detected float64) {
	n := min(k.seen, rateSamples)
	if n < 2 {
		return k.freshFPS(now), 0
	}
	newest := k.samples[(k.seen-1)%rateSamples]
	if now.Sub(newest.at) > rateSpan {
		return k.freshFPS(now), 0
	}
	oldest := newest
	count := 0
	for i := 2; i <= n; i++ {
		s := k.samples[(k.seen-i)%rateSamples]
		if now.Sub(s.at) > rateSpan {
			break
		}
		oldest = s
		count++
	}
	if span := newest.at.Sub(oldest.at).Seconds(); span > 0 {
		detected = float64(count) / span
	}
	if captured = k.freshFPS(now); captured == 0 {
		if span := newest.captured.Sub(oldest.captured).Seconds(); span > 0 {
			captured = float64(newest.seq-oldest.seq) / span
		}
	}
	return captured, detected
}

func (k *camera) freshFPS(now time.Time) float64 {
	if now.Sub(k.stateAt) > staleAfter || k.statedFPS < 0 || math.IsNaN(k.statedFPS) || math.IsInf(k.statedFPS, 0) {
		return 0
	}
	return k.statedFPS
}

// list is every known camera by name. viewers says how many watch each.
func (c *cameras) list(viewers map[string]int) []CameraInfo {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	out := make([]CameraInfo, 0, len(c.byName))
	for name, k := range c.byName {
		out = append(out, k.info(name, viewers[name], now))
	}
	slices.SortFunc(out, func(a, b CameraInfo) int { return strings.Compare(a.Name, b.Name) })
	return out
}

func (k *camera) info(name string, viewers int, now time.Time) CameraInfo {
	i := CameraInfo{Name: name, State: k.state, Cause: k.cause, Width: k.size.Width, Height: k.size.Height,
		Detector: k.detector, Model: k.model, LatencyMS: round1(k.latency), Objects: k.objects, Counts: make(map[string]int, len(k.counts)),
		Dropped: k.dropped, Viewers: viewers, UpdatedAt: k.updated}
	for label, n := range k.counts {
		i.Counts[label] = n
	}
	i.Zones, i.Lines = k.sceneInfo(now)
	captured, detected := k.rates(now)
	i.FPS, i.DetectionFPS = round1(captured), round1(detected)
	if now.Sub(k.stateAt) > staleAfter {
		i.State, i.Cause = "unknown", "its ingest worker has been silent for 15 s"
		if k.stateAt.IsZero() {
			i.Cause = "no ingest worker has told its state yet"
		}
	}
	return i
}

// sceneInfo gives lists that are never nil.
func (k *camera) sceneInfo(now time.Time) ([]ZoneInfo, []LineInfo) {
	zones, lines := []ZoneInfo{}, []LineInfo{}
	scene, inside := k.places(now, nil)
	if scene == nil {
		return zones, lines
	}
	for i := range scene.Zones {
		z := ZoneInfo{Name: scene.Zones[i].Name}
		if n := inside[i]; n >= 0 {
			z.Objects = &n
		}
		zones = append(zones, z)
	}
	for i := range scene.Lines {
		lines = append(lines, LineInfo{Name: scene.Lines[i].Name, Counts: scene.Lines[i].Counts})
	}
	return zones, lines
}

func round1(v float64) float64 { return math.Round(v*10) / 10 }
