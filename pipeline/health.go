package pipeline

import "net/http"

// healthz says that the process lives.
func (p *process) healthz(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, map[string]string{"status": "ok"})
}

// readiness is the answer of /readyz.
type readiness struct {
	Ready   bool              `json:"ready"`
	Bus     string            `json:"bus"`
	Roles   Roles             `json:"roles"`
	Model   string            `json:"model,omitempty"`
	Cameras map[string]string `json:"cameras,omitempty"`
}

// readyz says whether the process does its work. A camera that is away is told but does not make the process unready: nothing
// that restarts this process would bring it back.
func (p *process) readyz(w http.ResponseWriter, _ *http.Request) {
	r := readiness{Ready: p.conn.Connected(), Bus: "disconnected", Roles: p.roles, Cameras: map[string]string{}}
	if r.Ready {
		r.Bus = "connected"
	}
	if p.detector != nil {
		r.Model = p.detector.Engine().Spec().ID()
	}
	for _, c := range p.cameras() {
		r.Cameras[c.Name()] = string(c.Stats().State)
	}
	status := http.StatusOK
	if !r.Ready {
		status = http.StatusServiceUnavailable
	}
	writeJSON(w, status, r)
}
