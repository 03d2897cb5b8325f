package ingest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
)

const (
	gatherTime     = 3 * time.Second // for the addresses of this host
	keyFrameEvery  = 2 * time.Second // a key frame is asked for, until there is one
	keyFrameAtMost = 500 * time.Millisecond
	goneAfter      = 3 * time.Second // without a packet, another publisher may take the place
	maxRTPPacket   = 2048
)

// whipSession is one WebRTC connection that brings video: a publisher of ours, or a WHEP server that we watch. Who makes it
// negotiates; after that its camera's Run serves it.
type whipSession struct {
	id          string
	peer        string        // who is on the other side, for messages
	silent      time.Duration // without a packet the other side is gone
	log         *slog.Logger
	connectTime time.Duration
	pc          *webrtc.PeerConnection
	tracks      chan incoming // of length 1: the first video track
	ended       chan struct{} // closed by end
	ending      sync.Once
	cause       error // why it ended; set before ended is closed
	ufrags      []string

	started    time.Time
	lastPacket atomic.Int64 // nanoseconds after started
	adrift     atomic.Bool  // ICE lost the other side
	trickles   atomic.Int64
}

type incoming struct {
	track    *webrtc.TrackRemote
	receiver *webrtc.RTPReceiver
	codec    rtpCodec
}

func newWHIPSession(peer string, silent, connectTime time.Duration, log *slog.Logger) *whipSession {
	return &whipSession{
		id:          rand.Text(),
		peer:        peer,
		silent:      silent,
		log:         log,
		connectTime: connectTime,
		tracks:      make(chan incoming, 1),
		ended:       make(chan struct{}),
		started:     time.Now(),
	}
}

// end makes serve return. It may be called several times, from any goroutine; the first cause counts.
func (p *whipSession) end(cause error) {
	p.ending.Do(func() {
		p.cause = cause
		close(p.ended)
	})
}

// close ends the connection and waits for its goroutines.
func (p *whipSession) close() {
	p.end(io.EOF)
	if p.pc != nil {
		p.pc.GracefulClose() //nolint:errcheck // it is over anyway
	}
}

// gone says whether the publisher looks dead, so that another one may take its place.
func (p *whipSession) gone() bool {
	select {
	case <-p.ended:
		return true
	default:
	}
	last := p.lastPacket.Load()
	if last == 0 {
		return false // it is still connecting; connectTime bounds that
	}
	return p.adrift.Load() || time.Since(p.started)-time.Duration(last) > goneAfter
}

// negotiate answers the offer with all addresses of this host in the answer.
func (p *whipSession) negotiate(ctx context.Context, peers *peers, offer string) (answer string, err error) {
	if p.pc, err = peers.connection(); err != nil {
		return "", err
	}
	p.pc.OnTrack(p.track)
	p.pc.OnConnectionStateChange(p.state)
	if err := p.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: offer}); err != nil {
		return "", refusedOffer(err)
	}
	p.ufrags = iceFragments(offer)
	local, err := p.pc.CreateAnswer(nil)
	if err != nil {
		return "", refusedOffer(err)
	}
	if !receivesVideo(local) {
		return "", errCodecs
	}
	if answer, err = p.gather(ctx, local); err != nil && ctx.Err() == nil {
		return "", refusedOffer(err)
	}
	return answer, err
}

// gather sets this side's description and returns it with the addresses of this host.
func (p *whipSession) gather(ctx context.Context, local webrtc.SessionDescription) (sdp string, err error) {
	gathered := webrtc.GatheringCompletePromise(p.pc)
	if err := p.pc.SetLocalDescription(local); err != nil {
		return "", fmt.Errorf("set up the session: %w", err)
	}
	select {
	case <-gathered:
	case <-time.After(gatherTime):
	case <-ctx.Done():
		return "", ctx.Err()
	}
	return p.pc.LocalDescription().SDP, nil
}

func refusedOffer(err error) error {
	if errors.Is(err, webrtc.ErrUnsupportedCodec) || errors.Is(err, webrtc.ErrCodecNotFound) {
		return errCodecs
	}
	return fmt.Errorf("%w: %.200s", errOffer, err.Error())
}

// receivesVideo says whether an answer takes a video track.
func receivesVideo(answer webrtc.SessionDescription) bool {
	parsed, err := answer.Unmarshal()
	if err != nil {
		return false
	}
	for _, media := range parsed.MediaDescriptions {
		if media.MediaName.Media != "video" || media.MediaName.Port.Value == 0 {
			continue
		}
		if _, ok := media.Attribute("recvonly"); ok {
			return true
		}
		if _, ok := media.Attribute("sendrecv"); ok {
			return true
		}
	}
	return false
}

// iceFragments returns the ICE user name fragments of an offer.
func iceFragments(offer string) (list []string) {
	for line := range strings.Lines(offer) {
		if f, ok := strings.CutPrefix(strings.TrimSpace(line), "a=ice-ufrag:"); ok {
			list = append(list, f)
		}
	}
	return list
}

// sameICE says whether a fragment that came later belongs to the offer.
func (p *whipSession) sameICE(fragment string) bool {
	if fragment == "" {
		return true
	}
	for _, f := range p.ufrags {
		if f == fragment {
			return true
		}
	}
	return false
}

// addCandidate takes an address of the publisher that came after the offer.
func (p *whipSession) addCandidate(c webrtc.ICECandidateInit) error {
	if p.trickles.Add(1) > maxCandidates {
		return errors.New("too many candidates")
	}
	return p.pc.AddICECandidate(c)
}

// track is called by the library for each track when its first packet came.
func (p *whipSession) track(track *webrtc.TrackRemote, receiver *webrtc.RTPReceiver) {
	codec := codecVP8
	switch {
	case track.Kind() != webrtc.RTPCodecTypeVideo:
		return // sound is not listened to
	case strings.EqualFold(track.Codec().MimeType, webrtc.MimeTypeH264):
		codec = codecH264
	}
	select {
	case p.tracks <- incoming{track, receiver, codec}:
	default: // one is enough
	}
}

// state is called by the library when the connection changes.
func (p *whipSession) state(s webrtc.PeerConnectionState) {
	p.adrift.Store(s == webrtc.PeerConnectionStateDisconnected)
	switch s {
	case webrtc.PeerConnectionStateFailed:
		p.end(errors.New("the connection broke"))
	case webrtc.PeerConnectionStateClosed:
		p.end(fmt.Errorf("the %s left", p.peer))
	}
}

// serve plays the session to q until it ends, and says why. came is false when no packet ever arrived.
func (p *whipSession) serve(ctx context.Context, q *Queue) (came bool, err error) {
	defer p.close()
	reap := time.NewTimer(p.connectTime)
	defer reap.Stop()
	select {
	case in := <-p.tracks:
		return true, p.play(ctx, in, q)
	case <-p.ended:
		return false, p.cause
	case <-reap.C:
		return false, fmt.Errorf("no video arrived within %s (ICE is %s); check that UDP gets through", p.connectTime, p.pc.ICEConnectionState())
	case <-ctx.Done():
		return false, ctx.Err()
	}
}

// play reads one track until the session ends. All that it started has ended when it returns.
func (p *whipSession) play(ctx context.Context, in incoming, q *Queue) error {
	keyed := new(atomic.Bool)
	wanted := make(chan struct{}, 1) // a key frame
	builder, err := newAssembler(in.codec, nil, func(u *Unit) {
		keyed.Store(true)
		q.Offer(u)
	})
	if err != nil {
		return err
	}
	builder.clock.skewed = func(ahead time.Duration) {
		p.log.Info("the clock of the "+p.peer+" is wrong, arrival times are used", "ahead", ahead.Round(time.Millisecond))
	}
	p.lastPacket.Store(int64(time.Since(p.started)))
	p.log.Info(p.peer+" connected", "codec", in.codec.name())

	var readers sync.WaitGroup
	defer readers.Wait()
	defer p.close() // makes the readers end
	readers.Go(func() {
		p.end(p.readPackets(in.track, builder, wanted))
	})
	readers.Go(func() { readReports(in.receiver, builder.clock) })
	return p.watch(ctx, in.track, keyed, wanted)
}

// readPackets feeds the builder until the track ends.
func (p *whipSession) readPackets(track *webrtc.TrackRemote, builder *assembler, wanted chan struct{}) error {
	order := &reorder{deliver: func(packet *rtp.Packet, arrived time.Time) {
		if builder.packet(packet, arrived) {
			signal(wanted)
		}
	}}
	buffer := make([]byte, maxRTPPacket)
	for {
		n, _, err := track.Read(buffer)
		switch {
		case errors.Is(err, io.ErrShortBuffer):
			continue
		case err != nil:
			return fmt.Errorf("the %s left", p.peer)
		}
		packet := new(rtp.Packet)
		if packet.Unmarshal(append([]byte(nil), buffer[:n]...)) != nil {
			continue
		}
		now := time.Now()
		p.lastPacket.Store(int64(now.Sub(p.started)))
		order.push(packet, now)
	}
}

// readReports feeds the clock until the receiver ends.
func readReports(receiver *webrtc.RTPReceiver, clock *captureClock) {
	for {
		packets, _, err := receiver.ReadRTCP()
		if err != nil {
			return
		}
		for _, packet := range packets {
			if report, ok := packet.(*rtcp.SenderReport); ok {
				clock.report(report.NTPTime, report.RTPTime)
			}
		}
	}
}

// watch asks for key frames and waits for the end: by ctx, by end, or because packets no longer come.
func (p *whipSession) watch(ctx context.Context, track *webrtc.TrackRemote, keyed *atomic.Bool, wanted <-chan struct{}) error {
	tick := time.NewTicker(keyFrameAtMost)
	defer tick.Stop()
	asked := time.Time{}
	want := true
	for {
		if want && time.Since(asked) >= keyFrameAtMost {
			asked, want = time.Now(), false
			pli := &rtcp.PictureLossIndication{MediaSSRC: uint32(track.SSRC())}
			p.pc.WriteRTCP([]rtcp.Packet{pli}) //nolint:errcheck // asked again until there is one
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-p.ended:
			return p.cause
		case <-wanted:
			want = true
		case <-tick.C:
			want = want || !keyed.Load() && time.Since(asked) >= keyFrameEvery
			if silent := time.Since(p.started) - time.Duration(p.lastPacket.Load()); silent > p.silent {
				return fmt.Errorf("no packet from the %s for %s", p.peer, p.silent)
			}
		}
	}
}
