package track

import (
	"math"

	"github.com/sightline/sightline/pipeline/bus"
)

// What is known of how things move, in sizes of the thing (the square root of its area) and seconds: a walking person covers
// about one of its sizes a second, a car in a street a few. Everything scales with the size, so near and far behave alike.
const (
	measureError  = 0.06 // standard deviation of a detected coordinate, sizes
	firstSpeed    = 2.0  // standard deviation of a speed that nothing is known of, sizes a second
	firstGrowth   = 0.5  // the same of the growth of width and height
	unrest        = 1.0  // spectral density of acceleration, sizes² a second³
	unrestGrowth  = 0.1  // the same of width and height
	smallestSize  = 1.0  // pixels; keeps every variance above zero
	growthMemory  = 1.0  // seconds after which a growth that is no longer seen is forgotten to a third
	chiSquare99   = 9.21 // of two degrees of freedom: where 99 of 100 true pairs lie
	farthest      = 2.5  // sizes that a thing may lie beside its prediction, whatever the uncertainty
	differentSize = 2.0  // factor of width or height from which on two boxes are not one thing
)

// axis is a Kalman filter of one coordinate with constant velocity: state (x, v), covariance (xx, xv, vv). Four of them are
// the usual filter of eight states exactly, because its noise does not couple coordinates.
type axis struct{ x, v, xx, xv, vv float64 }

func newAxis(x, deviation, speed float64) axis {
	return axis{x: x, xx: deviation * deviation, vv: speed * speed}
}

// predict moves the state dt seconds on; q is the spectral density of the acceleration.
func (a *axis) predict(dt, q float64) {
	a.x += a.v * dt
	a.xx += 2*dt*a.xv + dt*dt*a.vv + q*dt*dt*dt/3
	a.xv += dt*a.vv + q*dt*dt/2
	a.vv += q * dt
}

// correct takes in the measurement z of variance r > 0.
func (a *axis) correct(z, r float64) {
	s := a.xx + r
	kx, kv := a.xx/s, a.xv/s
	d := z - a.x
	a.x += kx * d
	a.v += kv * d
	a.vv -= kv * a.xv
	a.xv -= kx * a.xv
	a.xx -= kx * a.xx
}

// motion is what is believed of a box and its change.
type motion struct{ cx, cy, w, h axis }

// newMotion begins at a box that validBox holds of.
func newMotion(b bus.Box) motion {
	cx, cy, w, h := centre(b)
	size := math.Max(math.Sqrt(w*h), smallestSize)
	e := measureError * size
	return motion{
		cx: newAxis(cx, e, firstSpeed*size), cy: newAxis(cy, e, firstSpeed*size),
		w: newAxis(w, e, firstGrowth*size), h: newAxis(h, e, firstGrowth*size),
	}
}

func (m *motion) size() float64 {
	return math.Max(math.Sqrt(math.Max(m.w.x, 0)*math.Max(m.h.x, 0)), smallestSize)
}

// predict moves the belief dt seconds on, 0 ≤ dt.
func (m *motion) predict(dt float64) {
	s := m.size()
	m.cx.predict(dt, unrest*s*s)
	m.cy.predict(dt, unrest*s*s)
	m.w.predict(dt, unrestGrowth*s*s)
	m.h.predict(dt, unrestGrowth*s*s)
	fade := math.Exp(-dt / growthMemory)
	m.w.v *= fade
	m.h.v *= fade
	m.w.x, m.h.x = math.Max(m.w.x, smallestSize), math.Max(m.h.x, smallestSize)
}

// halt forgets all speed.
func (m *motion) halt() { m.cx.v, m.cy.v, m.w.v, m.h.v = 0, 0, 0, 0 }

// correct takes in a detected box that validBox holds of.
func (m *motion) correct(b bus.Box) {
	cx, cy, w, h := centre(b)
	r := measureError * m.size()
	r *= r
	m.cx.correct(cx, r)
	m.cy.correct(cy, r)
	m.w.correct(w, r)
	m.h.correct(h, r)
}

// box is the believed box after dt more seconds; it may reach beyond the frame.
func (m *motion) box(dt float64) bus.Box {
	cx, cy := m.cx.x+m.cx.v*dt, m.cy.x+m.cy.v*dt
	w, h := math.Max(m.w.x+m.w.v*dt, smallestSize), math.Max(m.h.x+m.h.v*dt, smallestSize)
	return bus.Box{float32(cx - w/2), float32(cy - h/2), float32(cx + w/2), float32(cy + h/2)}
}

// distance is the squared Mahalanobis distance of a box from the belief; false where they cannot be one thing.
func (m *motion) distance(b bus.Box) (float64, bool) {
	cx, cy, w, h := centre(b)
	if factor(w, m.w.x) > differentSize || factor(h, m.h.x) > differentSize {
		return 0, false
	}
	s := m.size()
	dx, dy := cx-m.cx.x, cy-m.cy.x
	if dx*dx+dy*dy > farthest*farthest*s*s {
		return 0, false
	}
	r := measureError * measureError * s * s
	d := dx*dx/(m.cx.xx+r) + dy*dy/(m.cy.xx+r)
	return d, d < chiSquare99
}

// factor is how many times the larger one is larger.
func factor(a, b float64) float64 { return math.Max(a, b) / math.Max(math.Min(a, b), smallestSize/2) }
