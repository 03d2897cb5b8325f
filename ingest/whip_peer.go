package ingest

import (
	"fmt"
	"sync"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/interceptor"
	"github.com/pion/logging"
	"github.com/pion/webrtc/v4"
)

// peers makes peer connections that receive video.
type peers struct {
	loopback bool // offer candidates on the loopback interface too

	once sync.Once
	api  *webrtc.API
	err  error
}

func (p *peers) connection() (*webrtc.PeerConnection, error) {
	p.once.Do(func() { p.api, p.err = receivingAPI(p.loopback) })
	if p.err != nil {
		return nil, p.err
	}
	return p.api.NewPeerConnection(webrtc.Configuration{})
}

// receivingAPI sets WebRTC up: UDP over IPv4 from any port, no servers, no multicast DNS.
func receivingAPI(loopback bool) (*webrtc.API, error) {
	var media webrtc.MediaEngine
	if err := registerCodecs(&media); err != nil {
		return nil, fmt.Errorf("set up WebRTC: %w", err)
	}
	var registry interceptor.Registry
	if err := webrtc.RegisterDefaultInterceptors(&media, &registry); err != nil {
		return nil, fmt.Errorf("set up WebRTC: %w", err)
	}
	var settings webrtc.SettingEngine
	settings.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4})
	settings.SetIncludeLoopbackCandidate(loopback)
	settings.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	settings.SetICETimeouts(3*time.Second, 10*time.Second, 2*time.Second)
	settings.LoggerFactory = &logging.DefaultLoggerFactory{DefaultLogLevel: logging.LogLevelDisabled}
	return webrtc.NewAPI(webrtc.WithMediaEngine(&media), webrtc.WithInterceptorRegistry(&registry), webrtc.WithSettingEngine(settings)), nil
}

// h264Profiles are those of H.264 that publishers offer: baseline, constrained baseline, main, high, constrained high.
var h264Profiles = []string{"42001f", "42e01f", "4d001f", "64001f", "640c1f"}

// registerCodecs makes H.264 and VP8 known, and Opus so that sound in an offer does no harm: it is not listened to.
func registerCodecs(m *webrtc.MediaEngine) error {
	feedback := []webrtc.RTCPFeedback{{Type: "goog-remb"}, {Type: "ccm", Parameter: "fir"}, {Type: "nack"}, {Type: "nack", Parameter: "pli"}}
	pt := webrtc.PayloadType(96)
	video := func(mime, fmtp string) error {
		c := webrtc.RTPCodecCapability{MimeType: mime, ClockRate: rtpClockRate, SDPFmtpLine: fmtp, RTCPFeedback: feedback}
		if err := m.RegisterCodec(webrtc.RTPCodecParameters{RTPCodecCapability: c, PayloadType: pt}, webrtc.RTPCodecTypeVideo); err != nil {
			return err
		}
		again := webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeRTX, ClockRate: rtpClockRate, SDPFmtpLine: fmt.Sprintf("apt=%d", pt)}
		err := m.RegisterCodec(webrtc.RTPCodecParameters{RTPCodecCapability: again, PayloadType: pt + 1}, webrtc.RTPCodecTypeVideo)
		pt += 2
		return err
	}
	for _, profile := range h264Profiles {
		if err := video(webrtc.MimeTypeH264, "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id="+profile); err != nil {
			return err
		}
	}
	if err := video(webrtc.MimeTypeVP8, ""); err != nil {
		return err
	}
	opus := webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2, SDPFmtpLine: "minptime=10;useinbandfec=1"}
	return m.RegisterCodec(webrtc.RTPCodecParameters{RTPCodecCapability: opus, PayloadType: 120}, webrtc.RTPCodecTypeAudio)
}
