package sinks

import (
	"errors"
	"strings"
	"testing"
)

const plainOffer = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n" +
	"m=video 9 UDP/TLS/RTP/SAVPF 96 102\r\nc=IN IP4 0.0.0.0\r\na=recvonly\r\n" +
	"a=rtpmap:96 VP8/90000\r\na=rtpmap:102 H264/90000\r\na=fmtp:102 packetization-mode=1;profile-level-id=42e01f\r\n"

func TestOffersAreChecked(t *testing.T) {
	if err := checkOffer([]byte(plainOffer)); err != nil {
		t.Errorf("a good offer: %v", err)
	}
	for name, c := range map[string]struct {
		offer   string
		noCodec bool
	}{
		"empty":            {"", false},
		"not SDP":          {"{\"type\":\"offer\"}", false},
		"VP8 only":         {strings.ReplaceAll(plainOffer, "H264", "VP9"), true},
		"mode 0 only":      {strings.ReplaceAll(plainOffer, "mode=1", "mode=0"), true},
		"sends":            {strings.ReplaceAll(plainOffer, "recvonly", "sendonly"), true},
		"no media":         {strings.SplitAfter(plainOffer, "t=0 0\r\n")[0], true},
		"audio":            {strings.ReplaceAll(plainOffer, "m=video", "m=audio"), true},
		"too many section": {plainOffer + strings.Repeat("m=audio 9 UDP/TLS/RTP/SAVPF 0\r\n", 20), false},
	} {
		if err := checkOffer([]byte(c.offer)); err == nil || errors.Is(err, errNoH264) != c.noCodec {
			t.Errorf("%s: %v", name, err)
		}
	}
}

const fragment = "a=ice-ufrag:EsAw\r\na=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\nm=video 9 RTP/AVP 0\r\na=mid:1\r\n" +
	"a=candidate:1387637174 1 udp 2122260223 192.0.2.1 61764 typ host\r\na=end-of-candidates\r\n"

func TestTrickledCandidatesAreRead(t *testing.T) {
	got, err := parseFragment([]byte(fragment))
	if err != nil || len(got) != 1 || *got[0].SDPMid != "1" || *got[0].UsernameFragment != "EsAw" || !strings.HasPrefix(got[0].Candidate, "candidate:1387637174 1 udp") {
		t.Errorf("%+v %v", got, err)
	}
	if _, err := parseFragment([]byte(strings.Repeat("a=candidate:1 1 udp 1 192.0.2.1 1 typ host\n", maxCandidates+1))); err == nil {
		t.Error("too many candidates were taken")
	}
	if _, err := parseFragment([]byte("a=candidate:" + strings.Repeat("x", maxCandidateSize))); err == nil {
		t.Error("an endless candidate was taken")
	}
}

func FuzzParseFragment(f *testing.F) {
	f.Add([]byte(fragment))
	f.Add([]byte("a=candidate:\n\na=mid:\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := parseFragment(data)
		if err == nil && len(got) > maxCandidates {
			t.Errorf("%d candidates", len(got))
		}
	})
}

func FuzzCheckOffer(f *testing.F) {
	f.Add([]byte(plainOffer))
	f.Add([]byte("v=0\r\nm=video"))
	f.Fuzz(func(_ *testing.T, data []byte) { _ = checkOffer(data) })
}
