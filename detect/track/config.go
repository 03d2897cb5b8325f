package track

import (
	"fmt"
	"time"
)

// Config says when objects of several frames are one track. A field that is zero has its default.
type Config struct {
	High        float32       // objects with this score or more extend any track and begin new ones; DefaultHigh
	Low         float32       // objects between Low and High only extend tracks that the last look saw; DefaultLow
	MinHits     int           // a track is told of when it was seen in so many frames; DefaultMinHits
	Lost        time.Duration // a track that was not seen for longer has ended, if all looks since were in vain; DefaultLost
	Carry       time.Duration // and after this in any case, where nobody looked at its place meanwhile; DefaultCarry
	UpdateEvery time.Duration // shortest time between two updates of a track; DefaultUpdateEvery
	Stationary  time.Duration // a track that was seen in one place for so long is stationary; DefaultStationary
	MaxTracks   int           // of a camera at one time, at most 256; DefaultMaxTracks
	Forget      time.Duration // a camera that was silent for so long is forgotten; DefaultForget
}

// Defaults of Config.
const (
	DefaultHigh        = 0.5
	DefaultLow         = 0.1
	DefaultMinHits     = 3
	DefaultLost        = 2 * time.Second
	DefaultCarry       = 30 * time.Second
	DefaultUpdateEvery = time.Second
	DefaultStationary  = 10 * time.Second
	DefaultMaxTracks   = maxTracks
	DefaultForget      = 10 * time.Minute
)

// maxTracks of one camera. Ids rely on it: see firstID.
const maxTracks = 256

// Validate tells the first field that is out of its range. Zero is in range: it means the default.
func (c Config) Validate() error {
	c = c.withDefaults()
	switch {
	case !(c.High > 0 && c.High <= 1):
		return fmt.Errorf("high %v: must be above 0 and at most 1", c.High)
	case !(c.Low > 0 && c.Low <= c.High):
		return fmt.Errorf("low %v: must be above 0 and at most high (%v)", c.Low, c.High)
	case c.MinHits < 1:
		return fmt.Errorf("min hits %d: must be at least 1", c.MinHits)
	case c.Carry < c.Lost:
		return fmt.Errorf("carry %v: must be at least lost (%v)", c.Carry, c.Lost)
	case c.Lost < 0 || c.UpdateEvery < 0 || c.Stationary < 0 || c.Forget < 0:
		return fmt.Errorf("lost %v, update every %v, stationary %v, forget %v: must not be negative", c.Lost, c.UpdateEvery, c.Stationary, c.Forget)
	case c.MaxTracks < 1 || c.MaxTracks > maxTracks:
		return fmt.Errorf("max tracks %d: must be from 1 to %d", c.MaxTracks, maxTracks)
	}
	return nil
}

func (c Config) withDefaults() Config {
	c.High = or(c.High, DefaultHigh)
	c.Low = or(c.Low, min(DefaultLow, c.High))
	c.MinHits = or(c.MinHits, DefaultMinHits)
	c.Lost = or(c.Lost, DefaultLost)
	c.Carry = or(c.Carry, max(DefaultCarry, c.Lost))
	c.UpdateEvery = or(c.UpdateEvery, DefaultUpdateEvery)
	c.Stationary = or(c.Stationary, DefaultStationary)
	c.MaxTracks = or(c.MaxTracks, DefaultMaxTracks)
	c.Forget = or(c.Forget, DefaultForget)
	return c
}

func or[T comparable](value, otherwise T) T {
	var zero T
	if value == zero {
		return otherwise
	}
	return value
}
