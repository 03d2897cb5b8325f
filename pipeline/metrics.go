package pipeline

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/sightline/sightline/ingest"
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

	detectFrames  = counter("detect_frames_total", "Frames detected and published.")
	detectRegions = counter("detect_regions_total", "Regions that went through the network.")
	detectObjects = counter("detect_objects_total", "Objects published.")
	detectDropped = counter("detect_dropped_total", "Frames not detected, by reason.", "reason")

	sinksViewers  = gauge("sinks_viewers", "WHEP sessions now.")
	sinksPictures = counter("sinks_pictures_total", "Annotated pictures encoded.")
	sinksDropped  = counter("sinks_dropped_total", "Pictures not shown, by reason.", "reason")

	busConnected = gauge("bus_connected", "Whether the broker is reachable.")
)

// snapshots reads the workers' counters when Prometheus asks.
type snapshots struct{ p *process }

// Describe sends nothing: the collector is unchecked, since roles differ from process to process.
func (s snapshots) Describe(chan<- *prometheus.Desc) {}

// Collect sends one sample for everything that the roles of this process count.
func (s snapshots) Collect(ch chan<- prometheus.Metric) {
	send := func(m metric, value float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(m.desc, m.kind, value, labels...)
	}
	send(busConnected, truth(s.p.conn.Connected()))
	s.cameras(send)
	if s.p.detector != nil {
		stats := s.p.detector.Stats()
		send(detectFrames, float64(stats.Frames))
		send(detectRegions, float64(stats.Regions))
		send(detectObjects, float64(stats.Objects))
		send(detectDropped, float64(stats.Stale), "stale")
		send(detectDropped, float64(stats.Bad), "bad")
		send(detectDropped, float64(stats.Failed), "publish")
	}
	if s.p.sinks != nil {
		stats := s.p.sinks.Stats()
		send(sinksViewers, float64(stats.Viewers))
		send(sinksPictures, float64(stats.Pictures))
		send(sinksDropped, float64(stats.Skipped), "no_detections")
		send(sinksDropped, float64(stats.Unreadable), "unreadable")
		send(sinksDropped, float64(stats.Dropped), "slow_viewer")
	}
}

func (s snapshots) cameras(send func(metric, float64, ...string)) {
	for _, c := range s.p.cameras {
		name, stats := c.Name(), c.Stats()
		send(cameraUp, truth(stats.State == ingest.StateOnline), name)
		send(cameraFPS, stats.FPS, name)
		send(cameraFrames, float64(stats.Frames), name)
		send(cameraReconnects, float64(stats.Reconnects), name)
		send(cameraDecode, stats.DecodeTotal.Seconds(), name)
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
