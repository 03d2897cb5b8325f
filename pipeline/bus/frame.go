package bus

import (
	"errors"
	"fmt"
	"time"
)

// Limits of a frame. Who receives one checks them before any memory is made for pixels.
const (
	MaxSide    = 16384      // pixels of a frame's width or height
	MaxPixels  = 40_000_000 // pixels of a frame
	MaxRegions = 256        // regions of a frame
)

const (
	maxDecode  = time.Hour
	maxAge     = 24 * time.Hour
	maxDropped = 1 << 40
)

// Validate refuses a frame that breaks a rule of the contract: names, sizes, regions that reach beyond the frame, a
// body and a reference at once. It does not look into the body.
func (f *Frame) Validate() error {
	if err := f.validateOrigin(); err != nil {
		return err
	}
	if err := validateSize(f.Width, f.Height); err != nil {
		return err
	}
	if err := f.Policy.validate(); err != nil {
		return err
	}
	if f.Of < 0 || f.Of > MaxRegions {
		return fmt.Errorf("grid of %d regions: must be between 0 and %d", f.Of, MaxRegions)
	}
	if f.CoverageAge < 0 || f.CoverageAge > maxAge {
		return fmt.Errorf("coverage age %v: must be between 0 and %v", f.CoverageAge, maxAge)
	}
	if f.Dropped < 0 || f.Dropped > maxDropped {
		return fmt.Errorf("dropped %d: must be between 0 and %d", f.Dropped, maxDropped)
	}
	if f.Decode < 0 || f.Decode > maxDecode {
		return fmt.Errorf("decode time %v: must be between 0 and %v", f.Decode, maxDecode)
	}
	if err := f.validateRegions(); err != nil {
		return err
	}
	return f.validateContent()
}

func (f *Frame) validateOrigin() error {
	if err := ValidateCamera(f.Camera); err != nil {
		return err
	}
	if err := validateName("session", f.Session); err != nil {
		return err
	}
	if err := validateTime("captured at", f.CapturedAt); err != nil {
		return err
	}
	if f.Detector != "" {
		if err := validateName("detector", f.Detector); err != nil {
			return err
		}
	}
	return f.Clock.validate()
}

func (f *Frame) validateRegions() error {
	if len(f.Regions) > MaxRegions {
		return fmt.Errorf("%d regions: must be at most %d", len(f.Regions), MaxRegions)
	}
	for i, r := range f.Regions {
		if err := r.validate(f.Width, f.Height); err != nil {
			return fmt.Errorf("region %d: %w", i, err)
		}
	}
	return nil
}

// validate refuses a region that reaches beyond a frame.
func (r Region) validate(width, height int) error {
	if r.X < 0 || r.Y < 0 || r.W <= 0 || r.H <= 0 || r.W > width-r.X || r.H > height-r.Y {
		return fmt.Errorf("(%d,%d %dx%d): must lie inside the frame of %dx%d", r.X, r.Y, r.W, r.H, width, height)
	}
	return nil
}

func (f *Frame) validateContent() error {
	switch f.Encoding {
	case EncodingJPEG:
		if len(f.Body) == 0 || f.Ref != "" {
			return errors.New("encoding jpeg: must have a body and no reference")
		}
		return nil
	case EncodingSHM:
		if len(f.Body) != 0 {
			return errors.New("encoding shm: must have a reference and no body")
		}
		_, err := parseRef(f.Ref)
		return err
	}
	return fmt.Errorf("encoding %.40q: must be jpeg or shm", f.Encoding)
}

func (p Policy) validate() error { return (&p).UnmarshalText([]byte(p)) }

func (c Clock) validate() error { return (&c).UnmarshalText([]byte(c)) }

func validateSize(width, height int) error {
	if width < 1 || height < 1 || width > MaxSide || height > MaxSide || width*height > MaxPixels {
		return fmt.Errorf("frame of %dx%d pixels: sides must be 1 to %d and the area at most %d", width, height, MaxSide, MaxPixels)
	}
	return nil
}

// validateTime keeps times inside what RFC 3339 and 64-bit nanoseconds both express.
func validateTime(what string, t time.Time) error {
	if y := t.UTC().Year(); y < 1970 || y > 2261 {
		return fmt.Errorf("%s: the year %d is not between 1970 and 2261", what, y)
	}
	return nil
}
