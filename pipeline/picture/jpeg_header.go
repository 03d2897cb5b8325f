package picture

import (
	"bytes"
	"errors"
	"fmt"
)

// defaultMaxPixels is the largest picture that is decoded unless told otherwise.
const defaultMaxPixels = 40_000_000

// maxScans bounds the passes over a JPEG: each costs as much as a whole picture, and a few bytes can ask for one.
// Progressive encoders write about ten.
const maxScans = 100

// JPEGLimits bounds what a JPEG may ask for. Its header is checked before anything is allocated.
type JPEGLimits struct {
	MaxPixels int // 0 means 40 million
}

func (l JPEGLimits) check(w, h int) error {
	limit := l.MaxPixels
	if limit <= 0 {
		limit = defaultMaxPixels
	}
	switch {
	case w <= 0 || h <= 0:
		return fmt.Errorf("size is %dx%d", w, h)
	case w > maxSide || h > maxSide:
		return fmt.Errorf("size is %dx%d, at most %d a side are taken", w, h, maxSide)
	case w*h > limit:
		return fmt.Errorf("size is %dx%d, at most %d pixels are taken", w, h, limit)
	}
	return nil
}

// Markers of a JPEG, the byte after 0xFF.
const (
	markerSOF0 = 0xC0 // baseline
	markerSOF1 = 0xC1 // extended
	markerSOF2 = 0xC2 // progressive
	markerDHT  = 0xC4
	markerJPG  = 0xC8
	markerDAC  = 0xCC
	markerRST0 = 0xD0
	markerSOI  = 0xD8
	markerEOI  = 0xD9
	markerSOS  = 0xDA
	markerTEM  = 0x01
)

var (
	errNoJPEG    = errors.New("does not begin as a JPEG")
	errTruncated = errors.New("is truncated")
)

// checkJPEGHeader reads the markers up to the first scan and tells why a JPEG is not decoded. What it lets through
// libjpeg-turbo checks again.
func checkJPEGHeader(data []byte, limits JPEGLimits) error {
	if len(data) < 4 || data[0] != 0xFF || data[1] != markerSOI {
		return errNoJPEG
	}
	var frame []byte // the frame header's payload
	progressive := false
	for rest := data[2:]; ; {
		marker, segment, after, err := nextSegment(rest)
		if err != nil {
			return err
		}
		rest = after
		switch {
		case marker == markerSOS && frame == nil:
			return errors.New("has a scan before its frame header")
		case marker == markerSOS:
			return checkScans(data, segment, frame, progressive)
		case isFrameHeader(marker):
			if err := checkFrame(marker, segment, limits); err != nil {
				return err
			}
			frame, progressive = segment, marker == markerSOF2
		}
	}
}

// nextSegment returns the next marker with its payload. Bytes between segments are skipped, as all decoders do.
func nextSegment(data []byte) (marker byte, payload, rest []byte, err error) {
	for {
		i := bytes.IndexByte(data, 0xFF)
		if i < 0 || i+1 >= len(data) {
			return 0, nil, nil, errTruncated
		}
		marker, data = data[i+1], data[i+1:]
		switch {
		case marker == 0xFF: // fill
			continue
		case marker == 0 || marker == markerTEM || (marker >= markerRST0 && marker < markerSOI):
			data = data[1:]
			continue
		case marker == markerSOI:
			return 0, nil, nil, errors.New("holds a second beginning")
		case marker == markerEOI:
			return 0, nil, nil, errors.New("ends before its first scan")
		}
		data = data[1:]
		if len(data) < 2 {
			return 0, nil, nil, errTruncated
		}
		n := int(data[0])<<8 | int(data[1])
		if n < 2 || n > len(data) {
			return 0, nil, nil, errTruncated
		}
		return marker, data[2:n], data[n:], nil
	}
}

func isFrameHeader(marker byte) bool {
	return marker >= markerSOF0 && marker <= 0xCF && marker != markerDHT && marker != markerJPG && marker != markerDAC
}

// checkFrame checks a frame header: bits a sample, height, width, number of components, three bytes for each.
func checkFrame(marker byte, segment []byte, limits JPEGLimits) error {
	switch {
	case marker > markerSOF2:
		return fmt.Errorf("is coded in a way that is not taken (marker FF%02X: lossless, hierarchical or arithmetic)", marker)
	case len(segment) < 6 || len(segment) < 6+3*int(segment[5]):
		return errTruncated
	case segment[0] != 8:
		return fmt.Errorf("has %d bits a sample, only 8 are taken", segment[0])
	}
	if n := segment[5]; n != 1 && n != 3 {
		return fmt.Errorf("has %d colour components (CMYK has 4), only grey and YCbCr are taken", n)
	}
	return limits.check(int(segment[3])<<8|int(segment[4]), int(segment[1])<<8|int(segment[2]))
}

// checkScans counts the scans of a JPEG that has several.
func checkScans(data, scan, frame []byte, progressive bool) error {
	if len(scan) < 1 {
		return errTruncated
	}
	if !progressive && scan[0] == frame[5] {
		return nil // all components in one
	}
	if n := bytes.Count(data, []byte{0xFF, markerSOS}); n > maxScans {
		return fmt.Errorf("has %d scans, at most %d are taken", n, maxScans)
	}
	return nil
}
