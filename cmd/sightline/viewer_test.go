package main

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/pion/rtp/codecs"
	"github.com/pion/webrtc/v4"

	"github.com/sightline/sightline/ingest/decode"
	"github.com/sightline/sightline/pipeline/picture"
)

// viewer plays an annotated stream by WHEP, as any player would, and decodes it.
type viewer struct {
	units   chan []byte // coded pictures, Annex B
	decoder *decode.Decoder
	sent    int64
}

func watch(t testing.TB, page, camera string) *viewer {
	t.Helper()
	settings := webrtc.SettingEngine{}
	settings.SetIncludeLoopbackCandidate(true)
	media := &webrtc.MediaEngine{}
	if err := media.RegisterDefaultCodecs(); err != nil {
		t.Fatal(err)
	}
	pc, err := webrtc.NewAPI(webrtc.WithSettingEngine(settings), webrtc.WithMediaEngine(media)).NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		t.Fatal(err)
	}
	v := &viewer{units: make(chan []byte, 256)}
	if v.decoder, err = decode.Open(&decode.Parameters{Codec: "h264"}, 1); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = pc.GracefulClose() // nothing is lost with it
		v.decoder.Close()
	})
	pc.OnTrack(func(track *webrtc.TrackRemote, _ *webrtc.RTPReceiver) { v.read(track) })
	negotiate(t, pc, page+"/"+camera+"/annotated/whep")
	return v
}

func negotiate(t testing.TB, pc *webrtc.PeerConnection, url string) {
	t.Helper()
	direction := webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly}
	if _, err := pc.AddTransceiverFromKind(webrtc.RTPCodecTypeVideo, direction); err != nil {
		t.Fatal(err)
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
	resp, err := http.Post(url, "application/sdp", strings.NewReader(pc.LocalDescription().SDP))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusCreated {
		t.Fatalf("WHEP: %s, %v: %s", resp.Status, err, answer)
	}
	if err := pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: string(answer)}); err != nil {
		t.Fatal(err)
	}
}

func (v *viewer) read(track *webrtc.TrackRemote) {
	var parts codecs.H264Packet
	var unit []byte
	for {
		packet, _, err := track.ReadRTP()
		if err != nil {
			return
		}
		nal, err := parts.Unmarshal(packet.Payload)
		if err != nil {
			return
		}
		if unit = append(unit, nal...); packet.Marker {
			select {
			case v.units <- unit:
			default: // the test is over
			}
			unit = nil
		}
	}
}

// next waits for a picture and decodes it into planes of its own.
func (v *viewer) next(t testing.TB) *picture.I420 {
	t.Helper()
	for {
		select {
		case unit := <-v.units:
			v.sent++
			if err := v.decoder.Send(unit, v.sent); err != nil {
				t.Fatal(err)
			}
		case <-time.After(patience):
			t.Fatalf("no picture within %s", patience)
		}
		var pic *picture.I420
		ok, _, _, err := v.decoder.Next(func(w, h int) (*picture.I420, error) {
			pic = picture.New(w, h)
			return pic, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if ok {
			return pic
		}
	}
}
