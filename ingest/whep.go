package ingest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/pion/webrtc/v4"
)

const whepTries = 3 // redirects that are followed

// whepSource watches a stream that another server offers by WHEP: a camera, or a media server in front of one.
type whepSource struct {
	url     *url.URL // without user and password
	user    *url.Userinfo
	silent  time.Duration
	connect time.Duration
	log     *slog.Logger
	client  *http.Client
	peers   *peers
	redact  redactor
}

// newWHEPSource reads an address such as https://host/camera/whep. user:password@ in front of the host is sent as basic
// authentication, :token@ as a bearer token.
func newWHEPSource(cfg CameraConfig, log *slog.Logger) (Source, error) {
	u, err := url.Parse(cfg.Source)
	if err != nil || u.Host == "" {
		return nil, fmt.Errorf("open source %s: no address that can be read; write http://host/path/whep", unparsedAddress(cfg.Source))
	}
	s := &whepSource{
		user: u.User, silent: cfg.ReadTimeout, connect: cfg.DialTimeout, log: log, redact: newRedactor(cfg.Source),
		client: &http.Client{CheckRedirect: func(_ *http.Request, via []*http.Request) error {
			if len(via) > whepTries {
				return errors.New("too many redirects")
			}
			return nil
		}},
	}
	if s.silent <= 0 {
		s.silent = defaultReadTimeout
	}
	if s.connect <= 0 {
		s.connect = defaultDialTimeout
	}
	u.User = nil
	s.url = u
	ip := net.ParseIP(u.Hostname())
	s.peers = &peers{loopback: u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()}
	return s, nil
}

// Run watches the stream until it ends.
func (s *whepSource) Run(ctx context.Context, q *Queue) error {
	session := newWHIPSession("server", s.silent, whipConnectTime, s.log)
	defer session.close()
	resource, err := s.subscribe(ctx, session)
	if err != nil {
		return s.explain(ctx, "connect to", err)
	}
	defer s.leave(resource)
	_, err = session.serve(ctx, q)
	return s.explain(ctx, "read from", err)
}

// explain gives an error its class, and the address without what is secret.
func (s *whepSource) explain(ctx context.Context, verb string, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	class := Retry
	var refused *whepRefusal
	if errors.As(err, &refused) && (refused.status == http.StatusUnauthorized || refused.status == http.StatusForbidden) {
		class = Unauthorized
	}
	return &Error{Class: class, Err: s.redact.error(fmt.Errorf("%s %s://%s%s: %w", verb, s.url.Scheme, s.url.Host, s.url.Path, err))}
}

// subscribe offers to receive and takes the answer. It returns the address at which the session is ended, nil where the
// server names none.
func (s *whepSource) subscribe(ctx context.Context, session *whipSession) (*url.URL, error) {
	offer, err := session.offer(ctx, s.peers)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.connect)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url.String(), strings.NewReader(offer))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/sdp")
	request.Header.Set("Accept", "application/sdp")
	s.authorize(request)
	answer, err := s.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	sdp, err := readAnswer(answer)
	if err != nil {
		return nil, err
	}
	resource, err := answer.Location()
	if err != nil || resource.Host != answer.Request.URL.Host {
		resource = nil // no other host is told anything
	}
	return resource, session.answered(sdp)
}

func (s *whepSource) authorize(r *http.Request) {
	if s.user == nil {
		return
	}
	password, _ := s.user.Password()
	if s.user.Username() == "" {
		r.Header.Set("Authorization", "Bearer "+password)
		return
	}
	r.SetBasicAuth(s.user.Username(), password)
}

// leave tells the server that nobody watches any more.
func (s *whepSource) leave(resource *url.URL) {
	if resource == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodDelete, resource.String(), http.NoBody)
	if err != nil {
		return
	}
	s.authorize(request)
	answer, err := s.client.Do(request)
	if err != nil {
		s.log.Debug("the server was not told that the session is over", "error", s.redact.error(err))
		return
	}
	answer.Body.Close()
}

// whepRefusal is an answer that is no stream.
type whepRefusal struct{ status int }

// Error names the status and what to do about it.
func (e *whepRefusal) Error() string {
	remedy := "is this the address of a WHEP stream?"
	switch e.status {
	case http.StatusUnauthorized, http.StatusForbidden:
		remedy = "write user:{PASSWORD}@ before the host, or :{TOKEN}@ for a bearer token"
	case http.StatusNotFound:
		remedy = "the server has no such stream, or nobody publishes it now"
	case http.StatusConflict, http.StatusServiceUnavailable, http.StatusTooManyRequests:
		remedy = "the stream is not ready, or has too many viewers"
	}
	return fmt.Sprintf("it answered %d %s; %s", e.status, http.StatusText(e.status), remedy)
}

func readAnswer(answer *http.Response) (string, error) {
	if answer.StatusCode != http.StatusCreated && answer.StatusCode != http.StatusOK {
		return "", &whepRefusal{answer.StatusCode}
	}
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxSDP+1))
	switch {
	case err != nil:
		return "", fmt.Errorf("its answer did not arrive whole: %w", err)
	case len(body) > maxSDP:
		return "", fmt.Errorf("its answer is larger than %d bytes", maxSDP)
	case !strings.Contains(string(body), "m=video "):
		return "", errors.New("its answer has no video; is this the address of a WHEP stream?")
	}
	return string(body), nil
}

// offer makes an offer to receive one video, with all addresses of this host.
func (p *whipSession) offer(ctx context.Context, peers *peers) (sdp string, err error) {
	if p.pc, err = peers.connection(); err != nil {
		return "", err
	}
	p.pc.OnTrack(p.track)
	p.pc.OnConnectionStateChange(p.state)
	direction := webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly}
	if _, err := p.pc.AddTransceiverFromKind(webrtc.RTPCodecTypeVideo, direction); err != nil {
		return "", fmt.Errorf("make an offer: %w", err)
	}
	offer, err := p.pc.CreateOffer(nil)
	if err != nil {
		return "", fmt.Errorf("make an offer: %w", err)
	}
	return p.gather(ctx, offer)
}

// answered takes the other side's answer.
func (p *whipSession) answered(sdp string) error {
	if err := p.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: sdp}); err != nil {
		return fmt.Errorf("its answer cannot be used: %.200s", err.Error())
	}
	return nil
}
