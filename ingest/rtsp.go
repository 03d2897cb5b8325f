package ingest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bluenviron/gortsplib/v5"
	"github.com/bluenviron/gortsplib/v5/pkg/base"
	"github.com/bluenviron/gortsplib/v5/pkg/description"
	"github.com/bluenviron/gortsplib/v5/pkg/format"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"
)

const (
	defaultDialTimeout = 5 * time.Second
	defaultReadTimeout = 5 * time.Second
	connectSteps       = 3                      // times the dial timeout: what the whole of connecting may take
	teardownTime       = 500 * time.Millisecond // for the last word to the camera
	keyFramePatience   = 10 * time.Second       // without a key frame, before a warning
)

// rtspSource reads one camera by RTSP, RTP interleaved in its TCP connection.
type rtspSource struct {
	camera  string
	url     *base.URL
	address string // of the camera, for people: no secrets
	dial    time.Duration
	read    time.Duration
	roots   *x509.CertPool // nil = the system's
	redact  redactor
	log     *slog.Logger
}

// newRTSPSource checks the address; nothing is opened before Run.
func newRTSPSource(cfg CameraConfig, log *slog.Logger) (Source, error) {
	u, err := base.ParseURL(cfg.Source)
	if err != nil { // the error quotes the address, and where the parser stumbled is often inside a password
		return nil, fmt.Errorf("open source %s: the address cannot be parsed; write rtsp://user:password@host:port/path, "+
			"with special characters of user and password percent-encoded (@ is %%40, / is %%2F, # is %%23, %% is %%25)",
			unparsedAddress(cfg.Source))
	}
	s := &rtspSource{
		camera:  cfg.Name,
		url:     u,
		address: printableAddress(u),
		dial:    cfg.DialTimeout,
		read:    cfg.ReadTimeout,
		redact:  newRedactor(cfg.Source),
		log:     log,
	}
	if u.Hostname() == "" {
		return nil, fmt.Errorf("open source %s: the address names no host; write rtsp://user:password@host:port/path", s.address)
	}
	if s.dial <= 0 {
		s.dial = defaultDialTimeout
	}
	if s.read <= 0 {
		s.read = defaultReadTimeout
	}
	return s, nil
}

// Run connects once, see Source.
func (s *rtspSource) Run(ctx context.Context, q *Queue) error {
	session := newRTSPSession(s, q)
	err := session.run(ctx)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err == nil {
		err = io.EOF
	}
	return s.explain(err, session)
}

// rtspSession is one connection to the camera.
type rtspSession struct {
	*rtspSource
	queue   *Queue
	client  *gortsplib.Client
	dialer  *rtspDialer
	builder *assembler
	started time.Time

	lastPacket atomic.Int64 // nanoseconds after started, of the newest RTP packet
	late       atomic.Bool  // connecting took too long
	units      atomic.Uint64

	mu        sync.Mutex // protects challenge
	challenge []string   // what the camera asked to authenticate with, if it did
	playing   bool
}

func newRTSPSession(s *rtspSource, q *Queue) *rtspSession {
	session := &rtspSession{rtspSource: s, queue: q, dialer: &rtspDialer{host: s.url.Hostname()}, started: time.Now()}
	tcp := gortsplib.ProtocolTCP
	session.client = &gortsplib.Client{
		Scheme:            s.url.Scheme,
		Host:              s.url.Host,
		Protocol:          &tcp,
		ReadTimeout:       max(s.dial, s.read+time.Second), // ours come first
		WriteTimeout:      s.dial,
		TLSConfig:         &tls.Config{ServerName: s.url.Hostname(), RootCAs: s.roots, MinVersion: tls.VersionTLS12},
		UserAgent:         "sightline",
		DialContext:       session.dialer.dial,
		OnResponse:        session.response,
		OnTransportSwitch: func(error) {},
		OnPacketsLost:     func(uint64) {}, // counted by the assembler
		OnDecodeError: func(err error) {
			s.log.Debug("camera sent a packet that cannot be read", "error", err)
		},
	}
	return session
}

// run plays until something ends it, and returns what.
func (s *rtspSession) run(ctx context.Context) error {
	if err := s.client.Start(); err != nil {
		return err
	}
	if err := s.connect(ctx); err != nil {
		s.dialer.cut()
		s.client.Close()
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- s.client.Wait() }()
	err, alive := s.watch(ctx, ended)
	if alive {
		cut := time.AfterFunc(teardownTime, s.dialer.cut)
		s.client.Close()
		<-ended
		cut.Stop()
	}
	s.log.Debug("camera session ended", "units", s.units.Load(), "losses", s.builder.losses)
	return err
}

// connect goes as far as PLAY. Cancelling ctx and taking too long cut the connection.
func (s *rtspSession) connect(ctx context.Context) error {
	s.dialer.setLimit(s.dial)
	defer context.AfterFunc(ctx, s.dialer.cut)()
	budget := time.AfterFunc(connectSteps*s.dial, func() {
		s.late.Store(true)
		s.dialer.cut()
	})
	defer budget.Stop()
	stream, _, err := s.client.Describe(s.url)
	if err != nil {
		return err
	}
	media, codec, err := chooseTrack(stream)
	if err != nil {
		return err
	}
	if err := s.prepare(media, codec); err != nil {
		return err
	}
	if _, err := s.client.Setup(stream.BaseURL, media, 0, 0); err != nil {
		return err
	}
	s.client.OnPacketRTP(media, codec, s.packet)
	s.client.OnPacketRTCP(media, s.control)
	s.lastPacket.Store(int64(time.Since(s.started)))
	if _, err := s.client.Play(nil); err != nil {
		return err
	}
	s.playing = true
	s.dialer.setLimit(0) // from here on watch looks at RTP
	s.lastPacket.Store(int64(time.Since(s.started)))
	return nil
}

// prepare makes the assembler for the chosen track.
func (s *rtspSession) prepare(media *description.Media, chosen format.Format) (err error) {
	codec, sets := codecH264, [][]byte(nil)
	switch f := chosen.(type) {
	case *format.H264:
		if f.PacketizationMode > 1 {
			return &trackError{"H.264 in interleaved packetization mode 2, which is not supported", "set the camera to packetization mode 1"}
		}
		sps, pps := f.SafeParams()
		sets = [][]byte{sps, pps}
	case *format.H265:
		if f.MaxDONDiff != 0 {
			return &trackError{"H.265 with interleaved NAL units, which is not supported", "set the camera to H.264"}
		}
		vps, sps, pps := f.SafeParams()
		codec, sets = codecH265, [][]byte{vps, sps, pps}
	}
	s.builder, err = newAssembler(codec, sets, func(u *Unit) {
		s.units.Add(1)
		s.queue.Offer(u)
	})
	if err != nil {
		return err
	}
	s.builder.clock.skewed = func(ahead time.Duration) {
		s.log.Warn("camera clock is wrong, arrival times are used; give the camera an NTP server",
			"ahead", ahead.Round(time.Millisecond))
	}
	return nil
}

// packet is called by the library's reading goroutine for each RTP packet of the track, in order.
func (s *rtspSession) packet(p *rtp.Packet) {
	now := time.Now()
	s.lastPacket.Store(int64(now.Sub(s.started)))
	s.builder.packet(p, now)
}

// control is called by the library's reading goroutine for each RTCP packet of the track.
func (s *rtspSession) control(p rtcp.Packet) {
	if report, ok := p.(*rtcp.SenderReport); ok {
		s.builder.clock.report(report.NTPTime, report.RTPTime)
	}
}

// response notes what the camera wants for authentication.
func (s *rtspSession) response(r *base.Response) {
	challenge := r.Header["WWW-Authenticate"]
	if r.StatusCode == base.StatusUnauthorized && len(challenge) > 0 { // a refused password often gets none
		s.mu.Lock()
		s.challenge = challenge
		s.mu.Unlock()
	}
}

// errStalled is returned when RTP packets no longer come although the connection stands.
var errStalled = errors.New("stalled")

// watch waits for the end of the session: by ctx, by the library (then alive is false), or because no packet came for too long.
func (s *rtspSession) watch(ctx context.Context, ended <-chan error) (err error, alive bool) { //nolint:revive // reads better
	timer := time.NewTimer(s.read)
	defer timer.Stop()
	warn := time.NewTimer(keyFramePatience)
	defer warn.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err(), true
		case err := <-ended:
			return err, false
		case <-warn.C:
			if s.units.Load() == 0 {
				s.log.Warn("no key frame yet; set the camera's key frame (I-frame) interval to one or two seconds",
					"waited", keyFramePatience)
			}
		case <-timer.C:
			silent := time.Since(s.started) - time.Duration(s.lastPacket.Load())
			if silent >= s.read {
				return errStalled, true
			}
			timer.Reset(s.read - silent)
		}
	}
}

// chooseTrack picks the first H.264 track, else the first H.265 track. Sound and metadata are left alone.
func chooseTrack(stream *description.Session) (*description.Media, format.Format, error) {
	var video []string
	var second *description.Media
	var h265 *format.H265
	for _, media := range stream.Medias {
		if media.IsBackChannel {
			continue
		}
		for _, f := range media.Formats {
			switch f := f.(type) {
			case *format.H264:
				return media, f, nil
			case *format.H265:
				if second == nil {
					second, h265 = media, f
				}
			default:
				if media.Type == description.MediaTypeVideo {
					video = append(video, f.Codec())
				}
			}
		}
	}
	switch {
	case second != nil:
		return second, h265, nil
	case len(video) > 0:
		return nil, nil, &trackError{fmt.Sprintf("video in %.100q, which is not supported", strings.Join(video, ", ")), "set the camera's stream to H.264"}
	}
	return nil, nil, &trackError{"no video track", "choose a stream with video; the camera's manual names its paths"}
}

// trackError is returned when what the camera offers cannot be used.
type trackError struct{ offers, remedy string }

func (e *trackError) Error() string { return "the camera offers " + e.offers + "; " + e.remedy }
