package ingest

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// TestMain looks at the world afterwards: no goroutine and no shared memory of a camera may be left. Tests run side by side,
// so nobody could look after each.
func TestMain(m *testing.M) {
	code := m.Run()
	if err := left(); code == 0 && err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// left returns what does not go away; what ends by itself is given its time.
func left() (err error) {
	for end := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		if err = errors.Join(goleak.Find(), ringsLeft()); err == nil || time.Now().After(end) {
			return err
		}
	}
}

func ringsLeft() error {
	entries, err := os.ReadDir("/dev/shm")
	if err != nil {
		return nil // rings lie in the directory for temporary files, which nobody else looks into either
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), fmt.Sprintf("sightline-%d-%d-", os.Getuid(), os.Getpid())) {
			return fmt.Errorf("left in shared memory: %s", e.Name())
		}
	}
	return nil
}
