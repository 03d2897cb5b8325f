package bus

import (
	"strconv"
	"time"
)

// Names of the headers that carry a frame.
const (
	headerSchema      = "Sightline-Schema"
	headerCamera      = "Sightline-Camera"
	headerSession     = "Sightline-Session"
	headerSeq         = "Sightline-Seq"
	headerCapturedAt  = "Sightline-Captured-At"
	headerClock       = "Sightline-Clock"
	headerRTP         = "Sightline-Rtp-Timestamp"
	headerWidth       = "Sightline-Width"
	headerHeight      = "Sightline-Height"
	headerEncoding    = "Sightline-Encoding"
	headerRef         = "Sightline-Ref"
	headerPolicy      = "Sightline-Policy"
	headerRegions     = "Sightline-Regions"
	headerOf          = "Sightline-Of"
	headerCoverageAge = "Sightline-Coverage-Age-Ms"
	headerDropped     = "Sightline-Dropped"
	headerDecode      = "Sightline-Decode-Ms"
	headerPublishedAt = "Sightline-Published-At"
	headerDetector    = "Sightline-Detector"
)

// frameHeaders is the order in which headerWriter lays the values down.
var frameHeaders = [...]string{
	headerSchema, headerCamera, headerSession, headerSeq, headerCapturedAt, headerClock, headerRTP, headerWidth,
	headerHeight, headerEncoding, headerRef, headerPolicy, headerRegions, headerOf, headerCoverageAge,
	headerDropped, headerDecode, headerPublishedAt, headerDetector,
}

// timeLayout is RFC 3339 with all nanoseconds; times are put into UTC first.
const timeLayout = "2006-01-02T15:04:05.000000000Z07:00"

// EncodeHeader gives the NATS headers of a frame. The body travels apart. It does not validate.
func EncodeHeader(f *Frame) map[string][]string {
	var w headerWriter
	return w.encode(f)
}

// headerWriter encodes frame after frame into the same map: one allocation a frame, the text of all values.
type headerWriter struct {
	text   []byte
	ends   [len(frameHeaders)]int
	values [len(frameHeaders)]string
	header map[string][]string
	size   int // bytes of the last header on the wire
}

// encode returns a map that is valid until the next call.
func (w *headerWriter) encode(f *Frame) map[string][]string {
	w.layDown(f)
	if w.header == nil {
		w.header = make(map[string][]string, len(frameHeaders))
	}
	all, from := string(w.text), 0
	w.size = len("NATS/1.0\r\n\r\n") + len(all)
	for i, name := range frameHeaders {
		w.values[i] = all[from:w.ends[i]]
		from = w.ends[i]
		if w.values[i] == "" {
			delete(w.header, name)
			continue
		}
		w.header[name] = w.values[i : i+1 : i+1]
		w.size += len(name) + len(": \r\n")
	}
	return w.header
}

func (w *headerWriter) layDown(f *Frame) {
	w.text = w.text[:0]
	for i, name := range frameHeaders {
		w.text = appendHeader(w.text, name, f)
		w.ends[i] = len(w.text)
	}
}

func appendHeader(b []byte, name string, f *Frame) []byte {
	switch name {
	case headerSchema:
		return append(b, SchemaFrame...)
	case headerCamera:
		return append(b, f.Camera...)
	case headerSession:
		return append(b, f.Session...)
	case headerSeq:
		return strconv.AppendUint(b, f.Seq, 10)
	case headerCapturedAt:
		return f.CapturedAt.UTC().AppendFormat(b, timeLayout)
	case headerClock:
		return append(b, f.Clock...)
	case headerRTP:
		return strconv.AppendUint(b, uint64(f.RTPTimestamp), 10)
	case headerWidth:
		return strconv.AppendInt(b, int64(f.Width), 10)
	case headerHeight:
		return strconv.AppendInt(b, int64(f.Height), 10)
	case headerEncoding:
		return append(b, f.Encoding...)
	case headerRef:
		return append(b, f.Ref...)
	case headerPolicy:
		return append(b, f.Policy...)
	case headerRegions:
		return appendRegions(b, f.Regions)
	case headerOf:
		return strconv.AppendInt(b, int64(f.Of), 10)
	case headerCoverageAge:
		return appendMillis(b, f.CoverageAge)
	case headerDropped:
		return strconv.AppendInt(b, int64(f.Dropped), 10)
	case headerDecode:
		return appendMillis(b, f.Decode)
	case headerPublishedAt:
		return appendTime(b, f.PublishedAt)
	case headerDetector:
		return append(b, f.Detector...)
	}
	return b
}

// appendRegions writes "x,y,w,h;x,y,w,h".
func appendRegions(b []byte, regions []Region) []byte {
	for i, r := range regions {
		if i > 0 {
			b = append(b, ';')
		}
		for j, v := range [4]int{r.X, r.Y, r.W, r.H} {
			if j > 0 {
				b = append(b, ',')
			}
			b = strconv.AppendInt(b, int64(v), 10)
		}
	}
	return b
}

// appendMillis writes milliseconds with three decimals.
func appendMillis(b []byte, d time.Duration) []byte {
	return strconv.AppendFloat(b, float64(d.Microseconds())/1000, 'f', 3, 64)
}

func appendTime(b []byte, t time.Time) []byte {
	if t.IsZero() {
		return b
	}
	return t.UTC().AppendFormat(b, timeLayout)
}
