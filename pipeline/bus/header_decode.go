package bus

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

const (
	maxHeaderValue = 512
	maxRegionsText = MaxRegions * len("16384,16384,16384,16384;")
)

// DecodeHeader reads a frame from NATS headers and a body, which the frame keeps. Known headers must occur once and be
// exact; unknown ones are passed over, since fields are added within a version. The frame returned is valid.
func DecodeHeader(header map[string][]string, body []byte) (*Frame, error) {
	r := headerReader{header: header}
	if schema := r.text(headerSchema); r.err == nil && schema != SchemaFrame {
		return nil, fmt.Errorf("header %s: %.40q is not %q", headerSchema, schema, SchemaFrame)
	}
	f := &Frame{
		Camera: r.text(headerCamera), Session: r.text(headerSession), Seq: r.number(headerSeq, 64),
		CapturedAt: r.time(headerCapturedAt), Clock: Clock(r.text(headerClock)), RTPTimestamp: uint32(r.number(headerRTP, 32)),
		Width: int(r.number(headerWidth, 16)), Height: int(r.number(headerHeight, 16)), Encoding: Encoding(r.text(headerEncoding)),
		Policy: PolicyOff, Body: body,
	}
	r.optional(f)
	if r.err != nil {
		return nil, r.err
	}
	if err := f.Validate(); err != nil {
		return nil, fmt.Errorf("frame headers: %w", err)
	}
	return f, nil
}

// headerReader keeps the first error, so that a frame reads in one expression.
type headerReader struct {
	header map[string][]string
	err    error
}

// optional reads what may be missing.
func (r *headerReader) optional(f *Frame) {
	if r.has(headerRef) {
		f.Ref = r.text(headerRef)
	}
	if r.has(headerPolicy) {
		f.Policy = Policy(r.text(headerPolicy))
	}
	if r.has(headerRegions) {
		f.Regions = r.regions()
	}
	if r.has(headerOf) {
		f.Of = int(r.number(headerOf, 16))
	}
	if r.has(headerCoverageAge) {
		f.CoverageAge = r.millis(headerCoverageAge)
	}
	if r.has(headerDropped) {
		f.Dropped = int(r.number(headerDropped, 41))
	}
	if r.has(headerDecode) {
		f.Decode = r.millis(headerDecode)
	}
	if r.has(headerPublishedAt) {
		f.PublishedAt = r.time(headerPublishedAt)
	}
	if r.has(headerDetector) {
		f.Detector = r.text(headerDetector)
	}
}

func (r *headerReader) has(name string) bool { return len(r.header[name]) > 0 }

func (r *headerReader) fail(name string, err error) {
	if r.err == nil {
		r.err = fmt.Errorf("header %s: %w", name, err)
	}
}

func (r *headerReader) text(name string) string { return r.limited(name, maxHeaderValue) }

func (r *headerReader) limited(name string, limit int) string {
	values := r.header[name]
	if len(values) != 1 {
		r.fail(name, fmt.Errorf("must occur once, is there %d times", len(values)))
		return ""
	}
	if len(values[0]) > limit {
		r.fail(name, fmt.Errorf("%d characters, must be at most %d", len(values[0]), limit))
		return ""
	}
	return values[0]
}

func (r *headerReader) number(name string, bits int) uint64 {
	v, err := parseNumber(r.text(name), bits)
	if err != nil {
		r.fail(name, err)
	}
	return v
}

func (r *headerReader) time(name string) time.Time {
	text := r.text(name)
	t, err := time.Parse(time.RFC3339Nano, text)
	if err == nil && !strings.HasSuffix(text, "Z") {
		err = errors.New("must be UTC, ending in Z")
	}
	if err == nil {
		err = validateTime("time", t)
	}
	if err != nil {
		r.fail(name, fmt.Errorf("%.40q: %w", text, err))
	}
	return t.UTC()
}

func (r *headerReader) millis(name string) time.Duration {
	text := r.text(name)
	whole, fraction, _ := strings.Cut(text, ".")
	if len(fraction) != 3 {
		r.fail(name, fmt.Errorf("%.40q: must be milliseconds with three decimals", text))
		return 0
	}
	ms, err := parseNumber(whole, 32)
	if err != nil {
		r.fail(name, err)
		return 0
	}
	us, err := strconv.ParseUint(fraction, 10, 16)
	if err != nil {
		r.fail(name, fmt.Errorf("%.40q: must be milliseconds with three decimals", text))
	}
	return time.Duration(ms)*time.Millisecond + time.Duration(us)*time.Microsecond
}

func (r *headerReader) regions() []Region {
	text := r.limited(headerRegions, maxRegionsText)
	count := strings.Count(text, ";") + 1
	if r.err != nil || count > MaxRegions {
		r.fail(headerRegions, fmt.Errorf("%d regions, must be at most %d", count, MaxRegions))
		return nil
	}
	regions := make([]Region, 0, count)
	for part := range strings.SplitSeq(text, ";") {
		region, err := parseRegion(part)
		if err != nil {
			r.fail(headerRegions, err)
			return nil
		}
		regions = append(regions, region)
	}
	return regions
}

func parseRegion(text string) (Region, error) {
	var v [4]int
	rest := text
	for i := range v {
		part, after, more := strings.Cut(rest, ",")
		if more != (i < len(v)-1) {
			return Region{}, fmt.Errorf("%.40q: must be x,y,w,h", text)
		}
		n, err := parseNumber(part, 16)
		if err != nil {
			return Region{}, err
		}
		v[i], rest = int(n), after
	}
	return Region{v[0], v[1], v[2], v[3]}, nil
}

// parseNumber accepts exactly the decimal text that strconv writes: no sign, no leading zero.
func parseNumber(text string, bits int) (uint64, error) {
	if text == "" || text[0] < '0' || text[0] > '9' || text[0] == '0' && len(text) > 1 {
		return 0, fmt.Errorf("%.40q: must be a whole number", text)
	}
	v, err := strconv.ParseUint(text, 10, bits)
	if err != nil {
		return 0, fmt.Errorf("%.40q: must be a whole number below 2^%d", text, bits)
	}
	return v, nil
}
