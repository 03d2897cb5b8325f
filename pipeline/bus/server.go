package bus

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

const (
	// DefaultMaxPayload is the largest message, in bytes, that the embedded broker takes.
	DefaultMaxPayload = 8 << 20

	serverStart  = 20 * time.Second
	streamMemory = 1 << 30 // bytes of all streams in memory: one frame a camera, so this is never near
)

// ServerConfig describes the embedded broker.
type ServerConfig struct {
	Listen     string // address such as 127.0.0.1:4222, loopback only, port 0 for any; empty: in process only
	DataDir    string // of the streams' files; must be writable and used by no other process
	MaxPayload int    // bytes of a message; 0 means DefaultMaxPayload
}

// Server is an embedded NATS server with JetStream. It has no accounts, so it listens on loopback addresses only.
type Server struct {
	server *server.Server
	lock   *os.File
	listen bool
	once   sync.Once
}

// StartServer starts the broker and returns when it takes connections. Errors name the address or the directory and
// what to do about it.
func StartServer(cfg ServerConfig, log *slog.Logger) (*Server, error) {
	opts, err := serverOptions(cfg)
	if err != nil {
		return nil, fmt.Errorf("start broker: %w", err)
	}
	lock, err := lockDataDir(cfg.DataDir)
	if err != nil {
		return nil, fmt.Errorf("start broker: %w", err)
	}
	s := &Server{lock: lock, listen: cfg.Listen != ""}
	if err := s.start(opts, log); err != nil {
		s.Close()
		return nil, fmt.Errorf("start broker: %w", err)
	}
	return s, nil
}

func serverOptions(cfg ServerConfig) (*server.Options, error) {
	payload := cfg.MaxPayload
	if payload == 0 {
		payload = DefaultMaxPayload
	}
	if payload < 1<<10 || payload > 64<<20 {
		return nil, fmt.Errorf("max payload %d: must be between 1 KiB and 64 MiB", payload)
	}
	opts := &server.Options{
		ServerName: "sightline", NoSigs: true, DontListen: cfg.Listen == "", MaxPayload: int32(payload), MaxPending: 64 << 20,
		JetStream: true, StoreDir: cfg.DataDir, JetStreamMaxMemory: streamMemory,
		JetStreamMaxStore: 1 << 50, // the streams have bounds of their own; the disk says when it is full
		WriteDeadline:     10 * time.Second,
	}
	if opts.DontListen {
		return opts, nil
	}
	var err error
	opts.Host, opts.Port, err = listenAddress(cfg.Listen)
	return opts, err
}

// listenAddress takes an address apart and makes sure that it is loopback and free.
func listenAddress(address string) (string, int, error) {
	host, text, err := net.SplitHostPort(address)
	port, errPort := strconv.ParseUint(text, 10, 16)
	if err = errors.Join(err, errPort); err != nil {
		return "", 0, fmt.Errorf("listen on %q: must look like 127.0.0.1:4222", address)
	}
	if !loopback(host) {
		return "", 0, fmt.Errorf("listen on %q: the embedded broker has no accounts and listens on loopback only; use 127.0.0.1, or run a nats-server and set bus.url", address)
	}
	if port == 0 {
		return host, server.RANDOM_PORT, nil
	}
	probe, err := net.Listen("tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return "", 0, fmt.Errorf("listen on %s: the port is in use; stop what holds it, or set bus.listen to another port, or bus.url to the broker that runs there", address)
	}
	if err != nil {
		return "", 0, fmt.Errorf("listen on %s: %w; set bus.listen to an address of this machine", address, err)
	}
	return host, int(port), probe.Close()
}

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// lockDataDir makes the directory and keeps other processes out: two brokers over the same files destroy them.
func lockDataDir(dir string) (*os.File, error) {
	const remedy = "set bus.data_dir to a directory that this user can write"
	if dir == "" {
		return nil, errors.New("no data directory: " + remedy)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make data directory %s: %w; %s", dir, err, remedy)
	}
	file, err := os.OpenFile(filepath.Join(dir, "sightline.lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("write data directory %s: %w; %s", dir, err, remedy)
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("lock data directory %s: another process uses it (%w); set bus.data_dir to one of its own, or bus.url to the other's broker", dir, err), file.Close())
	}
	return file, nil
}

func (s *Server) start(opts *server.Options, log *slog.Logger) (err error) {
	if s.server, err = server.NewServer(opts); err != nil {
		return err
	}
	logger := &serverLog{log: log, fatal: make(chan string, 1)}
	s.server.SetLogger(logger, false, false)
	s.server.Start() // returns once everything started or failed
	if s.server.ReadyForConnections(0) {
		return nil
	}
	ready := make(chan bool, 1)
	go func() { ready <- s.server.ReadyForConnections(serverStart) }()
	select {
	case text := <-logger.fatal:
		s.server.Shutdown()
		<-ready
		return errors.New(text)
	case ok := <-ready:
		if !ok {
			return fmt.Errorf("not ready after %v", serverStart)
		}
		return nil
	}
}

// ClientURL is where clients on this host connect; empty when the broker serves this process only.
func (s *Server) ClientURL() string {
	if !s.listen {
		return ""
	}
	address, ok := s.server.Addr().(*net.TCPAddr)
	if !ok {
		return ""
	}
	u := url.URL{Scheme: "nats", Host: address.String()}
	return u.String()
}

// Close stops the broker and returns when everything of it has ended. A second call waits for the first.
func (s *Server) Close() {
	s.once.Do(func() {
		if s.server != nil {
			s.server.Shutdown()
			s.server.WaitForShutdown()
		}
		_ = s.lock.Close() // unlocks
	})
}

// serverLog passes the broker's words on. A broker that talks of its usual business is none of ours.
type serverLog struct {
	log   *slog.Logger
	fatal chan string
}

func (l *serverLog) Noticef(string, ...any) {}
func (l *serverLog) Debugf(string, ...any)  {}
func (l *serverLog) Tracef(string, ...any)  {}

func (l *serverLog) Warnf(format string, v ...any) {
	l.log.Warn("broker", "message", fmt.Sprintf(format, v...))
}

func (l *serverLog) Errorf(format string, v ...any) {
	l.log.Error("broker", "message", fmt.Sprintf(format, v...))
}

func (l *serverLog) Fatalf(format string, v ...any) {
	select {
	case l.fatal <- fmt.Sprintf(format, v...):
	default:
	}
}
