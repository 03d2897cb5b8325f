package ingest

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/bluenviron/gortsplib/v5/pkg/base"
	"github.com/bluenviron/gortsplib/v5/pkg/conn"

	"github.com/sightline/sightline/ingest/decode/testclip"
	"github.com/sightline/sightline/ingest/testcam"
	"github.com/sightline/sightline/pipeline/bus"
)

// rtsp makes the source of an address; what it logs must hold no secret.
func rtsp(t *testing.T, address string) *rtspSource {
	t.Helper()
	var log logged
	t.Cleanup(func() { checkSecrets(t, log.String()) })
	s, err := newRTSPSource(CameraConfig{
		Name: "gate", Source: address, DialTimeout: patience / 3, ReadTimeout: patience / 3,
	}, log.logger())
	if err != nil {
		t.Fatal(err)
	}
	return s.(*rtspSource)
}

// with puts user and password into an address.
func with(userinfo, address string) string {
	return strings.Replace(address, "://", "://"+userinfo+"@", 1)
}

func TestRTSPPlaysAcrossTheTimestampWrap(t *testing.T) {
	t.Parallel()
	clip := testclip.Make(t, "clip.mp4", "testsrc2=size=320x180:rate=25:duration=4", testclip.H264)
	w := watch(t, rtsp(t, camera(t, clip, testcam.Options{}).URL()))
	var last pictured
	wrapped, rtcp := false, false
	for i := range 75 { // the test camera's timestamps wrap after two seconds
		p := w.next()
		if p.picture.Width != 320 || p.picture.Height != 180 {
			t.Fatalf("picture %d is %dx%d", i, p.picture.Width, p.picture.Height)
		}
		if i == 0 && !p.Key {
			t.Error("the first picture is no key frame")
		}
		if i > 0 && (p.PTS-last.PTS != 40*time.Millisecond || p.Lost) {
			t.Errorf("picture %d is %s after the one before, lost %v", i, p.PTS-last.PTS, p.Lost)
		}
		if age := time.Since(p.CapturedAt); age < 0 || age > patience {
			t.Errorf("picture %d was taken %s ago", i, age)
		}
		wrapped = wrapped || i > 0 && p.RTPTimestamp < last.RTPTimestamp
		rtcp = rtcp || p.Clock == bus.ClockRTCP
		last = p
	}
	if !wrapped || !rtcp {
		t.Errorf("timestamps wrapped: %v; camera's clock used: %v", wrapped, rtcp)
	}
	w.stop()
	if err := w.end(); !errors.Is(err, context.Canceled) {
		t.Errorf("after cancelling: %v", err)
	}
}

func TestRTSPClockOfTheCameraIsWrong(t *testing.T) {
	t.Parallel()
	clip := testclip.Make(t, "clip.mp4", testclip.Moving, testclip.H264)
	var log logged
	s := rtsp(t, camera(t, clip, testcam.Options{ClockOffset: time.Hour}).URL())
	s.log = log.logger()
	w := watch(t, s)
	for range 15 {
		if p := w.next(); p.Clock != bus.ClockArrival || time.Since(p.CapturedAt).Abs() > patience {
			t.Errorf("taken at %s by %s", p.CapturedAt, p.Clock)
		}
	}
	if n := strings.Count(log.String(), "give the camera an NTP server"); n != 1 {
		t.Errorf("warned %d times: %s", n, log.String())
	}
}

func TestRTSPPlaysH265AndBFrames(t *testing.T) {
	t.Parallel()
	for name, output := range map[string]string{
		"h265.mp4":   "-c:v libx265 -preset ultrafast -g 10 -x265-params log-level=none -pix_fmt yuv420p",
		"bframes.ts": "-c:v libx264 -preset ultrafast -bf 2 -g 12 -pix_fmt yuv420p",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := watch(t, rtsp(t, camera(t, testclip.Make(t, name, testclip.Moving, output), testcam.Options{}).URL()))
			last := w.next()
			for range 30 {
				p := w.next()
				if p.PTS <= last.PTS {
					t.Errorf("picture at %s after one at %s", p.PTS, last.PTS)
				}
				last = p
			}
		})
	}
}

func TestRTSPAuthenticates(t *testing.T) {
	t.Parallel()
	clip := testclip.Make(t, "clip.mp4", testclip.Moving, testclip.H264)
	for _, ways := range [][]testcam.Auth{
		nil, {testcam.AuthBasic}, {testcam.AuthDigest}, {testcam.AuthDigestSHA256}, {testcam.AuthDigest, testcam.AuthDigestSHA256},
	} {
		t.Run(fmt.Sprint(ways), func(t *testing.T) {
			t.Parallel()
			c := camera(t, clip, testcam.Options{User: "admin", Password: secret, Auth: ways})
			watch(t, rtsp(t, with("admin:"+secretEscaped, c.URL()))).next()
			if s := c.Stats(); s.Refused != 0 {
				t.Errorf("%d requests were refused", s.Refused)
			}
		})
	}
}

func TestRTSPWrongPassword(t *testing.T) {
	t.Parallel()
	clip := testclip.Make(t, "clip.mp4", testclip.Moving, testclip.H264)
	for way, named := range map[testcam.Auth]string{
		testcam.AuthBasic: "basic", testcam.AuthDigest: "digest MD5", testcam.AuthDigestSHA256: "digest SHA-256",
	} {
		t.Run(named, func(t *testing.T) {
			c := camera(t, clip, testcam.Options{User: "admin", Password: "right", Auth: []testcam.Auth{way}})
			watch(t, rtsp(t, with("admin:"+secretEscaped, c.URL()))).
				fails(Unauthorized, c.Address(), "authentication refused", named, "realm", "check user and password", "401")
			if s := c.Stats(); s.Refused != 1 || s.Connections != 1 {
				t.Errorf("the password was tried %d times in %d connections, want once", s.Refused, s.Connections)
			}
			watch(t, rtsp(t, c.URL())).fails(Unauthorized, c.Address(), "asks for a user and a password", "user:{PASSWORD}@ before the host")
		})
	}
}

func TestRTSPUnreachable(t *testing.T) {
	t.Parallel()
	clip := testclip.Make(t, "clip.mp4", testclip.Moving, testclip.H264)
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	mute := serveTCP(t, silent)
	for name, test := range map[string]struct {
		address string
		words   []string
	}{
		"refused":    {"rtsp://admin:" + secretEscaped + "@" + closed.Addr().String() + "/x", []string{"connect to rtsp://" + closed.Addr().String(), "refused", "check that the camera is on"}},
		"silent":     {"rtsp://admin:" + secretEscaped + "@" + mute + "/x", []string{"timed out after 300ms"}},
		"silent TLS": {"rtsps://" + mute + "/x", []string{"timed out after 300ms"}},
		"no name":    {"rtsp://camera.invalid/x", []string{"camera.invalid", "cannot be resolved"}},
		"no path":    {camera(t, clip, testcam.Options{}).URL() + "/other", []string{"has no such path", "404", "manual"}},
		"no TLS":     {strings.Replace(camera(t, clip, testcam.Options{}).URL(), "rtsp:", "rtsps:", 1), []string{"rtsps://"}},
	} {
		t.Run(name, func(t *testing.T) {
			source := rtsp(t, test.address)
			if strings.HasPrefix(name, "silent") || name == "no TLS" {
				source.dial = 300 * time.Millisecond
			}
			watch(t, source).fails(Retry, test.words...)
		})
	}
}

func TestRTSPStallsAndResets(t *testing.T) {
	t.Parallel()
	clip := testclip.Make(t, "clip.mp4", testclip.Moving, testclip.H264)
	c := camera(t, clip, testcam.Options{})
	p := newProxy(t, c.Address())
	source := rtsp(t, "rtsp://"+p.address()+"/test")

	source.read = 3 * time.Second // a busy machine alone shall not be taken for a stall
	w := watch(t, source)
	w.next()
	began := time.Now()
	p.hole(true)
	w.fails(Retry, "read from rtsp://"+p.address(), "stalled", "no packet for 3s")
	if took := time.Since(began); took < time.Second {
		t.Errorf("the stall was noticed after %s", took)
	}

	p.hole(false)
	source.read = patience
	w = watch(t, source)
	w.next()
	w.next()
	p.reset()
	w.fails(Retry, "read from", "reset")

	w = watch(t, source) // and back again, from a key frame
	if first := w.next(); !first.Key || first.Lost {
		t.Errorf("the first picture after a reset: key %v, lost %v", first.Key, first.Lost)
	}
	w.stop()
	w.end() //nolint:errcheck // cancelled
}

func TestRTSPOverTLS(t *testing.T) {
	t.Parallel()
	server := httptest.NewTLSServer(nil) // for its certificate, which names 127.0.0.1 and example.com
	defer server.Close()
	clip := testclip.Make(t, "clip.mp4", testclip.Moving, testclip.H264)
	c := camera(t, clip, testcam.Options{User: "admin", Password: secret, TLS: &tls.Config{Certificates: server.TLS.Certificates}})
	s := rtsp(t, with("admin:"+secretEscaped, c.URL()))
	watch(t, s).fails(Retry, "certificate is not trusted", "SSL_CERT_FILE", c.Address())
	s.roots = x509.NewCertPool()
	s.roots.AddCert(server.Certificate())
	watch(t, s).next()
	s.url.Host = strings.Replace(s.url.Host, "127.0.0.1", "localhost", 1) // whom the certificate does not name
	watch(t, s).fails(Retry, "certificate is not trusted")
}

// Cancelling ends every phase at once.
func TestRTSPCancelWhileConnecting(t *testing.T) {
	t.Parallel()
	asked := make(chan struct{}, 1)
	address := serveTCP(t, func(c net.Conn) {
		bufio.NewReader(c).ReadByte() //nolint:errcheck // the test notices
		asked <- struct{}{}
		silent(c)
	})
	for _, scheme := range []string{"rtsp", "rtsps"} {
		s := rtsp(t, scheme+"://"+address)
		s.dial = time.Hour
		w := watch(t, s)
		<-asked
		w.stop()
		if err := w.end(); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", scheme, err)
		}
	}
}

// scripted answers every request of a session by its method.
func scripted(t *testing.T, answers map[base.Method]func(*base.Request) *base.Response) string {
	t.Helper()
	return serveTCP(t, func(c net.Conn) {
		rtsp := conn.NewConn(bufio.NewReader(c), c)
		for {
			request, err := rtsp.ReadRequest()
			if err != nil {
				return
			}
			response := &base.Response{StatusCode: base.StatusOK}
			if answer := answers[request.Method]; answer != nil {
				response = answer(request)
			}
			if response.Header == nil {
				response.Header = base.Header{}
			}
			response.Header["CSeq"] = request.Header["CSeq"]
			if rtsp.WriteResponse(response) != nil {
				return
			}
		}
	})
}

// describes answers DESCRIBE with an SDP of the media given.
func describes(media ...string) map[base.Method]func(*base.Request) *base.Response {
	sdp := "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\n" + strings.Join(media, "")
	return map[base.Method]func(*base.Request) *base.Response{base.Describe: func(*base.Request) *base.Response {
		return &base.Response{StatusCode: base.StatusOK, Header: base.Header{"Content-Type": {"application/sdp"}}, Body: []byte(sdp)}
	}}
}

func status(code base.StatusCode, header base.Header) map[base.Method]func(*base.Request) *base.Response {
	return map[base.Method]func(*base.Request) *base.Response{base.Describe: func(*base.Request) *base.Response {
		return &base.Response{StatusCode: code, Header: header}
	}}
}

func TestRTSPCamerasThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	const (
		sound  = "m=audio 0 RTP/AVP 0\r\na=control:a\r\n"
		mpeg4  = "m=video 0 RTP/AVP 96\r\na=rtpmap:96 MP4V-ES/90000\r\na=fmtp:96 profile-level-id=1\r\na=control:v\r\n"
		h264m2 = "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=2\r\na=control:v\r\n"
		h264   = "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1\r\na=control:v\r\n"
	)
	udpOnly := describes(h264)
	udpOnly[base.Setup] = func(*base.Request) *base.Response { return &base.Response{StatusCode: base.StatusUnsupportedTransport} }
	again := map[base.Method]func(*base.Request) *base.Response{base.Describe: func(r *base.Request) *base.Response {
		return &base.Response{StatusCode: base.StatusFound, Header: base.Header{"Location": {r.URL.CloneWithoutCredentials().String() + "x"}}}
	}}
	for name, test := range map[string]struct {
		answers map[base.Method]func(*base.Request) *base.Response
		class   Class
		words   []string
	}{
		"sound only":       {describes(sound), Retry, []string{"no video track", "choose a stream with video"}},
		"another codec":    {describes(sound, mpeg4), Retry, []string{"MPEG-4 Video", "set the camera's stream to H.264"}},
		"another mode":     {describes(h264m2), Retry, []string{"packetization mode 2"}},
		"UDP only":         {udpOnly, Retry, []string{"refuses RTP over TCP", "461"}},
		"no description":   {describes("m=video\r\n"), Retry, []string{"description of the stream cannot be read"}},
		"forbidden":        {status(base.StatusForbidden, nil), Unauthorized, []string{"access denied", "403"}},
		"busy":             {status(base.StatusServiceUnavailable, nil), Retry, []string{"busy", "503"}},
		"teapot":           {status(418, nil), Retry, []string{"answered with an error", "418"}},
		"stale":            {status(base.StatusUnauthorized, base.Header{"WWW-Authenticate": {`Digest realm="x", nonce="y", stale=TRUE`}}), Retry, []string{"challenge ran out"}},
		"strange login":    {status(base.StatusUnauthorized, base.Header{"WWW-Authenticate": {`Digest realm="x", nonce="y", algorithm=MD5-sess`}}), Unauthorized, []string{"Digest MD5-sess", "not supported"}},
		"redirect away":    {status(base.StatusFound, base.Header{"Location": {"rtsp://169.254.169.254/x"}}), Retry, []string{"redirects to another host", "169.254.169.254"}},
		"redirect in loop": {again, Retry, []string{"redirects again and again"}},
	} {
		t.Run(name, func(t *testing.T) {
			address := scripted(t, test.answers)
			watch(t, rtsp(t, "rtsp://admin:"+secretEscaped+"@"+address+"/x")).fails(test.class, append(test.words, address)...)
		})
	}
}

// What a hostile camera sends is refused early, whatever its size claims to be.
func TestRTSPJunk(t *testing.T) {
	t.Parallel()
	endless := func(c net.Conn, start, more string) {
		io.WriteString(c, start) //nolint:errcheck // the test notices
		for {
			if _, err := io.WriteString(c, more); err != nil {
				return
			}
		}
	}
	for name, serve := range map[string]func(net.Conn){
		"endless header line": func(c net.Conn) { endless(c, "RTSP/1.0 200 OK\r\nX: ", strings.Repeat("x", 4096)) },
		"endless headers":     func(c net.Conn) { endless(c, "RTSP/1.0 200 OK\r\n", "X: y\r\n") },
		"huge body":           func(c net.Conn) { endless(c, "RTSP/1.0 200 OK\r\nContent-Length: 1000000000\r\n\r\n", "xxxx") },
		"noise":               func(c net.Conn) { endless(c, "", "\x00\xff$\x07\x13") },
		"frames too early":    func(c net.Conn) { endless(c, "", "$\x00\x00\x04abcd") },
		"closes":              func(net.Conn) {},
	} {
		t.Run(name, func(t *testing.T) {
			address := serveTCP(t, serve)
			watch(t, rtsp(t, "rtsp://admin:"+secretEscaped+"@"+address+"/x")).fails(Retry, "connect to rtsp://"+address+"/x")
		})
	}
}

func TestRTSPAddresses(t *testing.T) {
	for address, want := range map[string]string{
		"rtsp://admin:S3cr3t!/x#y@host/stream": "percent-encoded",
		"rtsp://admin:S3cr3t!%zz@host/stream":  "percent-encoded",
		"rtsp:///stream":                       "names no host",
		"rtsp://host:port/S3cr3t":              "percent-encoded",
		"rtsp://u:S3cr3t!@host/x#S3cr3t":       "percent-encoded",
	} {
		_, err := newRTSPSource(CameraConfig{Name: "gate", Source: address}, (&logged{}).logger())
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", address, err, want)
			continue
		}
		checkSecrets(t, err.Error())
	}
	s := rtsp(t, "rtsp://u:p@[::1]:8554/user=admin_password=S3cr3t_channel=1.sdp?password=S3cr3t")
	if want := "rtsp://[::1]:8554/user=admin_password=***_channel=1.sdp?…"; s.address != want {
		t.Errorf("address is shown as %s, want %s", s.address, want)
	}
}
