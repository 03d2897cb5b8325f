package ingest

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// maxRedirects bounds how often a camera may send us somewhere else.
const maxRedirects = 3

// rtspDialer opens the connections of one RTSP session and can cut them. Reading fails when nothing comes for the time
// limit, which the library enforces only for some of its steps (not during a TLS handshake, for instance).
type rtspDialer struct {
	host  string       // the only host that may be connected to: credentials are not carried elsewhere
	limit atomic.Int64 // nanoseconds that a read may take; 0 = no limit

	mu    sync.Mutex // protects what follows
	dials int
	conns []net.Conn
	shut  bool
}

// dial is called by the library for the first connection and for every redirect.
func (d *rtspDialer) dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	if !strings.EqualFold(host, d.host) {
		return nil, &redirectError{fmt.Sprintf("it redirects to another host, %.80q", host)}
	}
	d.mu.Lock()
	d.dials++
	tooMany := d.dials > maxRedirects+1
	d.mu.Unlock()
	if tooMany {
		return nil, &redirectError{"it redirects again and again"}
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.shut {
		conn.Close()
		return nil, net.ErrClosed
	}
	d.conns = append(d.conns, conn)
	return &limitedConn{Conn: conn, limit: &d.limit}, nil
}

// cut closes every connection at once and lets no new one come up.
func (d *rtspDialer) cut() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.shut = true
	for _, conn := range d.conns {
		conn.Close()
	}
}

// setLimit bounds every read that begins from now on.
func (d *rtspDialer) setLimit(limit time.Duration) { d.limit.Store(int64(limit)) }

// redirectError is returned when a camera sends us where we do not go.
type redirectError struct{ text string }

func (e *redirectError) Error() string { return e.text }

// limitedConn is a connection whose reads end after a time limit.
type limitedConn struct {
	net.Conn
	limit *atomic.Int64
}

// Read reads like the connection does, not longer than the limit.
func (c *limitedConn) Read(p []byte) (int, error) {
	deadline := time.Time{}
	if limit := time.Duration(c.limit.Load()); limit > 0 {
		deadline = time.Now().Add(limit)
	}
	if err := c.SetReadDeadline(deadline); err != nil {
		return 0, err
	}
	return c.Conn.Read(p)
}
