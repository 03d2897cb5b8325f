package bus

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
)

// maxServers bounds the list of a cluster's addresses.
const maxServers = 32

// checkServers takes a comma-separated list of broker addresses apart. Errors never hold what stands before an @.
func checkServers(list string) ([]*url.URL, error) {
	parts := strings.Split(list, ",")
	if len(parts) > maxServers {
		return nil, fmt.Errorf("bus.url: %d addresses, must be at most %d", len(parts), maxServers)
	}
	servers := make([]*url.URL, len(parts))
	for i, part := range parts {
		u, err := parseServer(strings.TrimSpace(part))
		if err != nil {
			return nil, fmt.Errorf("bus.url, address %d: %w", i+1, err)
		}
		servers[i] = u
	}
	return servers, nil
}

func parseServer(text string) (*url.URL, error) {
	if !strings.Contains(text, "://") {
		text = "nats://" + text
	}
	u, err := url.Parse(text)
	if err != nil { // which repeats the address with its password: only the bare cause may leave
		var parse *url.Error
		if errors.As(err, &parse) && !strings.Contains(text, "@") {
			return nil, parse.Err
		}
		return nil, errors.New("is no address; special characters of a password must be percent-encoded")
	}
	switch u.Scheme {
	case "nats", "tls", "ws", "wss":
	default:
		return nil, fmt.Errorf("scheme %.20q: must be nats, tls, ws or wss", u.Scheme)
	}
	if u.Hostname() == "" {
		return nil, errors.New("has no host; must look like nats://host:4222")
	}
	return u, nil
}

// redact shows addresses without what stands before the @.
func redact(servers []*url.URL) string {
	texts := make([]string, len(servers))
	for i, u := range servers {
		shown := url.URL{Scheme: u.Scheme, Host: u.Host}
		texts[i] = shown.String()
	}
	return strings.Join(texts, ",")
}

// checkCredentials says early what a file of credentials lacks.
func checkCredentials(path string) error {
	if path == "" {
		return nil
	}
	file, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("read bus.credentials: %w; set it to a .creds file that this user can read", err)
	}
	return file.Close()
}
