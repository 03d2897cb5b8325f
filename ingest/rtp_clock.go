package ingest

import (
	"sync"
	"time"

	"github.com/sightline/sightline/pipeline/bus"
)

// A camera's clock is believed when the capture time it gives is not further than this from the arrival of the picture.
// Anything else is a camera without NTP, or in another time zone, or in 1970: its times would make every latency nonsense.
const (
	maxClockBehind = 10 * time.Second
	maxClockAhead  = time.Second
)

// captureClock turns RTP timestamps into wall-clock time by the sender reports of RTCP. Safe for concurrent use.
type captureClock struct {
	skewed func(ahead time.Duration) // called once, when the sender's clock is first disbelieved; may be nil

	mu     sync.Mutex // protects what follows
	known  bool
	ntp    time.Time // by the newest report
	rtp    uint32    // the RTP timestamp of that moment
	warned bool
}

// report takes a sender report: the 64-bit NTP time and the RTP timestamp of the same moment.
func (c *captureClock) report(ntp uint64, rtp uint32) {
	t, ok := ntpTime(ntp)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.known, c.ntp, c.rtp = ok, t, rtp
}

// at returns when the picture with this timestamp was taken, and by which clock. It is never later than arrived.
func (c *captureClock) at(timestamp uint32, arrived time.Time) (time.Time, bus.Clock) {
	t, ok := c.remote(timestamp)
	if !ok {
		return arrived, bus.ClockArrival
	}
	ahead := t.Sub(arrived)
	if ahead > maxClockAhead || ahead < -maxClockBehind {
		c.warn(ahead)
		return arrived, bus.ClockArrival
	}
	if ahead > 0 {
		t = arrived
	}
	return t, bus.ClockRTCP
}

func (c *captureClock) remote(timestamp uint32) (time.Time, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ntp.Add(ticksToDuration(int64(int32(timestamp - c.rtp)))), c.known //nolint:gosec // the nearest way around
}

func (c *captureClock) warn(ahead time.Duration) {
	c.mu.Lock()
	first := !c.warned
	c.warned = true
	c.mu.Unlock()
	if first && c.skewed != nil {
		c.skewed(ahead)
	}
}

// ntpTime decodes the 64-bit time of a sender report; false is returned for the zero that cameras without a clock send.
func ntpTime(v uint64) (time.Time, bool) {
	const epoch1900 = 2208988800 // seconds from 1900 to 1970
	if v>>32 == 0 {
		return time.Time{}, false
	}
	nanos := (v & 0xffffffff) * uint64(time.Second) >> 32
	seconds := int64(v>>32) - epoch1900 //nolint:gosec // 32 bits
	if v>>63 == 0 {
		seconds += 1 << 32 // the era that begins in 2036
	}
	return time.Unix(seconds, int64(nanos)), true //nolint:gosec // below 1e9
}
