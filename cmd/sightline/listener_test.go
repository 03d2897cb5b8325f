package main

import (
	"bytes"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/sightline/sightline/pipeline/bus"
)

// listener reads the DETECTIONS stream from its beginning, as any client of NATS may.
type listener struct {
	schema *jsonschema.Schema
	mu     sync.Mutex // protects what follows
	heard  []*bus.Detections
	faults []error
}

func listen(t testing.TB, broker, camera string) *listener {
	t.Helper()
	nc, err := nats.Connect(broker, nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	config := jetstream.OrderedConsumerConfig{FilterSubjects: []string{"sightline.detections." + camera}}
	consumer, err := js.OrderedConsumer(t.Context(), "DETECTIONS", config)
	if err != nil {
		t.Fatal(err)
	}
	l := &listener{schema: detectionsSchema(t)}
	consuming, err := consumer.Consume(l.take)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(consuming.Stop)
	return l
}

func detectionsSchema(t testing.TB) *jsonschema.Schema {
	t.Helper()
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(bus.Schema("detections")))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("detections.json", document); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile("detections.json")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

func (l *listener) take(m jetstream.Msg) {
	d, err := bus.ParseDetections(m.Data())
	if err == nil {
		var document any
		if document, err = jsonschema.UnmarshalJSON(bytes.NewReader(m.Data())); err == nil {
			err = l.schema.Validate(document)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		l.faults = append(l.faults, err)
		return
	}
	l.heard = append(l.heard, d)
}

func (l *listener) messages() []*bus.Detections {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.heard)
}

// await waits for n messages and fails on any that breaks the schema.
func (l *listener) await(t testing.TB, n int) []*bus.Detections {
	t.Helper()
	eventually(t, "detections in the stream", func() bool { return len(l.messages()) >= n })
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, fault := range l.faults {
		t.Errorf("a message breaks the contract: %v", fault)
	}
	return slices.Clone(l.heard)
}
