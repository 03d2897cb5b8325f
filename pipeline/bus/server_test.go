package bus

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func startFails(t *testing.T, cfg ServerConfig, words ...string) {
	t.Helper()
	s, err := StartServer(cfg, quiet())
	if err == nil {
		s.Close()
		t.Fatalf("%+v: the broker started", cfg)
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("the error does not say %q: %v", word, err)
		}
	}
}

func TestServerPortInUse(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	startFails(t, ServerConfig{Listen: l.Addr().String(), DataDir: t.TempDir()}, l.Addr().String(), "in use", "bus.listen")
}

func TestServerRefusesAddresses(t *testing.T) {
	for _, listen := range []string{"0.0.0.0:4222", ":4222", "[::]:0", "192.0.2.1:4222", "example.org:4222"} {
		startFails(t, ServerConfig{Listen: listen, DataDir: t.TempDir()}, listen, "loopback", "bus.url")
	}
	for _, listen := range []string{"127.0.0.1", "127.0.0.1:x", "127.0.0.1:99999"} {
		startFails(t, ServerConfig{Listen: listen, DataDir: t.TempDir()}, listen, "127.0.0.1:4222")
	}
}

func TestServerDataDir(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	startFails(t, ServerConfig{DataDir: filepath.Join(file, "data")}, file, "bus.data_dir")
	startFails(t, ServerConfig{}, "bus.data_dir")
	dir := t.TempDir()
	newBrokerIn(t, "", dir)
	startFails(t, ServerConfig{DataDir: dir}, dir, "another process", "bus.url")
}

// TestServerDataDirReadOnly needs a directory that even root cannot write: the system's own.
func TestServerDataDirReadOnly(t *testing.T) {
	startFails(t, ServerConfig{DataDir: "/proc/sightline"}, "/proc/sightline", "bus.data_dir")
	startFails(t, ServerConfig{DataDir: "/proc/self"}, "/proc/self", "bus.data_dir")
}

func TestServerPayloadRange(t *testing.T) {
	for _, n := range []int{-1, 10, 1 << 30} {
		startFails(t, ServerConfig{DataDir: t.TempDir(), MaxPayload: n}, "max payload")
	}
}

func TestServerURL(t *testing.T) {
	if url := newBroker(t, "").ClientURL(); url != "" {
		t.Errorf("in process: %q", url)
	}
	s := newBroker(t, "127.0.0.1:0")
	if url := s.ClientURL(); !strings.HasPrefix(url, "nats://127.0.0.1:") || strings.HasSuffix(url, ":0") {
		t.Errorf("over TCP: %q", url)
	}
	c := connect(t, Config{URL: s.ClientURL()})
	if !c.Local() || !c.Connected() || c.MaxPayload() != DefaultMaxPayload {
		t.Errorf("local %v, connected %v, max payload %d", c.Local(), c.Connected(), c.MaxPayload())
	}
	s.Close()
	s.Close()
}
