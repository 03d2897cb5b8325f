package sinks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"

	"github.com/sightline/sightline/pipeline/bus"
)

// ndjsonQueue bounds the messages that wait for a slow disk.
const ndjsonQueue = 1024

// NDJSON appends every detections message to a file, one line each, as it was published.
type NDJSON struct {
	path string
	conn *bus.Conn
	log  *slog.Logger

	mu      sync.Mutex        // guards what follows
	queue   []*bus.Detections // a ring
	first   int
	count   int
	dropped uint64
	written uint64
	arrived chan struct{} // holds one
}

// NewNDJSON makes a sink that writes to path. The file is opened by Run.
func NewNDJSON(path string, conn *bus.Conn, log *slog.Logger) *NDJSON {
	return &NDJSON{path: path, conn: conn, log: log, queue: make([]*bus.Detections, ndjsonQueue), arrived: make(chan struct{}, 1)}
}

// Run writes until ctx ends, or until the file cannot be written. What is queued by then is written, and everything is on
// the disk when it returns.
func (n *NDJSON) Run(ctx context.Context) error {
	file, err := openLines(n.path)
	if err != nil {
		return fmt.Errorf("write detections: %w", err)
	}
	sub, err := n.conn.SubscribeDetections("*", n.push)
	if err != nil {
		return errors.Join(fmt.Errorf("write detections to %s: %w", n.path, err), file.Close())
	}
	err = n.write(ctx, file)
	sub.Close()
	if err == nil {
		err = n.drain(file)
	}
	if dropped := n.Dropped() + sub.Dropped(); dropped > 0 {
		n.log.Warn("detections were not written: the disk was too slow", "path", n.path, "dropped", dropped)
	}
	if err = errors.Join(err, syncFile(file), file.Close()); err != nil {
		return fmt.Errorf("write detections to %s: %w", n.path, err)
	}
	return nil
}

// openLines opens a file to append lines to, and ends a last line that was cut off.
func openLines(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o640)
	if err != nil {
		return nil, err
	}
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil || size == 0 { // a pipe has no end and nothing cut off
		return f, nil
	}
	var last [1]byte
	if _, err := f.ReadAt(last[:], size-1); err == nil && last[0] != '\n' {
		if _, err := f.Write([]byte{'\n'}); err != nil {
			return nil, errors.Join(err, f.Close())
		}
	}
	return f, nil
}

// syncFile brings a file to the disk; pipes and terminals have none.
func syncFile(f *os.File) error {
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return err
	}
	return f.Sync()
}

// push never blocks: the oldest message makes room.
func (n *NDJSON) push(d *bus.Detections) {
	n.mu.Lock()
	if n.count == len(n.queue) {
		n.first = (n.first + 1) % len(n.queue)
		n.count--
		n.dropped++
	}
	n.queue[(n.first+n.count)%len(n.queue)] = d
	n.count++
	n.mu.Unlock()
	select {
	case n.arrived <- struct{}{}:
	default:
	}
}

func (n *NDJSON) pop() *bus.Detections {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.count == 0 {
		return nil
	}
	d := n.queue[n.first]
	n.queue[n.first] = nil
	n.first = (n.first + 1) % len(n.queue)
	n.count--
	return d
}

func (n *NDJSON) write(ctx context.Context, w io.Writer) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-n.arrived:
		}
		if err := n.drain(w); err != nil {
			return err
		}
	}
}

// drain writes each message with one call, so that a crash cuts off one line at most.
func (n *NDJSON) drain(w io.Writer) error {
	for d := n.pop(); d != nil; d = n.pop() {
		line, err := json.Marshal(d)
		if err != nil {
			return err
		}
		if _, err := w.Write(append(line, '\n')); err != nil {
			return err
		}
		n.mu.Lock()
		n.written++
		n.mu.Unlock()
	}
	return nil
}

// Dropped is how many messages were lost because the disk was too slow.
func (n *NDJSON) Dropped() uint64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.dropped
}

// Written is how many messages are in the file.
func (n *NDJSON) Written() uint64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.written
}
