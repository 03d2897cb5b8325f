package bus

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	frameAge      = 2 * time.Second // a later frame is worthless
	detectionAge  = 24 * time.Hour
	eventAge      = 7 * 24 * time.Hour
	dedupWindow   = 2 * time.Minute
	defaultStore  = 1 << 30 // bytes of stored detections
	eventShare    = 4       // events may take this fraction of what detections may
	streamTimeout = 5 * time.Second
)

// Kinds of streams; Subjects.stream makes names of them.
const (
	streamFrames     = "FRAMES"
	streamDetections = "DETECTIONS"
	streamEvents     = "EVENTS"
	streamStatus     = "STATUS"
	streamCounts     = "COUNTS"
)

func streamConfigs(s Subjects, store int64) []jetstream.StreamConfig {
	if store <= 0 {
		store = defaultStore
	}
	return []jetstream.StreamConfig{
		{
			Name: s.stream(streamFrames), Subjects: []string{s.Frames("*")}, Storage: jetstream.MemoryStorage,
			MaxMsgsPerSubject: 1, MaxAge: frameAge, Duplicates: frameAge, Discard: jetstream.DiscardOld,
		},
		{
			Name: s.stream(streamDetections), Subjects: []string{s.Detections("*")}, Storage: jetstream.FileStorage,
			MaxAge: detectionAge, MaxBytes: store, Duplicates: dedupWindow, Discard: jetstream.DiscardOld,
		},
		{
			Name: s.stream(streamEvents), Subjects: []string{s.Events("*")}, Storage: jetstream.FileStorage,
			MaxAge: eventAge, MaxBytes: max(1<<20, store/eventShare), Duplicates: dedupWindow, Discard: jetstream.DiscardOld,
		},
		{
			Name: s.stream(streamStatus), Subjects: []string{s.Status("*", "*")}, Storage: jetstream.MemoryStorage,
			MaxMsgsPerSubject: 1, Duplicates: dedupWindow, Discard: jetstream.DiscardOld,
		},
		{
			Name: s.stream(streamCounts), Subjects: []string{s.Counts("*")}, Storage: jetstream.FileStorage,
			MaxMsgsPerSubject: 1, Duplicates: dedupWindow, Discard: jetstream.DiscardOld,
		},
	}
}

// makeStreams makes what is missing and updates what differs. It may be called as often as one likes.
func makeStreams(ctx context.Context, js jetstream.JetStream, configs []jetstream.StreamConfig) error {
	for _, cfg := range configs {
		if err := makeStream(ctx, js, cfg); err != nil {
			return fmt.Errorf("make stream %s: %w", cfg.Name, err)
		}
	}
	return nil
}

func makeStream(ctx context.Context, js jetstream.JetStream, cfg jetstream.StreamConfig) error {
	ctx, cancel := context.WithTimeout(ctx, streamTimeout)
	defer cancel()
	found, err := js.Stream(ctx, cfg.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		_, err = js.CreateOrUpdateStream(ctx, cfg) // another process may make it at the same moment
		return err
	}
	if err != nil {
		return err
	}
	old := found.CachedInfo().Config
	if !slices.Equal(old.Subjects, cfg.Subjects) {
		return fmt.Errorf("%w: it holds %q, not %q; set bus.prefix to one that is free", errForeignStream, old.Subjects, cfg.Subjects)
	}
	if sameStream(old, cfg) {
		return nil
	}
	cfg.Replicas, cfg.Placement = old.Replicas, old.Placement // a cluster's operator decides those
	_, err = js.UpdateStream(ctx, cfg)
	return err
}

// errForeignStream is returned when somebody else's stream has the name of ours.
var errForeignStream = errors.New("the stream belongs to something else")

func sameStream(a, b jetstream.StreamConfig) bool {
	return a.Storage == b.Storage && a.MaxMsgsPerSubject == max(b.MaxMsgsPerSubject, -1) && a.MaxAge == b.MaxAge &&
		a.Duplicates == b.Duplicates && a.Discard == b.Discard && (a.MaxBytes == b.MaxBytes || a.MaxBytes <= 0 && b.MaxBytes <= 0)
}
