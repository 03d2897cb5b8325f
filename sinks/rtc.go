package sinks

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/interceptor"
	"github.com/pion/logging"
	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"
)

// h264Format is what the encoder makes: constrained baseline. The level is only a hint to receivers.
const h264Format = "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f"

const gatherTimeout = 5 * time.Second // own addresses only: milliseconds, unless an interface hangs

// rtc makes peer connections that send H.264 and nothing else.
type rtc struct {
	api *webrtc.API
	mux ice.UDPMux // nil: a port for each connection
}

func newRTC(cfg Config, loopback bool, log *slog.Logger) (*rtc, error) {
	media := &webrtc.MediaEngine{}
	feedback := []webrtc.RTCPFeedback{{Type: "ccm", Parameter: "fir"}, {Type: "nack"}, {Type: "nack", Parameter: "pli"}}
	for i, format := range []string{h264Format, strings.Replace(h264Format, "42e01f", "42001f", 1)} {
		err := media.RegisterCodec(webrtc.RTPCodecParameters{PayloadType: webrtc.PayloadType(102 + 2*i), RTPCodecCapability: webrtc.RTPCodecCapability{
			MimeType: webrtc.MimeTypeH264, ClockRate: 90000, SDPFmtpLine: format, RTCPFeedback: feedback}}, webrtc.RTPCodecTypeVideo)
		if err != nil {
			return nil, fmt.Errorf("set up WebRTC: %w", err)
		}
	}
	registry := &interceptor.Registry{}
	if err := webrtc.ConfigureNack(media, registry); err != nil {
		return nil, fmt.Errorf("set up WebRTC: %w", err)
	}
	if err := webrtc.ConfigureRTCPReports(registry); err != nil {
		return nil, fmt.Errorf("set up WebRTC: %w", err)
	}
	r := &rtc{}
	settings, err := r.settings(cfg, loopback, log)
	if err != nil {
		return nil, err
	}
	r.api = webrtc.NewAPI(webrtc.WithMediaEngine(media), webrtc.WithInterceptorRegistry(registry), webrtc.WithSettingEngine(settings))
	return r, nil
}

func (r *rtc) settings(cfg Config, loopback bool, log *slog.Logger) (webrtc.SettingEngine, error) {
	s := webrtc.SettingEngine{LoggerFactory: rtcLogs{log}}
	s.SetIncludeLoopbackCandidate(loopback)
	s.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled) // a viewer's hidden addresses are learnt from its checks
	s.SetICETimeouts(8*time.Second, 15*time.Second, 2*time.Second)
	s.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4, webrtc.NetworkTypeUDP6})
	if len(cfg.MediaHosts) > 0 {
		err := s.SetICEAddressRewriteRules(webrtc.ICEAddressRewriteRule{External: cfg.MediaHosts, AsCandidateType: webrtc.ICECandidateTypeHost})
		if err != nil {
			return s, fmt.Errorf("advertise media hosts %v: %w", cfg.MediaHosts, err)
		}
	}
	if cfg.MediaPort > 0 {
		options := []ice.UDPMuxFromPortOption{ice.UDPMuxFromPortWithLogger(rtcLogs{log}.NewLogger("mux"))}
		if loopback {
			options = append(options, ice.UDPMuxFromPortWithLoopback())
		}
		mux, err := ice.NewMultiUDPMuxFromPort(cfg.MediaPort, options...)
		if err != nil {
			return s, fmt.Errorf("listen on UDP port %d for media: %w", cfg.MediaPort, err)
		}
		r.mux = mux
		s.SetICEUDPMux(mux)
	}
	return s, nil
}

func (r *rtc) close() error {
	if r.mux == nil {
		return nil
	}
	return r.mux.Close()
}

var errNoH264 = errors.New("the offer has no video section that receives H.264 (packetization-mode 1)")

// checkOffer refuses what could not be played, before any resource is spent on it.
func checkOffer(offer []byte) error {
	if len(offer) == 0 {
		return errors.New("parse SDP offer: it is empty")
	}
	var d sdp.SessionDescription
	if err := d.Unmarshal(offer); err != nil {
		return fmt.Errorf("parse SDP offer: %w", err)
	}
	if len(d.MediaDescriptions) > 16 {
		return fmt.Errorf("parse SDP offer: %d media sections, at most 16 are taken", len(d.MediaDescriptions))
	}
	for _, m := range d.MediaDescriptions {
		if m.MediaName.Media == "video" && receives(m) && hasH264(m) {
			return nil
		}
	}
	return errNoH264
}

func receives(m *sdp.MediaDescription) bool {
	for _, a := range m.Attributes {
		if a.Key == "sendonly" || a.Key == "inactive" {
			return false
		}
	}
	return true
}

func hasH264(m *sdp.MediaDescription) bool {
	h264 := map[string]bool{}
	for _, a := range m.Attributes {
		if number, codec, ok := strings.Cut(a.Value, " "); ok && a.Key == "rtpmap" && strings.EqualFold(codec, "H264/90000") {
			h264[number] = true
		}
	}
	for _, a := range m.Attributes {
		number, format, _ := strings.Cut(a.Value, " ")
		if a.Key == "fmtp" && h264[number] && strings.Contains(format, "packetization-mode=1") {
			return true
		}
	}
	return false
}

// answer makes a connection that sends track to whoever made the offer. The answer holds all candidates.
func (r *rtc) answer(offer string, track webrtc.TrackLocal) (*webrtc.PeerConnection, *webrtc.RTPSender, error) {
	pc, err := r.api.NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		return nil, nil, fmt.Errorf("make peer connection: %w", err)
	}
	sender, err := negotiate(pc, offer, track)
	if err != nil {
		return nil, nil, errors.Join(err, pc.GracefulClose())
	}
	return pc, sender, nil
}

func negotiate(pc *webrtc.PeerConnection, offer string, track webrtc.TrackLocal) (*webrtc.RTPSender, error) {
	if err := pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: offer}); err != nil {
		return nil, fmt.Errorf("take offer: %w", err)
	}
	sender, err := pc.AddTrack(track)
	if err != nil {
		return nil, fmt.Errorf("add track: %w", err)
	}
	answer, err := pc.CreateAnswer(nil)
	if err != nil {
		return nil, fmt.Errorf("make answer: %w", err)
	}
	gathered := webrtc.GatheringCompletePromise(pc)
	if err := pc.SetLocalDescription(answer); err != nil {
		return nil, fmt.Errorf("make answer: %w", err)
	}
	timeout := time.NewTimer(gatherTimeout)
	defer timeout.Stop()
	select {
	case <-gathered:
	case <-timeout.C:
	}
	if !sends(pc.LocalDescription().SDP) {
		return nil, errNoH264
	}
	return sender, nil
}

// sends says whether an answer accepts a video section that sends.
func sends(answer string) bool {
	var d sdp.SessionDescription
	if d.UnmarshalString(answer) != nil {
		return false
	}
	for _, m := range d.MediaDescriptions {
		if m.MediaName.Media != "video" || m.MediaName.Port.Value == 0 {
			continue
		}
		for _, a := range m.Attributes {
			if a.Key == "sendonly" || a.Key == "sendrecv" {
				return true
			}
		}
	}
	return false
}

// rtcLogs sends pion's log lines to ours at debug level: what matters of them comes back as errors and states.
type rtcLogs struct{ log *slog.Logger }

func (l rtcLogs) NewLogger(scope string) logging.LeveledLogger {
	return rtcLog{l.log.With("scope", "webrtc."+scope)}
}

type rtcLog struct{ log *slog.Logger }

func (l rtcLog) Trace(string)          {}
func (l rtcLog) Tracef(string, ...any) {}
func (l rtcLog) Debug(string)          {}
func (l rtcLog) Debugf(string, ...any) {}
func (l rtcLog) Info(string)           {}
func (l rtcLog) Infof(string, ...any)  {}
func (l rtcLog) Warn(s string)         { l.log.Debug(s) }
func (l rtcLog) Warnf(f string, a ...any) {
	l.log.Debug(fmt.Sprintf(f, a...))
}
func (l rtcLog) Error(s string) { l.log.Debug(s) }
func (l rtcLog) Errorf(f string, a ...any) {
	l.log.Debug(fmt.Sprintf(f, a...))
}
