package ingest

import (
	"strings"
	"testing"

	"github.com/bluenviron/gortsplib/v5/pkg/description"
	"github.com/bluenviron/gortsplib/v5/pkg/sdp"
)

// FuzzSDP takes any description that the library takes.
func FuzzSDP(f *testing.F) {
	const start = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\n"
	f.Add(start + "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1; sprop-parameter-sets=Z0LAHtkAoEf+iA==,aM48gA==\r\n")
	f.Add(start + "m=video 0 RTP/AVP 97\r\na=rtpmap:97 H265/90000\r\na=fmtp:97 sprop-max-don-diff=2\r\n")
	f.Add(start + "m=audio 0 RTP/AVP 0\r\nm=application 0 RTP/AVP 107\r\na=rtpmap:107 vnd.onvif.metadata/90000\r\n")
	f.Fuzz(func(t *testing.T, text string) {
		var parsed sdp.SessionDescription
		var stream description.Session
		if parsed.Unmarshal([]byte(text)) != nil || stream.Unmarshal(&parsed) != nil {
			return
		}
		media, format, err := chooseTrack(&stream)
		if err != nil {
			if len(err.Error()) > 1000 {
				t.Errorf("an error of %d bytes", len(err.Error()))
			}
			return
		}
		s := newRTSPSession(rtsp(t, "rtsp://host/x"), NewQueue())
		if err := s.prepare(media, format); err == nil && len(s.builder.format.Extradata) > 3*(4+maxParameterSetSize) {
			t.Errorf("%d bytes of parameter sets", len(s.builder.format.Extradata))
		}
	})
}

// FuzzChallenge takes any text that a camera may send for authentication.
func FuzzChallenge(f *testing.F) {
	f.Add(`Digest realm="Gate", nonce="1", algorithm=SHA-256`)
	f.Add(`Basic realm="x"`)
	f.Add(`Digest algorithm=MD5-sess`)
	f.Fuzz(func(t *testing.T, text string) {
		if got := describeChallenge(text); len(got) > 600 || strings.ContainsAny(got, "\r\n\x00") {
			t.Errorf("%q is described as %q", text, got)
		}
	})
}

// FuzzWHIPFragment takes any trickled fragment and any path.
func FuzzWHIPFragment(f *testing.F) {
	f.Add("a=ice-ufrag:abcd\r\na=mid:1\r\na=candidate:1 1 udp 1 127.0.0.1 4000 typ host\r\n", "/yard/whip/0123")
	f.Add("a=end-of-candidates", "//whip")
	f.Fuzz(func(t *testing.T, body, path string) {
		candidates, _ := trickled(body)
		if n := strings.Count(body, "a=candidate:"); len(candidates) > n {
			t.Errorf("%d candidates out of %d", len(candidates), n)
		}
		if camera, id, ok := whipPath(path); ok && strings.Contains(camera+id, "/") {
			t.Errorf("path %q: %q, %q", path, camera, id)
		}
	})
}
