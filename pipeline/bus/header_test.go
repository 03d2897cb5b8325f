package bus

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestHeaderRoundTrip(t *testing.T) {
	shm := jpegFrame("gate", 1<<63)
	shm.Detector = "big"
	shm.Encoding, shm.Body, shm.Ref = EncodingSHM, nil, "sightline-0-123-gate-0123456789abcdef:7:42"
	bare := jpegFrame("gate", 0)
	bare.Regions, bare.Dropped, bare.Decode, bare.Policy, bare.PublishedAt = nil, 0, 0, PolicyOff, captured.Add(time.Millisecond)
	for _, want := range []*Frame{jpegFrame("gate", 7), shm, bare} {
		got, err := DecodeHeader(EncodeHeader(want), want.Body)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got  %+v\nwant %+v", got, want)
		}
	}
}

func TestHeaderTimesAreUTC(t *testing.T) {
	f := jpegFrame("gate", 7)
	f.CapturedAt = captured.In(time.FixedZone("far", 5*3600))
	if got := EncodeHeader(f)[headerCapturedAt][0]; got != "2026-02-03T10:11:12.123456789Z" {
		t.Errorf("captured at %s", got)
	}
}

func TestHeaderWriterUsesItsMemoryAgain(t *testing.T) {
	var w headerWriter
	w.encode(jpegFrame("gate", 7))
	second := jpegFrame("yard", 8)
	second.Regions = nil
	got, err := DecodeHeader(w.encode(second), second.Body)
	if err != nil || !reflect.DeepEqual(got, second) {
		t.Errorf("got %+v, %v", got, err)
	}
	if n := testing.AllocsPerRun(100, func() { w.encode(second) }); n > 1 {
		t.Errorf("%v allocations a frame, want 1", n)
	}
}

func TestDecodeHeaderRefuses(t *testing.T) {
	for _, c := range []struct{ header, value string }{
		{headerSchema, "sightline.frame/2"}, {headerCamera, "a.b"}, {headerCamera, ""}, {headerSession, strings.Repeat("x", 65)},
		{headerSession, strings.Repeat("x", 600)}, {headerSeq, "-1"}, {headerSeq, "+1"}, {headerSeq, "01"}, {headerSeq, "18446744073709551616"},
		{headerCapturedAt, "yesterday"}, {headerCapturedAt, "2026-02-03T10:11:12+01:00"}, {headerCapturedAt, "1026-02-03T10:11:12Z"},
		{headerClock, "sundial"}, {headerRTP, "4294967296"}, {headerWidth, "0"}, {headerWidth, "16385"}, {headerHeight, "99999999999"},
		{headerEncoding, "png"}, {headerRef, "../etc/passwd:1:2"}, {headerPolicy, "some"}, {headerRegions, "0,0,10"},
		{headerRegions, "0,0,10,10,10"}, {headerRegions, "0,0,10,10;"}, {headerRegions, "3839,0,2,2"}, {headerRegions, "0,0,0,5"},
		{headerRegions, strings.Repeat("0,0,1,1;", 256) + "0,0,1,1"}, {headerRegions, strings.Repeat("0", 10_000)},
		{headerOf, "257"}, {headerCoverageAge, "86400001.000"}, {headerCoverageAge, "soon"}, {headerDropped, "-1"}, {headerDecode, "1.5"}, {headerDecode, "NaN"}, {headerDecode, "4000000.000"}, {headerPublishedAt, "now"},
		{headerDetector, "a.b"}, {headerDetector, strings.Repeat("x", 65)},
	} {
		header := maps.Clone(EncodeHeader(jpegFrame("gate", 7)))
		header[c.header] = []string{c.value}
		_, err := DecodeHeader(header, []byte("body"))
		if err == nil {
			t.Errorf("%s: %.60q was accepted", c.header, c.value)
		} else if len(err.Error()) > 400 {
			t.Errorf("%s: an error of %d bytes", c.header, len(err.Error()))
		}
	}
}

func TestDecodeHeaderRefusesWrongNumbersOfHeaders(t *testing.T) {
	for _, name := range slices.Concat(frameHeaders[:headerIndex(headerRef)]) {
		header := EncodeHeader(jpegFrame("gate", 7))
		delete(header, name)
		if _, err := DecodeHeader(header, []byte("body")); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("without %s: %v", name, err)
		}
		header = EncodeHeader(jpegFrame("gate", 7))
		header[name] = append(slices.Clone(header[name]), header[name][0])
		if _, err := DecodeHeader(header, []byte("body")); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("twice %s: %v", name, err)
		}
	}
	if _, err := DecodeHeader(EncodeHeader(jpegFrame("gate", 7)), nil); err == nil {
		t.Error("a JPEG frame without a body was accepted")
	}
	header := EncodeHeader(jpegFrame("gate", 7))
	header["Sightline-Weather"] = []string{"fine"}
	if _, err := DecodeHeader(header, []byte("body")); err != nil {
		t.Errorf("a header of a later version: %v", err)
	}
}

func headerIndex(name string) int { return slices.Index(frameHeaders[:], name) }

func TestFrameValidateRefuses(t *testing.T) {
	for name, spoil := range map[string]func(*Frame){
		"pixels":          func(f *Frame) { f.Width, f.Height = 16384, 16384 },
		"negative origin": func(f *Frame) { f.Regions = []Region{{-1, 0, 5, 5}} },
		"overflow":        func(f *Frame) { f.Regions = []Region{{1, 1, 1<<63 - 1, 5}} },
		"many regions":    func(f *Frame) { f.Regions = make([]Region, 257) },
		"dropped":         func(f *Frame) { f.Dropped = -1 },
		"decode":          func(f *Frame) { f.Decode = -1 },
		"no time":         func(f *Frame) { f.CapturedAt = time.Time{} },
		"both":            func(f *Frame) { f.Ref = "sightline-0-1-gate-0123456789abcdef:0:2" },
		"shm with body":   func(f *Frame) { f.Encoding = EncodingSHM },
	} {
		f := jpegFrame("gate", 7)
		spoil(f)
		if f.Validate() == nil {
			t.Errorf("%s: was accepted", name)
		}
	}
}

// FuzzDecodeHeader: whatever is accepted must be valid and come out of the encoder as it went in.
func FuzzDecodeHeader(f *testing.F) {
	f.Add("gate", "7", "2026-02-03T10:11:12.123456789Z", "640", "480", "jpeg", "", "0,0,640,480;0,0,64,64", "11.234", []byte("x"))
	f.Add("gate", "7", "2026-02-03T10:11:12Z", "640", "480", "shm", "sightline-0-1-gate-0123456789abcdef:0:2", "0,0,1,1", "0.000", []byte{})
	f.Fuzz(func(t *testing.T, camera, seq, at, width, height, encoding, ref, regions, decode string, body []byte) {
		header := map[string][]string{
			headerSchema: {SchemaFrame}, headerCamera: {camera}, headerSession: {"s"}, headerSeq: {seq}, headerCapturedAt: {at},
			headerClock: {"rtcp"}, headerRTP: {seq}, headerWidth: {width}, headerHeight: {height}, headerEncoding: {encoding},
			headerRegions: {regions}, headerDecode: {decode},
		}
		if ref != "" {
			header[headerRef] = []string{ref}
		}
		frame, err := DecodeHeader(header, body)
		if err != nil {
			return
		}
		again, err := DecodeHeader(EncodeHeader(frame), body)
		if err != nil || !reflect.DeepEqual(again, frame) {
			t.Fatalf("%+v became %+v, %v", frame, again, err)
		}
	})
}

func BenchmarkEncodeHeader(b *testing.B) {
	var w headerWriter
	frame := jpegFrame("gate", 7)
	b.ReportAllocs()
	for b.Loop() {
		w.encode(frame)
	}
}

func BenchmarkDecodeHeader(b *testing.B) {
	frame := jpegFrame("gate", 7)
	header := EncodeHeader(frame)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := DecodeHeader(header, frame.Body); err != nil {
			b.Fatal(err)
		}
	}
}
