package ingest

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"strings"
	"syscall"

	"github.com/bluenviron/gortsplib/v5/pkg/base"
	"github.com/bluenviron/gortsplib/v5/pkg/headers"
	"github.com/bluenviron/gortsplib/v5/pkg/liberrors"
)

// printableAddress is the address without user, password and query.
func printableAddress(u *base.URL) string {
	path := secretInPath.ReplaceAllString(u.Path, "$1=***")
	if u.RawQuery != "" {
		path += "?…"
	}
	return fmt.Sprintf("%s://%s%.200s", u.Scheme, u.Host, path)
}

// secretInPath finds passwords where some cameras want them: /user=admin_password=x_channel=1.sdp.
var secretInPath = regexp.MustCompile(`(?i)(pass\w*|pwd|psw)=[^&/_;]*`)

// unparsedAddress shows of an address that cannot be parsed what certainly is no secret.
func unparsedAddress(source string) string {
	scheme, _, _ := strings.Cut(source, "://")
	return strings.ToLower(scheme) + "://…"
}

// explain makes an error for people of what ended a session: address, what happened, remedy.
func (s *rtspSource) explain(err error, session *rtspSession) error {
	verb := "connect to"
	if session.playing {
		verb = "read from"
	}
	class, text := s.diagnose(err, session)
	return &Error{Class: class, Err: s.redact.error(fmt.Errorf("%s %s: %s: %w", verb, s.address, text, shorten(err)))}
}

func (s *rtspSource) diagnose(err error, session *rtspSession) (Class, string) {
	var track *trackError
	var redirect *redirectError
	var status liberrors.ErrClientBadStatusCode
	var auth liberrors.ErrClientAuthSetup
	switch {
	case errors.As(err, &status):
		return s.diagnoseStatus(status, session)
	case errors.As(err, &auth):
		return Unauthorized, fmt.Sprintf("it asks for %s authentication, which is not supported; set the camera to digest",
			session.challenges())
	case errors.As(err, &track):
		return Retry, "its stream cannot be used"
	case errors.As(err, &redirect):
		return Retry, "the redirect was refused; if it is right, give that address as the source"
	case errors.Is(err, errStalled):
		return Retry, fmt.Sprintf("no packet for %s; check the camera and the network", s.read)
	}
	return Retry, s.diagnoseNetwork(err, session)
}

func (s *rtspSource) diagnoseStatus(status liberrors.ErrClientBadStatusCode, session *rtspSession) (Class, string) {
	switch status.Code {
	case base.StatusUnauthorized:
		if session.staleNonce() {
			return Retry, "its login challenge ran out"
		}
		if s.url.User == nil {
			return Unauthorized, fmt.Sprintf("it asks for a user and a password (%s); write user:{PASSWORD}@ before the host",
				session.challenges())
		}
		return Unauthorized, fmt.Sprintf("authentication refused (%s); check user and password, special characters percent-encoded",
			session.challenges())
	case base.StatusForbidden:
		return Unauthorized, "access denied; the user may lack the right to view, or the camera has locked us out"
	case base.StatusNotFound:
		return Retry, "the camera has no such path; its manual names its stream paths"
	case base.StatusUnsupportedTransport:
		return Retry, "it refuses RTP over TCP; allow RTP over RTSP (TCP) in the camera"
	case base.StatusServiceUnavailable, base.StatusNotEnoughBandwidth:
		return Retry, "the camera is busy or serves too many viewers; close other connections to it"
	}
	return Retry, "the camera answered with an error"
}

func (s *rtspSource) diagnoseNetwork(err error, session *rtspSession) string {
	var network net.Error
	var name *net.DNSError
	var record tls.RecordHeaderError
	var invalid *tls.CertificateVerificationError
	var requestTimedOut liberrors.ErrClientRequestTimedOut
	var silent liberrors.ErrClientTCPTimeout
	var sdp liberrors.ErrClientSDPInvalid
	switch {
	case errors.As(err, &name):
		return "the host's name cannot be resolved; check its spelling and the DNS server"
	case errors.As(err, &invalid), errors.As(err, new(x509.UnknownAuthorityError)), errors.As(err, new(x509.HostnameError)):
		return "its TLS certificate is not trusted; add its authority to the system's certificates (or name the file in SSL_CERT_FILE)"
	case errors.As(err, &record):
		return "it does not speak TLS; use rtsp:// or another port"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused; check that the camera is on, and the port"
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return "no route to the host; check the address and the network"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "the camera reset the connection"
	case session.late.Load(), errors.As(err, &requestTimedOut), errors.As(err, &silent), errors.As(err, &network) && network.Timeout():
		return fmt.Sprintf("timed out after %s without an answer; check the address, the camera and the network", s.dial)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "the camera closed the connection"
	case errors.As(err, &sdp):
		return "its description of the stream cannot be read"
	}
	return "the session failed"
}

// challenges describes what the camera asked to authenticate with: digest MD5, realm "Gate".
func (s *rtspSession) challenges() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []string
	for _, challenge := range s.challenge[:min(len(s.challenge), 4)] {
		list = append(list, describeChallenge(challenge))
	}
	if len(list) == 0 {
		return "no method named"
	}
	return strings.Join(list, "; ")
}

func describeChallenge(challenge string) string {
	var h headers.Authenticate
	if err := h.Unmarshal(base.HeaderValue{challenge}); err != nil {
		method, rest, _ := strings.Cut(challenge, " ")
		if a := algorithm.FindStringSubmatch(rest); a != nil {
			method += " " + a[1]
		}
		return fmt.Sprintf("%.40q", method)
	}
	method := "basic"
	if h.Method == headers.AuthMethodDigest {
		method = "digest MD5"
		if h.Algorithm != nil && *h.Algorithm == headers.AuthAlgorithmSHA256 {
			method = "digest SHA-256"
		}
	}
	return fmt.Sprintf("%s, realm %.64q", method, h.Realm)
}

var algorithm = regexp.MustCompile(`(?i)algorithm="?([\w-]{1,32})`)

// staleNonce says whether the camera refused only because its challenge had run out.
func (s *rtspSession) staleNonce() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, challenge := range s.challenge {
		if stale.MatchString(challenge) {
			return true
		}
	}
	return false
}

var stale = regexp.MustCompile(`(?i)\bstale="?true`)

// shorten bounds the text of an error that quotes what a camera sent.
func shorten(err error) error {
	if text := err.Error(); len(text) > maxErrorText {
		return &redactedError{strings.ToValidUTF8(text[:maxErrorText], "") + "…", err}
	}
	return err
}

// maxErrorText is the longest error text of a library that is passed on, in bytes.
const maxErrorText = 300
