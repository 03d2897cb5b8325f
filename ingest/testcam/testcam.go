// Package testcam is a camera to test with: it serves a video file by RTSP, again and again, to any number of readers.
package testcam

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/bluenviron/gortsplib/v5"
	"github.com/bluenviron/gortsplib/v5/pkg/auth"
	"github.com/bluenviron/gortsplib/v5/pkg/base"
	"github.com/bluenviron/gortsplib/v5/pkg/description"
	"github.com/bluenviron/gortsplib/v5/pkg/liberrors"
)

// Auth is a way of authenticating readers.
type Auth string

// The ways of authenticating.
const (
	AuthBasic        Auth = "basic"
	AuthDigest       Auth = "digest" // MD5
	AuthDigestSHA256 Auth = "digest-sha256"
)

// Options of a camera. The zero value serves anybody at rtsp://…/test.
type Options struct {
	Path           string // of the stream; "" = test
	User, Password string // "" = anybody may look
	Auth           []Auth // nil = basic and digest
	TLS            *tls.Config
	ClockOffset    time.Duration // how much the camera's clock is ahead of the truth
	Log            *slog.Logger  // nil = silent
}

// Stats counts what a camera did.
type Stats struct {
	Connections int // that were opened
	Refused     int // requests with a wrong password
	Sessions    int // that came to play
	Loops       int // times the file was played to its end
}

// Camera serves one file. Make it with Listen.
type Camera struct {
	options  Options
	server   *gortsplib.Server
	video    *video
	stopping sync.Once

	mu     sync.Mutex              // protects what follows
	stream *gortsplib.ServerStream // nil until the server runs
	stats  Stats
}

// Listen opens the file, which must hold H.264 or H.265, and the port at address ("127.0.0.1:0" takes any free one).
// Readers are answered from then on; pictures flow while Run runs. Close a camera whose Run is never called.
func Listen(ctx context.Context, address, file string, o Options) (*Camera, error) {
	if o.Path == "" {
		o.Path = "test"
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	methods, err := verifyMethods(o.Auth)
	if err != nil {
		return nil, fmt.Errorf("start test camera: %w", err)
	}
	v, err := openVideo(ctx, file)
	if err != nil {
		return nil, fmt.Errorf("start test camera: %w", err)
	}
	c := &Camera{options: o, video: v}
	c.server = &gortsplib.Server{
		Handler:        &events{c},
		RTSPAddress:    address,
		TLSConfig:      o.TLS,
		AuthMethods:    methods,
		WriteQueueSize: 4096, // a key frame of a 4K stream

		DisableRTCPSenderReports: true, // they would come every ten seconds; ours come with every key frame
	}
	if err := c.server.Start(); err != nil {
		v.close()
		return nil, fmt.Errorf("start test camera on %s: %w", address, err)
	}
	stream := &gortsplib.ServerStream{Server: c.server, Desc: &description.Session{Medias: []*description.Media{v.media}}}
	if err := stream.Initialize(); err != nil {
		c.Close()
		return nil, fmt.Errorf("start test camera: %w", err)
	}
	c.mu.Lock()
	c.stream = stream
	c.mu.Unlock()
	return c, nil
}

func (c *Camera) current() *gortsplib.ServerStream {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stream
}

func verifyMethods(ways []Auth) ([]auth.VerifyMethod, error) {
	var methods []auth.VerifyMethod
	for _, way := range ways {
		switch way {
		case AuthBasic:
			methods = append(methods, auth.VerifyMethodBasic)
		case AuthDigest:
			methods = append(methods, auth.VerifyMethodDigestMD5)
		case AuthDigestSHA256:
			methods = append(methods, auth.VerifyMethodDigestSHA256)
		default:
			return nil, fmt.Errorf("authentication %.40q: must be %s, %s or %s", way, AuthBasic, AuthDigest, AuthDigestSHA256)
		}
	}
	return methods, nil
}

// Serve listens and plays until ctx is done or the file cannot be read any more.
func Serve(ctx context.Context, address, file string, o Options) error {
	c, err := Listen(ctx, address, file, o)
	if err != nil {
		return err
	}
	c.options.Log.Info("test camera is on", "url", c.URL(), "file", file)
	return c.Run(ctx)
}

// Address returns host:port of the camera.
func (c *Camera) Address() string { return c.server.NetListener().Addr().String() }

// URL returns the stream's address, without user and password.
func (c *Camera) URL() string {
	scheme := "rtsp"
	if c.options.TLS != nil {
		scheme = "rtsps"
	}
	host, port, _ := net.SplitHostPort(c.Address()) //nolint:errcheck // it is an address
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return fmt.Sprintf("%s://%s/%s", scheme, net.JoinHostPort(host, port), c.options.Path)
}

// Stats returns what the camera did so far.
func (c *Camera) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stats
}

func (c *Camera) count(f func(*Stats)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f(&c.stats)
}

// Run plays the file in a loop, at its own pace, until ctx is done (nil) or something fails. Everything has ended then.
func (c *Camera) Run(ctx context.Context) error {
	defer c.Close()
	err := c.play(ctx)
	if ctx.Err() != nil {
		return nil
	}
	return fmt.Errorf("play test camera: %w", err)
}

// Close disconnects all readers and frees the port.
func (c *Camera) Close() {
	c.stopping.Do(func() {
		if stream := c.current(); stream != nil {
			stream.Close()
		}
		c.server.Close()
		c.video.close()
	})
}

// events answers the server's questions; the server calls it from a goroutine per connection.
type events struct{ camera *Camera }

// OnConnOpen counts.
func (e *events) OnConnOpen(*gortsplib.ServerHandlerOnConnOpenCtx) {
	e.camera.count(func(s *Stats) { s.Connections++ })
}

// OnDescribe lets readers see the stream.
func (e *events) OnDescribe(c *gortsplib.ServerHandlerOnDescribeCtx) (*base.Response, *gortsplib.ServerStream, error) {
	return e.admit(c.Conn, c.Request, c.Path)
}

// OnSetup lets readers take the stream.
func (e *events) OnSetup(c *gortsplib.ServerHandlerOnSetupCtx) (*base.Response, *gortsplib.ServerStream, error) {
	return e.admit(c.Conn, c.Request, c.Path)
}

// OnPlay counts.
func (e *events) OnPlay(c *gortsplib.ServerHandlerOnPlayCtx) (*base.Response, error) {
	e.camera.count(func(s *Stats) { s.Sessions++ })
	e.camera.options.Log.Info("test camera is watched", "from", c.Conn.NetConn().RemoteAddr().String())
	return &base.Response{StatusCode: base.StatusOK}, nil
}

func (e *events) admit(conn *gortsplib.ServerConn, request *base.Request, path string) (*base.Response, *gortsplib.ServerStream, error) {
	o := &e.camera.options
	if o.User != "" && !conn.VerifyCredentials(request, o.User, o.Password) {
		if request.Header["Authorization"] != nil {
			e.camera.count(func(s *Stats) { s.Refused++ })
		}
		return &base.Response{StatusCode: base.StatusUnauthorized}, nil, liberrors.ErrServerAuth{}
	}
	stream := e.camera.current()
	if strings.Trim(path, "/") != o.Path || stream == nil {
		return &base.Response{StatusCode: base.StatusNotFound}, nil, errors.New("no such path")
	}
	return &base.Response{StatusCode: base.StatusOK}, stream, nil
}
