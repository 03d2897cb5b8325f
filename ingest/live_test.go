package ingest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sightline/sightline/ingest/decode"
	"github.com/sightline/sightline/ingest/testcam"
	"github.com/sightline/sightline/pipeline/picture"
)

// patience bounds what should take no time on a machine that is busy.
const patience = 60 * time.Second

// logged collects log lines.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (l *logged) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// pictured is a decoded picture of a source.
type pictured struct {
	Unit
	picture *picture.I420
}

// watched is one session of a source that runs and is decoded.
type watched struct {
	t        *testing.T
	stop     context.CancelFunc
	pictures chan pictured // dropped when the test does not keep up
	ended    chan error    // of length 1
}

// watch runs a source once.
func watch(t *testing.T, source Source) *watched {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	w := &watched{t: t, stop: stop, pictures: make(chan pictured, 1000), ended: make(chan error, 1)}
	q := NewQueue()
	var all sync.WaitGroup
	all.Go(func() {
		err := source.Run(ctx, q)
		q.close(err)
		w.ended <- err
	})
	all.Go(func() { w.decode(context.WithoutCancel(ctx), q) })
	t.Cleanup(func() { stop(); all.Wait() })
	return w
}

func (w *watched) decode(ctx context.Context, q *Queue) {
	var d *decode.Decoder
	var format *decode.Parameters
	defer func() {
		if d != nil {
			d.Close()
		}
	}()
	units, n := map[int64]Unit{}, int64(0)
	for {
		var u Unit
		if ok, _ := q.next(ctx, &u); !ok {
			return
		}
		if u.Format != format {
			if d != nil {
				d.Close()
			}
			var err error
			if d, err = decode.Open(u.Format, 1); err != nil {
				w.t.Error(err)
				return
			}
			format = u.Format
		}
		n++
		units[n] = u
		if u.Lost {
			d.Lost()
		}
		if err := d.Send(u.Data, n); err != nil {
			w.t.Error(err)
		}
		w.receive(d, units)
	}
}

func (w *watched) receive(d *decode.Decoder, units map[int64]Unit) {
	for {
		var p *picture.I420
		ok, pts, _, err := d.Next(func(width, height int) (*picture.I420, error) {
			p = picture.New(width, height)
			return p, nil
		})
		if err != nil {
			w.t.Error(err)
		}
		if !ok {
			return
		}
		select {
		case w.pictures <- pictured{units[pts], p}:
		default:
		}
	}
}

// next waits for a picture.
func (w *watched) next() pictured {
	w.t.Helper()
	select {
	case p := <-w.pictures:
		return p
	case err := <-w.ended:
		w.ended <- err
		w.t.Fatalf("the session ended before a picture came: %v", err)
	case <-time.After(patience):
		w.t.Fatal("no picture came")
	}
	return pictured{}
}

// end waits for the end of the session and returns its error.
func (w *watched) end() error {
	w.t.Helper()
	select {
	case err := <-w.ended:
		w.ended <- err
		return err
	case <-time.After(patience):
		w.t.Fatal("the session does not end")
	}
	return nil
}

// fails waits for the end and checks the error: its class, and words that its text must hold. No text may hold a secret.
func (w *watched) fails(class Class, words ...string) {
	w.t.Helper()
	err := w.end()
	var e *Error
	if !errors.As(err, &e) || e.Class != class {
		w.t.Fatalf("got %T %v, want an *Error of class %d", err, err, class)
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			w.t.Errorf("the error does not say %q: %v", word, err)
		}
	}
	checkSecrets(w.t, err.Error())
}

// secret is the password of the tests; secretEscaped is how it stands in an address.
const (
	secret        = "S3cr3t!/@#"
	secretEscaped = "S3cr3t%21%2F%40%23"
)

func checkSecrets(t *testing.T, text string) {
	t.Helper()
	if strings.Contains(text, "S3cr3t") {
		t.Errorf("the password is in %q", text)
	}
}

// camera starts a test camera on a free port.
func camera(t *testing.T, clip string, o testcam.Options) *testcam.Camera {
	t.Helper()
	c, err := testcam.Listen(t.Context(), "127.0.0.1:0", clip, o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return c
}

// proxy stands between a camera and us and does what networks do.
type proxy struct {
	t        *testing.T
	listener net.Listener
	target   string
	running  sync.WaitGroup

	mu       sync.Mutex // protects what follows
	swallow  bool
	conns    []net.Conn
	accepted int
}

// newProxy forwards connections to target.
func newProxy(t *testing.T, target string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{t: t, listener: l, target: target}
	p.running.Go(p.accept)
	t.Cleanup(func() {
		l.Close()
		p.reset()
		p.running.Wait()
	})
	return p
}

func (p *proxy) address() string { return p.listener.Addr().String() }

func (p *proxy) accept() {
	for {
		near, err := p.listener.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("tcp", p.target)
		if err != nil {
			near.Close()
			continue
		}
		p.mu.Lock()
		p.accepted++
		p.conns = append(p.conns, near, far)
		p.mu.Unlock()
		p.running.Go(func() { p.forward(near, far) })
		p.running.Go(func() { p.forward(far, near) })
	}
}

func (p *proxy) forward(from, to net.Conn) {
	defer to.Close()
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if err != nil {
			return
		}
		p.mu.Lock()
		swallow := p.swallow
		p.mu.Unlock()
		if !swallow {
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
	}
}

// hole makes the proxy keep its connections and swallow what they carry.
func (p *proxy) hole(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.swallow = on
}

// reset tears down all connections with a TCP reset.
func (p *proxy) reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		c.(*net.TCPConn).SetLinger(0) //nolint:errcheck // closed already
		c.Close()
	}
	p.conns = nil
}

// listener starts a server that hands each connection to serve, and closes it afterwards.
func serveTCP(t *testing.T, serve func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() {
				defer c.Close()
				serve(c)
			})
		}
	})
	t.Cleanup(func() { l.Close(); running.Wait() })
	return l.Addr().String()
}

// silent reads and never answers.
func silent(c net.Conn) { io.Copy(io.Discard, c) } //nolint:errcheck // ends when the other side hangs up
