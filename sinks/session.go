package sinks

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/webrtc/v4"
)

const connectTimeout = 15 * time.Second

// session is one WHEP viewer: its connection and its place at the annotator.
type session struct {
	id, camera string
	annotator  *annotator
	watcher    *watcher
	pc         *webrtc.PeerConnection
	sender     *webrtc.RTPSender
	track      *webrtc.TrackLocalStaticRTP
	connected  chan struct{} // closed once media can flow
	gone       chan struct{} // closed once the peer is lost
	stop       context.CancelFunc
	ended      chan struct{} // closed when run returned
	patience   time.Duration // for the connection to come up
	log        *slog.Logger
}

// newSession answers an offer. The session's resources are freed by run, which must follow.
func newSession(r *rtc, offer, camera string, a *annotator, log *slog.Logger) (*session, error) {
	id := rand.Text() // 130 bits: whoever knows it may end the session
	track, err := webrtc.NewTrackLocalStaticRTP(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeH264, ClockRate: 90000, SDPFmtpLine: h264Format}, "annotated", camera)
	if err != nil {
		return nil, fmt.Errorf("make track: %w", err)
	}
	s := &session{id: id, camera: camera, annotator: a, watcher: newWatcher(), track: track, connected: make(chan struct{}),
		gone: make(chan struct{}), ended: make(chan struct{}), log: log.With("camera", camera, "session", id[:6])}
	if s.pc, s.sender, err = r.answer(offer, track); err != nil {
		return nil, err
	}
	s.watchState()
	return s, nil
}

func (s *session) watchState() {
	var once [2]sync.Once
	change := func(state webrtc.PeerConnectionState) {
		switch state {
		case webrtc.PeerConnectionStateConnected:
			once[0].Do(func() { close(s.connected) })
		case webrtc.PeerConnectionStateDisconnected, webrtc.PeerConnectionStateFailed, webrtc.PeerConnectionStateClosed:
			once[1].Do(func() { close(s.gone) })
		default:
		}
	}
	s.pc.OnConnectionStateChange(change)
	change(s.pc.ConnectionState()) // it may have changed before anybody listened
}

// run sends until the viewer leaves, ctx ends, or the annotator ends. It returns when the connection is closed.
func (s *session) run(ctx context.Context) {
	defer close(s.ended)
	var feedback sync.WaitGroup
	feedback.Go(s.readFeedback)
	cause := s.serve(ctx)
	s.annotator.detach(s.watcher)
	if err := s.pc.GracefulClose(); err != nil {
		s.log.Debug("close peer connection", "error", err)
	}
	feedback.Wait()
	s.log.Info("viewer left", "cause", cause)
}

func (s *session) serve(ctx context.Context) (cause string) {
	timeout := time.NewTimer(s.patience)
	defer timeout.Stop()
	connected := s.connected
	for {
		select {
		case <-ctx.Done():
			return "ended"
		case <-s.gone:
			return "connection lost"
		case <-s.annotator.ended:
			return "annotator ended"
		case <-timeout.C:
			return "not connected within " + s.patience.String()
		case <-connected:
			connected = nil
			timeout.Stop()
			s.annotator.attach(s.watcher)
			s.log.Info("viewer connected")
		case unit := <-s.watcher.units:
			for i := range unit.packets {
				if err := s.track.WriteRTP(&unit.packets[i]); err != nil {
					return "cannot send: " + err.Error()
				}
			}
		}
	}
}

// readFeedback passes the viewer's requests for key frames on. It ends with the connection.
func (s *session) readFeedback() {
	for {
		packets, _, err := s.sender.ReadRTCP()
		if err != nil {
			return
		}
		for _, p := range packets {
			switch p.(type) {
			case *rtcp.PictureLossIndication, *rtcp.FullIntraRequest:
				s.annotator.requestKey()
			}
		}
	}
}
