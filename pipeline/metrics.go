package pipeline

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/sightline/sightline/detect/track"
	"github.com/sightline/sightline/ingest"
	"github.com/sightline/sightline/pipeline/bus"
)

// metrics serves Prometheus metrics. The workers count by themselves and know nothing of Prometheus: their snapshots are read
// at each scrape.
func (p *process) metrics() http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		snapshots{p},
	)
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4})
}

// metric describes one family of samples.
type metric struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
}

func counter(name, help string, labels ...string) metric {
	return metric{prometheus.NewDesc("sightline_"+name, help, labels, nil), prometheus.CounterValue}
}

func gauge(name, help string, labels ...string) metric {
	return metric{prometheus.NewDesc("sightline_"+name, help, labels, nil), prometheus.GaugeValue}
}

var (
	cameraUp         = gauge("camera_up", "Whether the camera is online.", "camera")
	cameraFPS        = gauge("camera_frames_per_second", "Frames published, over the last seconds.", "camera")
	cameraFrames     = counter("camera_frames_total", "Frames published.", "camera")
	cameraDropped    = counter("camera_dropped_total", "Frames not published, by reason.", "camera", "reason")
	cameraReconnects = counter("camera_reconnects_total", "Connections after the first.", "camera")
	cameraDecode     = counter("camera_decode_seconds_total", "Time spent decoding published frames.", "camera")
	cameraCPU        = counter("camera_decode_cpu_seconds_total", "Processor time that decoding took, without that of a decoder's own threads (threads above 1).", "camera")
	cameraUnattended = gauge("camera_unattended", "Whether nobody runs the detector that the camera's frames are for.", "camera", "detector")

	detectInfo      = gauge("detect_info", "1, with what the detector runs.", "detector", "model", "device")
	detectFallback  = gauge("detect_fallback", "Whether the detector runs on another device than the first of its configuration.", "detector")
	detectWorkers   = gauge("detect_workers", "Sessions of the network.", "detector")
	detectFrames    = counter("detect_frames_total", "Frames detected and published.", "detector")
	detectRegions   = counter("detect_regions_total", "Regions that were looked at.", "detector")
	detectPixels    = counter("detect_input_pixels_total", "Pixels of the network's input that this took: what inference costs goes with them.", "detector")
	detectCPU       = counter("detect_network_cpu_seconds_total", "Processor time that the network took, without that of further threads of a session; it begins anew with another model.", "detector")
	detectObjects   = counter("detect_objects_total", "Objects published.", "detector")
	detectChecks    = counter("detect_checks_total", "Times that a session was asked about a picture whose answer is known.", "detector")
	detectFaults    = counter("detect_session_faults_total", "Sessions that did not come back (hung) or answered otherwise than when they were new (poisoned).", "detector", "fault")
	detectReplaced  = counter("detect_sessions_replaced_total", "Sessions that took the place of a faulty one.", "detector")
	detectAbandoned = gauge("detect_sessions_abandoned", "Hung sessions that have not come back yet.", "detector")
	detectDropped   = counter("detect_dropped_total", "Frames not detected, by reason.", "detector", "reason")

	sinksViewers  = gauge("sinks_viewers", "WHEP sessions now.")
	sinksPictures = counter("sinks_pictures_total", "Annotated pictures encoded.")
	sinksDropped  = counter("sinks_dropped_total", "Pictures not shown, by reason.", "reason")

	snapshotsKept    = gauge("snapshots", "Best pictures of tracks that are kept.")
	snapshotsBytes   = gauge("snapshots_bytes", "Memory that they take.")
	snapshotsDropped = counter("snapshots_dropped_total", "Best pictures of tracks that were given up or could not be had, by reason.", "reason")

	trackCameras = gauge("track_cameras", "Cameras followed now.")
	trackFrames  = counter("track_frames_total", "Frames tracked and published.")
	trackEvents  = counter("track_events_total", "Events published.")
	trackDropped = counter("track_dropped_total", "Frames not tracked, by reason.", "reason")

	tracksActive  = gauge("tracks_active", "Tracks that have begun and not ended, without stationary ones.", "camera", "label")
	tracksRest    = gauge("tracks_stationary", "Tracks that stand in one place.", "camera", "label")
	zoneObjects   = gauge("zone_objects", "Tracks that have entered the zone and not left.", "camera", "zone")
	lineCrossings = counter("line_crossings_total", "Crossings of the line since it was first configured, also in former processes.", "camera", "line", "direction")

	ndjsonLines   = counter("ndjson_lines_total", "Detections written to the file.")
	ndjsonDropped = counter("ndjson_dropped_total", "Detections not written because the disk was too slow.")

	busConnected  = gauge("bus_connected", "Whether the broker is reachable.")
	busReconnects = counter("bus_reconnects_total", "Connections to the broker after the first.")
	busPublished  = counter("bus_published_total", "Messages published, by kind.", "kind")
	busReceived   = counter("bus_received_total", "Messages received.")
	busDropped    = counter("bus_dropped_total", "Messages lost in bounded queues, by place.", "place")
	busMalformed  = counter("bus_malformed_total", "Received messages that break the contract.")
)

// snapshots reads the workers' counters when Prometheus asks.
type snapshots struct{ p *process }

// Describe sends nothing: the collector is unchecked, since roles differ from process to process.
func (s snapshots) Describe(chan<- *prometheus.Desc) {}

// Collect sends one sample for everything that the roles of this process count.
func (s snapshots) Collect(ch chan<- prometheus.Metric) {
	var send sender = func(m metric, value float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(m.desc, m.kind, value, labels...)
	}
	s.bus(send)
	s.cameras(send)
	s.detectors(send)
	s.tracker(send)
	s.sinks(send)
}

// sender takes one sample with the values of its labels.
type sender func(m metric, value float64, labels ...string)

func (s snapshots) bus(send sender) {
	stats := s.p.conn.Stats()
	send(busConnected, truth(stats.Connected))
	send(busReconnects, float64(stats.Reconnects))
	send(busPublished, float64(stats.FramesPublished), "frames")
	send(busPublished, float64(stats.MessagesPublished), "messages")
	send(busReceived, float64(stats.Received))
	send(busDropped, float64(stats.FramesDropped), "frames")
	send(busDropped, float64(stats.MessagesDropped), "messages")
	send(busDropped, float64(stats.ReceivedDropped+stats.SlowConsumer), "received")
	send(busMalformed, float64(stats.Malformed))
}

func (s snapshots) detectors(send sender) {
	for _, d := range s.p.detectors.list() {
		stats, engine := d.worker.Stats(), d.worker.Engine()
		send(detectInfo, 1, d.name, engine.Spec().ID(), engine.Device())
		send(detectFallback, truth(engine.Fallback() != ""), d.name)
		send(detectWorkers, float64(engine.Workers()), d.name)
		send(detectFrames, float64(stats.Frames), d.name)
		send(detectRegions, float64(stats.Regions), d.name)
		send(detectPixels, float64(stats.Pixels), d.name)
		send(detectCPU, engine.ProcessorTime().Seconds(), d.name)
		send(detectObjects, float64(stats.Objects), d.name)
		h := engine.Health()
		send(detectChecks, float64(h.Checks), d.name)
		send(detectFaults, float64(h.Hung), d.name, "hung")
		send(detectFaults, float64(h.Poisoned), d.name, "poisoned")
		send(detectReplaced, float64(h.Replaced), d.name)
		send(detectAbandoned, float64(h.Abandoned), d.name)
		send(detectDropped, float64(stats.Stale), d.name, "stale")
		send(detectDropped, float64(stats.Bad), d.name, "bad")
		send(detectDropped, float64(stats.Failed), d.name, "publish")
	}
}

func (s snapshots) tracker(send sender) {
	if s.p.tracker != nil {
		stats := s.p.tracker.Stats()
		send(trackCameras, float64(stats.Cameras))
		send(trackFrames, float64(stats.Frames))
		send(trackEvents, float64(stats.Events))
		send(trackDropped, float64(stats.Late), "late")
		send(trackDropped, float64(stats.Failed), "publish")
		for _, c := range s.p.tracker.CameraStats() {
			sendCensus(send, c)
		}
	}
}

func sendCensus(send sender, c track.CameraStats) {
	for label, n := range c.Active {
		send(tracksActive, float64(n), c.Camera, label)
	}
	for label, n := range c.Stationary {
		send(tracksRest, float64(n), c.Camera, label)
	}
	for zone, n := range c.Zones {
		send(zoneObjects, float64(n), c.Camera, zone)
	}
	for line, counts := range c.Lines {
		send(lineCrossings, float64(counts.In), c.Camera, line, string(bus.DirectionIn))
		send(lineCrossings, float64(counts.Out), c.Camera, line, string(bus.DirectionOut))
	}
}

func (s snapshots) sinks(send sender) {
	if s.p.ndjson != nil {
		send(ndjsonLines, float64(s.p.ndjson.Written()))
		send(ndjsonDropped, float64(s.p.ndjson.Dropped()))
	}
	if s.p.sinks != nil {
		stats := s.p.sinks.Stats()
		send(sinksViewers, float64(stats.Viewers))
		send(sinksPictures, float64(stats.Pictures))
		send(sinksDropped, float64(stats.Skipped), "no_detections")
		send(sinksDropped, float64(stats.Unreadable), "unreadable")
		send(sinksDropped, float64(stats.Dropped), "slow_viewer")
		send(snapshotsKept, float64(stats.Kept))
		send(snapshotsBytes, float64(stats.KeptBytes))
		send(snapshotsDropped, float64(stats.KeptDropped), "memory")
		send(snapshotsDropped, float64(stats.KeptMissed), "late")
	}
}

func (s snapshots) cameras(send sender) {
	for _, c := range s.p.cameras() {
		name, stats := c.Name(), c.Stats()
		send(cameraUnattended, truth(s.p.attendance.missing(c.Detector(), time.Now())), name, s.p.detectorName(c.Detector()))
		send(cameraUp, truth(stats.State == ingest.StateOnline), name)
		send(cameraFPS, stats.FPS, name)
		send(cameraFrames, float64(stats.Frames), name)
		send(cameraReconnects, float64(stats.Reconnects), name)
		send(cameraDecode, stats.DecodeTotal.Seconds(), name)
		send(cameraCPU, stats.DecodeCPU.Seconds(), name)
		for reason, n := range stats.Dropped {
			send(cameraDropped, float64(n), name, reason)
		}
	}
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
