package sinks

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp/codecs"
	"github.com/pion/webrtc/v4"
)

// received is one access unit as a viewer got it.
type received struct {
	annexB    []byte
	timestamp uint32
	key       bool
}

// peer is a WHEP player: pion, as a browser would play it.
type peer struct {
	pc       *webrtc.PeerConnection
	location string
	etag     string
	answer   string
	units    chan received
	ssrc     chan webrtc.SSRC
}

// request sends an HTTP request and returns its answer, read.
func request(t testing.TB, method, url, kind, body string, headers ...string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(context.Background(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if kind != "" {
		r.Header.Set("Content-Type", kind)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(text)
}

// makeOffer makes a connection that wants video, and its offer with all candidates.
func makeOffer(t testing.TB) (*webrtc.PeerConnection, string) {
	t.Helper()
	settings := webrtc.SettingEngine{LoggerFactory: rtcLogs{quiet()}}
	settings.SetIncludeLoopbackCandidate(true)
	settings.SetPrflxAcceptanceMinWait(0) // pion alone waits a second before it takes an address it learnt from a check
	media := &webrtc.MediaEngine{}
	if err := media.RegisterDefaultCodecs(); err != nil {
		t.Fatal(err)
	}
	pc, err := webrtc.NewAPI(webrtc.WithSettingEngine(settings), webrtc.WithMediaEngine(media)).NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pc.GracefulClose() })
	for _, kind := range []webrtc.RTPCodecType{webrtc.RTPCodecTypeAudio, webrtc.RTPCodecTypeVideo} { // many players ask for both
		if _, err := pc.AddTransceiverFromKind(kind, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly}); err != nil {
			t.Fatal(err)
		}
	}
	offer, err := pc.CreateOffer(nil)
	if err != nil {
		t.Fatal(err)
	}
	gathered := webrtc.GatheringCompletePromise(pc)
	if err := pc.SetLocalDescription(offer); err != nil {
		t.Fatal(err)
	}
	<-gathered
	return pc, pc.LocalDescription().SDP
}

// play starts a player of a camera's annotated stream.
func play(t testing.TB, s *station, camera string) *peer {
	t.Helper()
	pc, offer := makeOffer(t)
	p := &peer{pc: pc, units: make(chan received, 256), ssrc: make(chan webrtc.SSRC, 1)}
	pc.OnTrack(func(track *webrtc.TrackRemote, _ *webrtc.RTPReceiver) {
		p.ssrc <- track.SSRC()
		p.read(track)
	})
	resp, answer := request(t, http.MethodPost, s.url+"/"+camera+"/annotated/whep", typeSDP, offer)
	if resp.StatusCode != http.StatusCreated {
		t.Fatalf("WHEP: %s: %s", resp.Status, answer)
	}
	p.location, p.etag, p.answer = s.url+resp.Header.Get("Location"), resp.Header.Get("ETag"), answer
	if err := pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: answer}); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *peer) read(track *webrtc.TrackRemote) {
	defer close(p.units)
	var parts codecs.H264Packet
	var unit received
	for {
		packet, _, err := track.ReadRTP()
		if err != nil {
			return
		}
		nal, err := parts.Unmarshal(packet.Payload)
		if err != nil {
			return
		}
		unit.annexB = append(unit.annexB, nal...)
		unit.timestamp = packet.Timestamp
		if packet.Marker {
			unit.key = bytes.Contains(unit.annexB, []byte{0, 0, 0, 1, 0x65})
			select {
			case p.units <- unit:
			default: // the test is over
			}
			unit = received{}
		}
	}
}

func (p *peer) next(t testing.TB) received {
	t.Helper()
	select {
	case u, ok := <-p.units:
		if !ok {
			t.Fatal("the stream ended")
		}
		return u
	case <-time.After(15 * time.Second):
		t.Fatal("no picture within 15 s")
	}
	return received{}
}

// losePicture sends a picture loss indication.
func (p *peer) losePicture(t testing.TB, ssrc webrtc.SSRC) {
	t.Helper()
	if err := p.pc.WriteRTCP([]rtcp.Packet{&rtcp.PictureLossIndication{MediaSSRC: uint32(ssrc)}}); err != nil {
		t.Fatal(err)
	}
}

// decodeLast lets ffmpeg decode a stream and returns the planes of its last picture.
func decodeLast(t testing.TB, annexB []byte, w, h int) (y, u, v []byte) {
	t.Helper()
	cmd := exec.Command("ffmpeg", "-v", "error", "-f", "h264", "-i", "-", "-f", "rawvideo", "-pix_fmt", "yuv420p", "-")
	cmd.Stdin = bytes.NewReader(annexB)
	var out, fault bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &fault
	if err := cmd.Run(); err != nil || fault.Len() > 0 {
		t.Fatalf("ffmpeg (install package ffmpeg): %v: %s", err, fault.String())
	}
	size := w * h * 3 / 2
	if out.Len() < size || out.Len()%size != 0 {
		t.Fatalf("%d bytes decoded, want pictures of %dx%d", out.Len(), w, h)
	}
	last := out.Bytes()[out.Len()-size:]
	return last[:w*h], last[w*h : w*h*5/4], last[w*h*5/4:]
}
