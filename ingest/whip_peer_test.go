package ingest

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/webrtc/v4"
	"github.com/pion/webrtc/v4/pkg/media"

	"github.com/sightline/sightline/ingest/decode"
)

// peer is a publisher of our own.
type peer struct {
	t       *testing.T
	pc      *webrtc.PeerConnection
	running sync.WaitGroup
	done    chan struct{} // closed by leave
	paused  chan struct{} // closed by pause
	sender  *webrtc.RTPSender
	plis    chan struct{}
	session string // the session's address
}

func newPeer(t *testing.T, track webrtc.TrackLocal) *peer {
	t.Helper()
	pc, err := webrtcAPI(t).NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		t.Fatal(err)
	}
	p := &peer{t: t, pc: pc, done: make(chan struct{}), paused: make(chan struct{}), plis: make(chan struct{}, 100)}
	transceiver, err := pc.AddTransceiverFromTrack(track, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly})
	if err != nil {
		t.Fatal(err)
	}
	p.sender = transceiver.Sender()
	t.Cleanup(p.leave)
	return p
}

func webrtcAPI(t *testing.T) *webrtc.API {
	t.Helper()
	api, err := receivingAPI(true)
	if err != nil {
		t.Fatal(err)
	}
	return api
}

// leave ends the peer as a tab that is closed does.
func (p *peer) leave() {
	select {
	case <-p.done:
	default:
		close(p.done)
		p.pc.GracefulClose() //nolint:errcheck // a test's
		p.running.Wait()
	}
}

// pause sends no more, and says nothing.
func (p *peer) pause() { close(p.paused) }

// offer gathers this peer's offer.
func (p *peer) offer() string {
	p.t.Helper()
	offer, err := p.pc.CreateOffer(nil)
	if err != nil {
		p.t.Fatal(err)
	}
	gathered := webrtc.GatheringCompletePromise(p.pc)
	if err := p.pc.SetLocalDescription(offer); err != nil {
		p.t.Fatal(err)
	}
	<-gathered
	return p.pc.LocalDescription().SDP
}

// publish posts the offer and takes the answer.
func (p *peer) publish(url string, header ...string) {
	p.t.Helper()
	code, answer, h := ask(p.t, http.MethodPost, url, p.offer(), append(header, "Content-Type", "application/sdp")...)
	if code != http.StatusCreated {
		p.t.Fatalf("POST: %d %s", code, answer)
	}
	at, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	location, err := at.URL.Parse(h.Get("Location"))
	if err != nil {
		p.t.Fatal(err)
	}
	p.session = location.String()
	if err := p.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: answer}); err != nil {
		p.t.Fatal(err)
	}
	p.running.Go(func() {
		for {
			packets, _, err := p.sender.ReadRTCP()
			if err != nil {
				return
			}
			for _, packet := range packets {
				if _, ok := packet.(*rtcp.PictureLossIndication); ok {
					p.plis <- struct{}{}
				}
			}
		}
	})
}

// play sends files one after the other, the last one again and again, a picture each 40 ms.
func (p *peer) play(write func(data []byte) error, files ...string) {
	p.running.Go(func() {
		tick := time.NewTicker(40 * time.Millisecond)
		defer tick.Stop()
		for n := 0; ; n++ {
			if !p.playFile(files[min(n, len(files)-1)], write, tick.C) {
				return
			}
		}
	})
}

func (p *peer) playFile(file string, write func([]byte) error, tick <-chan time.Time) bool {
	d, err := decode.OpenFile(context.Background(), file)
	if err != nil {
		p.t.Error(err)
		return false
	}
	defer d.Close()
	var packet decode.Packet
	for {
		ok, err := d.Read(context.Background(), &packet)
		if err != nil {
			p.t.Error(err)
		}
		if !ok || err != nil {
			return err == nil
		}
		select {
		case <-tick:
		case <-p.done:
			return false
		case <-p.paused:
			return false
		}
		if err := write(append([]byte(nil), packet.Data...)); err != nil && !errors.Is(err, io.ErrClosedPipe) {
			p.t.Error(err)
			return false
		}
	}
}

func sampleTrack(t *testing.T, mime string) (*webrtc.TrackLocalStaticSample, func([]byte) error) {
	t.Helper()
	track, err := webrtc.NewTrackLocalStaticSample(webrtc.RTPCodecCapability{MimeType: mime}, "video", "stream")
	if err != nil {
		t.Fatal(err)
	}
	return track, func(data []byte) error {
		return track.WriteSample(media.Sample{Data: data, Duration: 40 * time.Millisecond})
	}
}
