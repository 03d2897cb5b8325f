package pipeline

import (
	"net/http"
	"time"
)

// healthz says that the process lives.
func (p *process) healthz(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, map[string]string{"status": "ok"})
}

// readiness is the answer of /readyz.
type readiness struct {
	Ready   bool              `json:"ready"`
	Bus     string            `json:"bus"`
	Roles   Roles             `json:"roles"`
	Cameras map[string]string `json:"cameras,omitempty"`
	// Detectors are those of this process.
	Detectors map[string]detectorInfo `json:"detectors,omitempty"`
	// Unattended cameras' frames are looked at by nobody: the detector that they are for does not run.
	Unattended map[string]string `json:"unattended,omitempty"`
}

// detectorInfo is what a detector of this process runs.
type detectorInfo struct {
	Model  string `json:"model"`
	Device string `json:"device"`
	// Fallback says why that is not the first device of the configuration.
	Fallback string `json:"fallback,omitempty"`
}

// readyz says whether the process does its work. A camera that is away is told but does not make the process unready: nothing
// that restarts this process would bring it back.
func (p *process) readyz(w http.ResponseWriter, _ *http.Request) {
	r := readiness{Ready: p.conn.Connected(), Bus: "disconnected", Roles: p.roles, Cameras: map[string]string{},
		Detectors: map[string]detectorInfo{}, Unattended: map[string]string{}}
	if r.Ready {
		r.Bus = "connected"
	}
	for _, d := range p.detectors.list() {
		engine := d.worker.Engine()
		r.Detectors[d.name] = detectorInfo{engine.Spec().ID(), engine.Device(), engine.Fallback()}
	}
	for _, c := range p.cameras() {
		r.Cameras[c.Name()] = string(c.Stats().State)
		if p.attendance.missing(c.Detector(), time.Now()) {
			r.Unattended[c.Name()] = p.detectorName(c.Detector())
		}
	}
	status := http.StatusOK
	if !r.Ready {
		status = http.StatusServiceUnavailable
	}
	writeJSON(w, status, r)
}
