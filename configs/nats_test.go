package configs_test

import (
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// startBroker runs nats.conf as docker-compose.yml does, but on a free port and in a folder of the test.
func startBroker(t *testing.T, password string) string {
	t.Helper()
	t.Setenv("SIGHTLINE_BUS_USER", "sightline")
	t.Setenv("SIGHTLINE_BUS_PASSWORD", `"`+password+`"`)
	options, err := server.ProcessConfigFile("nats.conf")
	if err != nil {
		t.Fatal(err)
	}
	if options.MaxPayload != 8<<20 || !options.JetStream || options.StoreDir != "/data" || options.HTTPHost != "127.0.0.1" {
		t.Errorf("nats.conf: max_payload %d, jetstream %v in %q, monitoring on %q", options.MaxPayload, options.JetStream, options.StoreDir, options.HTTPHost)
	}
	options.Host, options.Port, options.HTTPPort, options.StoreDir = "127.0.0.1", server.RANDOM_PORT, 0, t.TempDir()
	options.NoLog, options.NoSigs = true, true
	broker, err := server.NewServer(options)
	if err != nil {
		t.Fatal(err)
	}
	broker.Start()
	t.Cleanup(func() { broker.Shutdown(); broker.WaitForShutdown() })
	if !broker.ReadyForConnections(10 * time.Second) {
		t.Fatal("the broker did not become ready")
	}
	return broker.ClientURL()
}

// Passwords that the configuration's own syntax would read as numbers or words work as well as any.
func TestBrokerTakesItsUserFromTheEnvironment(t *testing.T) {
	for _, password := range []string{"0123456789abcdef", "12e4", "12345678901234567890", "true", "5m"} {
		url := startBroker(t, password)
		conn, err := nats.Connect(url, nats.UserInfo("sightline", password))
		if err != nil {
			t.Fatalf("password %q: %v", password, err)
		}
		js, err := conn.JetStream()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := js.AccountInfo(); err != nil {
			t.Errorf("JetStream: %v", err)
		}
		conn.Close()
	}
}

func TestBrokerRefusesStrangers(t *testing.T) {
	url := startBroker(t, "0123456789abcdef")
	for _, options := range [][]nats.Option{nil, {nats.UserInfo("sightline", "wrong")}} {
		conn, err := nats.Connect(url, options...)
		if !errors.Is(err, nats.ErrAuthorization) {
			t.Errorf("connecting with %d options: %v, want %v", len(options), err, nats.ErrAuthorization)
		}
		if conn != nil {
			conn.Close()
		}
	}
}
