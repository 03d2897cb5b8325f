package decode_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestEveryThreadHasSlackTimers, Go's watching one too: it is started before any code of Go.
func TestEveryThreadHasSlackTimers(t *testing.T) {
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, thread := range threads {
		slack, err := os.ReadFile(filepath.Join("/proc", thread.Name(), "timerslack_ns"))
		if err != nil {
			continue // it has ended, or only privileged users may ask
		}
		seen++
		if got := strings.TrimSpace(string(slack)); got != "1000000" {
			t.Errorf("thread %s: %s ns", thread.Name(), got)
		}
	}
	if seen == 0 {
		t.Skip("this system does not tell")
	}
}
