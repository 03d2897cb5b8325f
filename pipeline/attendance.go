package pipeline

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/sightline/sightline/pipeline/bus"
)

// absentAfter is three missed states of a detector.
const absentAfter = 15 * time.Second

// attendance is what the owner of cameras knows of detectors: which of them run, by the states that they publish. It is safe for
// concurrent use.
type attendance struct {
	began time.Time

	mu   sync.Mutex           // protects what follows
	seen map[string]time.Time // by the name in frames; "": of those that take frames without one
}

func newAttendance() *attendance {
	return &attendance{began: time.Now(), seen: map[string]time.Time{}}
}

// hear notes the state of a detector. One that tells no name takes frames that name none.
func (a *attendance) hear(s *bus.Status, now time.Time) {
	if s.Role != string(RoleDetect) {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if s.Detector == nil || s.Detector.Default {
		a.seen[""] = now
	}
	if s.Detector != nil && (len(a.seen) < 2*maxDetectors || !a.seen[s.Detector.Name].IsZero()) {
		a.seen[s.Detector.Name] = now
	}
}

// missing tells whether nobody runs a detector.
func (a *attendance) missing(detector string, now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	last := a.seen[detector]
	if last.Before(a.began) {
		last = a.began
	}
	return now.Sub(last) > absentAfter
}

// attend tells, until ctx ends, of cameras whose frames nobody looks at: they are dropped by age, which nobody would see.
func (p *process) attend(ctx context.Context) error {
	states, err := p.conn.SubscribeStatus("*", func(s *bus.Status) { p.attendance.hear(s, time.Now()) })
	if err != nil {
		return fmt.Errorf("hear of detectors: %w", err)
	}
	defer states.Close()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	told := map[string][]string{} // cameras by the detector that is missing
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-tick.C:
			told = p.tellMissing(told, now)
		}
	}
}

// tellMissing says what changed against what was told before, and returns what is told now.
func (p *process) tellMissing(before map[string][]string, now time.Time) map[string][]string {
	missing := map[string][]string{}
	for _, c := range p.cameras() {
		name := c.Detector()
		if !p.attendance.missing(name, now) {
			c.SetConcern("")
			continue
		}
		c.SetConcern(fmt.Sprintf("nobody runs its detector, %s", p.detectorName(name)))
		missing[name] = append(missing[name], c.Name())
	}
	for name, cameras := range missing {
		if !slices.Equal(cameras, before[name]) {
			p.log.Warn("nobody looks at the frames of these cameras: start a process with --roles detect and this detector",
				"detector", p.detectorName(name), "cameras", cameras)
		}
	}
	for name := range before {
		if missing[name] == nil {
			p.log.Info("all cameras of this detector are looked at", "detector", p.detectorName(name))
		}
	}
	return missing
}
