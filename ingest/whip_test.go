package ingest

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/rtp/codecs"
	"github.com/pion/webrtc/v4"

	"github.com/sightline/sightline/ingest/decode/testclip"
	"github.com/sightline/sightline/pipeline/bus"
)

const (
	baseline = "-c:v libx264 -preset ultrafast -tune zerolatency -profile:v baseline -crf 8 -g 10 -pix_fmt yuv420p"
	vp8      = "-c:v libvpx -deadline realtime -b:v 2M -g 10 -pix_fmt yuv420p"
)

func TestWHIPPlaysH264AndVP8(t *testing.T) {
	t.Parallel()
	for mime, clip := range map[string][2]string{
		webrtc.MimeTypeH264: {"clip.h264", baseline},
		webrtc.MimeTypeVP8:  {"clip.ivf", vp8},
	} {
		t.Run(mime[6:], func(t *testing.T) {
			t.Parallel()
			s := newWHIPServer(t, "")
			w := watch(t, s.source)
			track, write := sampleTrack(t, mime)
			p := newPeer(t, track)
			p.publish(s.url)
			// a square that grows in the middle of the stream, as browsers do
			large := testclip.Make(t, "large"+clip[0], "color=c=white:size=128x96:rate=25:duration=2", clip[1])
			p.play(write, testclip.Counter(t, clip[0], 48, 25, clip[1]), large)
			checkCounting(t, w)
			for grown := false; !grown; {
				p := w.next()
				grown = p.picture.Width == 128 && p.picture.Height == 96 && p.picture.Y[0] > 220
			}
			if code, _, _ := ask(t, http.MethodDelete, p.session, ""); code != http.StatusOK {
				t.Errorf("DELETE: %d", code)
			}
			w.fails(Closed, "yard", "hung up")
		})
	}
}

// checkCounting checks that pictures of a Counter clip come one after the other, except where the source says that some are
// lost: a machine that is too busy may lose packets.
func checkCounting(t *testing.T, w *watched) {
	t.Helper()
	var last pictured
	number := 0
	for i := range 20 {
		p := w.next()
		if p.picture.Width != 64 || p.picture.Height != 64 {
			t.Fatalf("picture %d is %dx%d", i, p.picture.Width, p.picture.Height)
		}
		n := testclip.CounterOf(p.picture.Y[32*p.picture.StrideY+32])
		if i > 0 && (n != (number+1)%48 && !p.Lost || p.PTS <= last.PTS) {
			t.Errorf("picture %d is number %d at %s after number %d at %s", i, n, p.PTS, number, last.PTS)
		}
		if age := time.Since(p.CapturedAt); age < 0 || age > patience || p.Clock != bus.ClockArrival && p.Clock != bus.ClockRTCP {
			t.Errorf("picture %d was taken %s ago by %s", i, age, p.Clock)
		}
		last, number = p, n
	}
}

// A packet that never comes costs the pictures up to the next key frame, which is asked for.
func TestWHIPLoss(t *testing.T) {
	t.Parallel()
	s := newWHIPServer(t, "")
	w := watch(t, s.source)
	track, err := webrtc.NewTrackLocalStaticRTP(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeH264}, "video", "stream")
	if err != nil {
		t.Fatal(err)
	}
	packetizer := rtp.NewPacketizer(1200, 0, 0, &codecs.H264Payloader{}, rtp.NewRandomSequencer(), rtpClockRate)
	p := newPeer(t, track)
	p.publish(s.url)
	n := 0
	p.play(func(data []byte) error {
		for _, packet := range packetizer.Packetize(data, 3600) {
			if n++; n%60 == 30 {
				continue
			}
			if err := track.WriteRTP(packet); err != nil {
				return err
			}
		}
		return nil
	}, testclip.Make(t, "clip.h264", testclip.Moving, baseline))
	for lost := 0; lost < 2; {
		if p := w.next(); p.Lost {
			lost++
		}
	}
	for range 2 { // one at the start, one for the loss
		select {
		case <-p.plis:
		case <-time.After(patience):
			t.Fatal("no key frame was asked for")
		}
	}
}

func TestWHIPOnePublisherPerCamera(t *testing.T) {
	t.Parallel()
	s := newWHIPServer(t, "")
	w := watch(t, s.source)
	clip := testclip.Make(t, "clip.h264", testclip.Moving, baseline)
	track, write := sampleTrack(t, webrtc.MimeTypeH264)
	first := newPeer(t, track)
	first.publish(s.url)
	first.play(write, clip)
	w.next()

	second := newPeer(t, track)
	if code, text, _ := ask(t, http.MethodPost, s.url, second.offer(), "Content-Type", "application/sdp"); code != http.StatusConflict {
		t.Errorf("second publisher: %d %s", code, text)
	}
	first.pause() // its computer went to sleep
	held := s.source.holder()
	waitFor(t, held.gone)
	again := make(chan *watched, 1)
	go func() { // what the owner does
		w.ended <- <-w.ended
		again <- watch(t, s.source)
	}()
	other, write := sampleTrack(t, webrtc.MimeTypeH264)
	third := newPeer(t, other)
	third.publish(s.url)
	third.play(write, clip)
	w.fails(Closed, "yard", "took its place")
	if first := (<-again).next(); !first.Key {
		t.Error("the new session does not begin with a key frame")
	}
}

// holder returns who holds the camera's place.
func (s *whipSource) holder() *whipSession {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.current
}

func TestWHIPPublisherLeaves(t *testing.T) {
	t.Parallel()
	s := newWHIPServer(t, "")
	s.source.silent = 2 * time.Second
	clip := testclip.Make(t, "clip.h264", testclip.Moving, baseline)
	for name, leave := range map[string]func(*peer){"closes the tab": (*peer).leave, "falls silent": (*peer).pause} {
		t.Run(name, func(t *testing.T) {
			w := watch(t, s.source)
			track, write := sampleTrack(t, webrtc.MimeTypeH264)
			p := newPeer(t, track)
			p.publish(s.url)
			p.play(write, clip)
			w.next()
			leave(p)
			w.fails(Closed, "yard", "publisher")
		})
	}
}

// A page that is loaded again hangs up and comes back at once.
func TestWHIPPublisherComesBackAtOnce(t *testing.T) {
	t.Parallel()
	s := newWHIPServer(t, "")
	w := watch(t, s.source)
	clip := testclip.Make(t, "clip.h264", testclip.Moving, baseline)
	for range 3 {
		track, write := sampleTrack(t, webrtc.MimeTypeH264)
		p := newPeer(t, track)
		p.publish(s.url)
		p.play(write, clip)
		w.next()
		before := w
		next := make(chan *watched, 1)
		go func() { // what the owner does
			before.ended <- <-before.ended
			next <- watch(t, s.source)
		}()
		if code, _, _ := ask(t, http.MethodDelete, p.session, ""); code != http.StatusOK {
			t.Errorf("DELETE: %d", code)
		}
		w = <-next
	}
}

func TestWHIPReapsPublishersThatNeverConnect(t *testing.T) {
	t.Parallel()
	s := newWHIPServer(t, "")
	s.connectTime = 300 * time.Millisecond
	w := watch(t, s.source)
	track, write := sampleTrack(t, webrtc.MimeTypeVP8)
	idle := newPeer(t, track)
	if code, text, _ := ask(t, http.MethodPost, s.url, idle.offer(), "Content-Type", "application/sdp"); code != http.StatusCreated {
		t.Fatalf("POST: %d %s", code, text)
	}
	waitFor(t, func() bool {
		return strings.Contains(s.log.String(), "no video arrived within 300ms") && s.source.free()
	})
	s.connectTime = whipConnectTime
	p := newPeer(t, track)
	p.publish(s.url)
	p.play(write, testclip.Make(t, "clip.ivf", testclip.Moving, vp8))
	w.next()
}

// free says whether the camera waits for a publisher.
func (s *whipSource) free() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.waiting && s.current == nil
}

// waitFor waits until a condition holds that nobody announces.
func waitFor(t *testing.T, condition func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !condition() {
		if time.Now().After(deadline) {
			t.Fatal("what was waited for did not happen")
		}
		time.Sleep(5 * time.Millisecond)
	}
}
