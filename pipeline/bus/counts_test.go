package bus

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

func TestCountsOutliveTheBroker(t *testing.T) {
	dir := t.TempDir()
	broker := newBrokerIn(t, "", dir)
	c := connect(t, Config{Server: broker})
	if got, err := c.LoadCounts(t.Context(), "gate"); got != nil || err != nil {
		t.Fatalf("before any were stored: %v, %v", got, err)
	}
	for i := range uint64(3) {
		counts := someCounts()
		counts.Lines["door"] = Totals{In: 10 + i, Out: 1}
		if err := c.StoreCounts(t.Context(), counts); err != nil {
			t.Fatal(err)
		}
	}
	c.Close()
	broker.Close()

	c = connect(t, Config{Server: newBrokerIn(t, "", dir)})
	got, err := c.LoadCounts(t.Context(), "gate")
	if err != nil || got == nil || !got.At.Equal(captured) || !reflect.DeepEqual(got.Lines, map[string]Totals{"door": {In: 12, Out: 1}, "back": {}}) {
		t.Errorf("after a restart: %+v, %v", got, err)
	}
	if got, err := c.LoadCounts(t.Context(), "yard"); got != nil || err != nil {
		t.Errorf("another camera has %v, %v", got, err)
	}
}

func TestStoredCountsMatchTheirSchema(t *testing.T) {
	c := connect(t, Config{Server: newBroker(t, "")})
	for _, counts := range []*Counts{someCounts(), {Camera: "gate", At: captured.In(time.FixedZone("far", -3600))}} {
		if err := c.StoreCounts(t.Context(), counts); err != nil {
			t.Fatal(err)
		}
		m, err := c.lastCounts(t.Context(), "gate")
		if err != nil {
			t.Fatal(err)
		}
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(m.Data))
		if err != nil {
			t.Fatal(err)
		}
		if err := compiled(t, "counts").Validate(doc); err != nil || m.Subject != "sightline.counts.gate" {
			t.Errorf("%s: %v\n%s", m.Subject, err, m.Data)
		}
	}
}

func TestCountsThatNobodyCouldRead(t *testing.T) {
	c := connect(t, Config{Server: newBroker(t, "")})
	many := someCounts()
	for i := range MaxKeptLines {
		many.Lines[fmt.Sprint("l", i)] = Totals{}
	}
	for _, counts := range []*Counts{{Camera: "a.b", At: captured}, {Camera: "gate"}, {Camera: "gate", At: captured, Lines: map[string]Totals{"": {}}}, many} {
		if c.StoreCounts(t.Context(), counts) == nil {
			t.Errorf("stored %v", counts)
		}
	}
	for _, text := range []string{"", "[]", `{"schema":"sightline.counts/2"}`, `{"schema":"sightline.counts/1","camera":"yard","at":"2026-02-03T10:11:12Z","lines":{}}`,
		`{"schema":"sightline.counts/1","camera":"gate","at":"2026-02-03T10:11:12Z","lines":{"door":{"in":-1,"out":0}}}`} {
		if _, err := c.js.Publish(t.Context(), "sightline.counts.gate", []byte(text)); err != nil {
			t.Fatal(err)
		}
		if _, err := c.LoadCounts(t.Context(), "gate"); !errors.Is(err, ErrUnreadable) {
			t.Errorf("%s: %v", text, err)
		}
	}
	if _, err := c.LoadCounts(t.Context(), "a.>"); err == nil || !strings.Contains(err.Error(), "must match") {
		t.Errorf("a name that is a pattern: %v", err)
	}
	c.Close()
	if _, err := c.LoadCounts(t.Context(), "gate"); !errors.Is(err, ErrClosed) {
		t.Errorf("a closed connection: %v", err)
	}
	if err := c.StoreCounts(t.Context(), someCounts()); !errors.Is(err, ErrClosed) {
		t.Errorf("a closed connection: %v", err)
	}
}
