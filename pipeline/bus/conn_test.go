package bus

import (
	"bufio"
	"context"
	"errors"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

func connectFails(t *testing.T, ctx context.Context, cfg Config, words ...string) {
	t.Helper()
	var j journal
	c, err := Connect(ctx, cfg, j.log())
	if err == nil {
		c.Close()
		t.Fatal("connected")
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("the error does not say %q: %v", word, err)
		}
	}
	if text := err.Error() + j.String(); strings.Contains(text, "hush") {
		t.Errorf("the password is in %s", text)
	}
}

func TestConnectRefusesAddresses(t *testing.T) {
	for _, url := range []string{"", "ftp://me:hush@host", "nats://me:hush@", "nats://me:hush@host:port", "nats://me:hu%zzhush@host", "me:hush@ho st", strings.Repeat("nats://me:hush@h,", 40)} {
		connectFails(t, t.Context(), Config{URL: url}, "bus.url")
	}
	connectFails(t, t.Context(), Config{URL: "nats://me:hush@host", Prefix: "a..b"}, "prefix")
	connectFails(t, t.Context(), Config{URL: "nats://me:hush@host", Credentials: filepath.Join(t.TempDir(), "no.creds")}, "no.creds", "bus.credentials")
}

func TestConnectGivesUpWithItsContext(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	connectFails(t, ctx, Config{URL: "nats://me:hush@127.0.0.1:1"}, "127.0.0.1:1")
}

// plainBroker is a NATS server of somebody else, with accounts, or without JetStream.
func plainBroker(t *testing.T, opts server.Options) *server.Server {
	t.Helper()
	opts.Host, opts.NoSigs, opts.NoLog = "127.0.0.1", true, true
	if opts.Port == 0 {
		opts.Port = server.RANDOM_PORT
	}
	s, err := server.NewServer(&opts)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(patience) {
		t.Fatal("the broker did not start")
	}
	return s
}

func TestConnectPasswords(t *testing.T) {
	s := plainBroker(t, server.Options{Username: "me", Password: "hush", JetStream: true, StoreDir: t.TempDir()})
	host := strings.TrimPrefix(s.ClientURL(), "nats://")
	connectFails(t, deadline(t), Config{URL: "nats://me:hush-no@" + host}, host, "password")
	var j journal
	c, err := Connect(deadline(t), Config{URL: "nats://me:hush@" + host}, j.log())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if strings.Contains(j.String(), "hush") || !strings.Contains(j.String(), host) {
		t.Errorf("the log says %s", j.String())
	}
}

func TestConnectWithoutJetStream(t *testing.T) {
	s := plainBroker(t, server.Options{})
	connectFails(t, deadline(t), Config{URL: s.ClientURL()}, "JetStream", "-js")
}

func TestPermissionErrorsAreLoggedAndRare(t *testing.T) {
	deny := &server.Permissions{Subscribe: &server.SubjectPermission{Deny: []string{"sightline.tracks.>"}}}
	s := plainBroker(t, server.Options{Users: []*server.User{{Username: "me", Password: "hush", Permissions: deny}}, JetStream: true, StoreDir: t.TempDir()})
	var j journal
	c, err := Connect(deadline(t), Config{URL: strings.Replace(s.ClientURL(), "nats://", "nats://me:hush@", 1)}, j.log())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for range 50 {
		if _, err := c.SubscribeTracks("gate", func(*Tracks) {}); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the violation is in the log", func() bool { return strings.Contains(j.String(), "ermissions") })
	if n := strings.Count(j.String(), "ermissions Violation"); n > 20 {
		t.Errorf("%d lines about permissions", n)
	}
}

func TestForeignStreamIsLeftAlone(t *testing.T) {
	s := newBroker(t, "127.0.0.1:0")
	nc, err := nats.Connect(s.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(deadline(t), jetstream.StreamConfig{Name: "EVENTS", Subjects: []string{"shop.orders"}}); err != nil {
		t.Fatal(err)
	}
	connectFails(t, deadline(t), Config{Server: s}, "EVENTS", "bus.prefix")
	c := connect(t, Config{Server: s, Prefix: "a.b"})
	if _, err := c.js.Stream(deadline(t), "EVENTS~a~b"); err != nil {
		t.Error(err)
	}
}

func TestStreamsAsDesigned(t *testing.T) {
	s := newBroker(t, "")
	connect(t, Config{Server: s, StoreBytes: 64 << 20})
	c := connect(t, Config{Server: s, StoreBytes: 32 << 20}) // made already: updated
	for name, want := range map[string]jetstream.StreamConfig{
		"FRAMES":     {Subjects: []string{"sightline.frames.*"}, Storage: jetstream.MemoryStorage, MaxMsgsPerSubject: 1, MaxAge: 2 * time.Second, MaxBytes: -1},
		"DETECTIONS": {Subjects: []string{"sightline.detections.*"}, Storage: jetstream.FileStorage, MaxMsgsPerSubject: -1, MaxAge: 24 * time.Hour, MaxBytes: 32 << 20},
		"EVENTS":     {Subjects: []string{"sightline.events.*.>"}, Storage: jetstream.FileStorage, MaxMsgsPerSubject: -1, MaxAge: 7 * 24 * time.Hour, MaxBytes: 8 << 20},
		"COUNTS":     {Subjects: []string{"sightline.counts.*"}, Storage: jetstream.FileStorage, MaxMsgsPerSubject: 1, MaxBytes: -1},
		"STATUS":     {Subjects: []string{"sightline.status.*.*"}, Storage: jetstream.MemoryStorage, MaxMsgsPerSubject: 1, MaxBytes: -1},
	} {
		stream, err := c.js.Stream(deadline(t), name)
		if err != nil {
			t.Fatal(err)
		}
		got := stream.CachedInfo().Config
		if got.Subjects[0] != want.Subjects[0] || got.Storage != want.Storage || got.MaxMsgsPerSubject != want.MaxMsgsPerSubject || got.MaxAge != want.MaxAge || got.MaxBytes != want.MaxBytes {
			t.Errorf("%s is %+v", name, got)
		}
	}
}

func TestTwoPrefixesDoNotMeet(t *testing.T) {
	s := newBroker(t, "")
	a, b := connect(t, Config{Server: s, Prefix: "a"}), connect(t, Config{Server: s, Prefix: "a.b"})
	got := make(chan string, 10)
	if _, err := b.SubscribeDetections("*", func(d *Detections) { got <- d.Camera }); err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{
		a.PublishDetections(t.Context(), someDetections("wrong", 1)), a.nc.Flush(), b.PublishDetections(t.Context(), someDetections("right", 1)),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if camera := <-got; camera != "right" {
		t.Errorf("got %s", camera)
	}
}

// TestBrokerAwayAtStart: a port that nothing listens on yet; the wait is in the log, the rest follows.
func TestBrokerAwayAtStart(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	_ = l.Close()
	var j journal
	result := make(chan error, 1)
	go func() {
		c, err := Connect(deadline(t), Config{URL: "nats://me:hush@" + address}, j.log())
		if err == nil {
			err = c.PublishDetections(t.Context(), someDetections("gate", 1))
			c.Close()
		}
		result <- err
	}()
	eventually(t, "the wait is in the log", func() bool { return strings.Contains(j.String(), "waiting for the broker") })
	newBroker(t, address)
	if err := <-result; err != nil {
		t.Error(err)
	}
	if strings.Contains(j.String(), "hush") {
		t.Errorf("the log says %s", j.String())
	}
}

// TestRestartedBroker kills the broker under a publisher, a puller and a subscriber and starts it again: everything
// goes on, and detections given meanwhile arrive in the stream, once.
func TestRestartedBroker(t *testing.T) {
	dir := t.TempDir()
	s := newBrokerIn(t, "127.0.0.1:0", dir)
	address := strings.TrimPrefix(s.ClientURL(), "nats://")
	c := connect(t, Config{URL: s.ClientURL()})
	puller, err := c.PullFrames(deadline(t), "pool")
	if err != nil {
		t.Fatal(err)
	}
	heard := make(chan uint64, 100)
	if _, err := c.SubscribeDetections("gate", func(d *Detections) { heard <- d.Seq }); err != nil {
		t.Fatal(err)
	}
	if err := c.PublishFrame(t.Context(), jpegFrame("gate", 1)); err != nil {
		t.Fatal(err)
	}
	if f, err := puller.Next(deadline(t)); err != nil || f.Seq != 1 {
		t.Fatalf("got %v, %v", f, err)
	}
	pulled := make(chan uint64, 1000)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		for {
			f, err := puller.Next(ctx)
			if err != nil {
				return
			}
			pulled <- f.Seq
		}
	}()
	s.Close()
	eventually(t, "the connection is lost", func() bool { return !c.Connected() })
	dropped := c.Stats().FramesDropped
	if err := errors.Join(c.PublishFrame(t.Context(), jpegFrame("gate", 2)), c.PublishDetections(t.Context(), someDetections("gate", 2))); err != nil {
		t.Fatal(err)
	}
	if n := c.Stats().FramesDropped; n != dropped+1 {
		t.Errorf("%d frames dropped while the broker is away, want 1", n-dropped)
	}
	newBrokerIn(t, address, dir)
	if seq := <-heard; seq != 2 {
		t.Errorf("heard detections of frame %d", seq)
	}
	eventually(t, "a frame gets through again", func() bool {
		if err := c.PublishFrame(t.Context(), jpegFrame("gate", 3)); err != nil {
			t.Fatal(err)
		}
		return len(pulled) > 0
	})
	if seq := <-pulled; seq != 3 {
		t.Errorf("pulled frame %d", seq)
	}
	eventually(t, "the detections are stored", func() bool {
		stream, err := c.js.Stream(deadline(t), "DETECTIONS")
		return err == nil && stream.CachedInfo().State.Msgs == 1
	})
	if n := c.Stats().Reconnects; n != 1 {
		t.Errorf("%d reconnections", n)
	}
	stop()
	<-finished
}

// TestSlowBroker: a broker that says hello and then never reads. Publishing must not wait for it.
func TestSlowBroker(t *testing.T) {
	s := newBroker(t, "127.0.0.1:0")
	proxy := newProxy(t, strings.TrimPrefix(s.ClientURL(), "nats://"))
	c := connect(t, Config{URL: "nats://" + proxy.address})
	proxy.pause()
	frame := jpegFrame("gate", 1)
	frame.Body = make([]byte, 2<<20)
	slowest := time.Duration(0)
	for range 100 {
		begin := time.Now()
		if err := errors.Join(c.PublishFrame(t.Context(), frame), c.PublishDetections(t.Context(), someDetections("gate", frame.Seq))); err != nil {
			t.Fatal(err)
		}
		slowest = max(slowest, time.Since(begin))
	}
	if slowest > 2*time.Second {
		t.Errorf("publishing took %v", slowest)
	}
	if n := c.Stats().FramesDropped; n == 0 {
		t.Error("no frame was dropped")
	}
	proxy.carryOn()
}

// proxy passes bytes on until it is paused.
type proxy struct {
	address string
	gate    chan struct{}
}

func newProxy(t *testing.T, to string) *proxy {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{l.Addr().String(), make(chan struct{}, 1)}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			p.serve(client, to)
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-ended })
	return p
}

func (p *proxy) serve(client net.Conn, to string) {
	defer client.Close()
	broker, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	defer broker.Close()
	back := make(chan struct{})
	go func() {
		defer close(back)
		defer client.Close()
		_, _ = bufio.NewReader(broker).WriteTo(client)
	}()
	buffer := make([]byte, 4096)
	for {
		p.gate <- struct{}{}
		<-p.gate
		n, err := client.Read(buffer)
		if err == nil {
			_, err = broker.Write(buffer[:n])
		}
		if err != nil {
			break
		}
	}
	_ = broker.Close()
	<-back
}

func (p *proxy) pause()   { p.gate <- struct{}{} }
func (p *proxy) carryOn() { <-p.gate }

func TestClosedConnection(t *testing.T) {
	c := connect(t, Config{Server: newBroker(t, "")})
	puller, err := c.PullFrames(deadline(t), "pool")
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	c.Close()
	if err := c.PublishFrame(t.Context(), jpegFrame("gate", 1)); !errors.Is(err, ErrClosed) {
		t.Errorf("publish frame: %v", err)
	}
	if err := c.PublishDetections(t.Context(), someDetections("gate", 1)); !errors.Is(err, ErrClosed) {
		t.Errorf("publish detections: %v", err)
	}
	if _, err := puller.Next(deadline(t)); !errors.Is(err, ErrClosed) {
		t.Errorf("next: %v", err)
	}
	if _, err := c.SubscribeTracks("gate", func(*Tracks) {}); !errors.Is(err, ErrClosed) {
		t.Errorf("subscribe: %v", err)
	}
}

// TestCloseSendsWhatIsQueued: detections given just before the end are stored.
func TestCloseSendsWhatIsQueued(t *testing.T) {
	s := newBroker(t, "")
	c := connect(t, Config{Server: s})
	for seq := range uint64(500) {
		if err := c.PublishDetections(t.Context(), someDetections("gate", seq)); err != nil {
			t.Fatal(err)
		}
	}
	c.Close()
	after := connect(t, Config{Server: s})
	stream, err := after.js.Stream(deadline(t), "DETECTIONS")
	if err != nil || stream.CachedInfo().State.Msgs != 500 {
		t.Errorf("%d messages, %v", stream.CachedInfo().State.Msgs, err)
	}
}
