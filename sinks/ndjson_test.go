package sinks

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sightline/sightline/pipeline/bus"
)

// ndjsonRun runs a sink; the returned function stops it and gives Run's answer.
func ndjsonRun(t *testing.T, path string, conn *bus.Conn) (*NDJSON, func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	n := NewNDJSON(path, conn, quiet())
	ended := make(chan error, 1)
	go func() { ended <- n.Run(ctx) }()
	return n, func() error {
		cancel()
		return <-ended
	}
}

func TestDetectionsAreAppendedAsPublished(t *testing.T) {
	s := startStation(t, Config{})
	path := filepath.Join(t.TempDir(), "detections.ndjson")
	if err := os.WriteFile(path, []byte("{\"cut\":"), 0o600); err != nil { // what a crash leaves
		t.Fatal(err)
	}
	f := one("gate", bus.EncodingJPEG, 640, 360)
	n, stop := ndjsonRun(t, path, s.conn)
	seq := uint64(0)
	eventually(t, "ten are written", func() bool { // the first few may come before the sink listens
		seq++
		if err := f.publish(t.Context(), s.conn, nil, seq); err != nil {
			t.Fatal(err)
		}
		return n.Written() >= 10
	})
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(bytes.NewReader(data))
	lines.Scan()
	if lines.Text() != `{"cut":` {
		t.Errorf("what was there is now %q", lines.Text())
	}
	count, last := uint64(0), uint64(0)
	for ; lines.Scan(); count++ {
		d, err := bus.ParseDetections(lines.Bytes())
		if err != nil {
			t.Fatalf("%s: %v", lines.Text(), err)
		}
		if d.Camera != "gate" || len(d.Objects) != 1 || d.Objects[0].Label != "person" || d.Seq <= last {
			t.Errorf("after %d: %s", last, lines.Text())
		}
		last = d.Seq
	}
	if count != n.Written() || n.Dropped() != 0 {
		t.Errorf("%d lines, %d written, %d dropped", count, n.Written(), n.Dropped())
	}
}

func TestAFileThatCannotBeWrittenIsNamed(t *testing.T) {
	s := startStation(t, Config{})
	path := filepath.Join(t.TempDir(), "missing", "detections.ndjson")
	_, stop := ndjsonRun(t, path, s.conn)
	if err := stop(); err == nil || !strings.Contains(err.Error(), path) || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing folder: %v", err)
	}
	f := one("gate", bus.EncodingJPEG, 640, 360)
	n := NewNDJSON("/dev/full", s.conn, quiet())
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- n.Run(ctx) }()
	for seq := uint64(1); ; seq++ {
		if err := f.publish(t.Context(), s.conn, nil, seq); err != nil {
			t.Fatal(err)
		}
		select {
		case err := <-ended:
			if err == nil || !strings.Contains(err.Error(), "write detections to /dev/full: ") {
				t.Errorf("full disk: %v", err)
			}
			return
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func TestASlowDiskLosesTheOldest(t *testing.T) {
	n := NewNDJSON("unused", nil, quiet())
	for seq := range uint64(ndjsonQueue + 5) {
		n.push(&bus.Detections{Seq: seq, Clock: bus.ClockFile, Tiles: bus.Tiles{Policy: bus.PolicyOff}})
	}
	if n.Dropped() != 5 {
		t.Errorf("%d dropped", n.Dropped())
	}
	var out bytes.Buffer
	if err := n.drain(&out); err != nil {
		t.Fatal(err)
	}
	var first bus.Detections
	if err := json.Unmarshal(out.Bytes()[:bytes.IndexByte(out.Bytes(), '\n')], &first); err != nil || first.Seq != 5 {
		t.Errorf("first is %d: %v", first.Seq, err)
	}
	if lines := bytes.Count(out.Bytes(), []byte("\n")); lines != ndjsonQueue || n.Written() != ndjsonQueue {
		t.Errorf("%d lines, %d written", lines, n.Written())
	}
}
