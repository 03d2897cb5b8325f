package bus

import (
	"reflect"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

func TestEveryMessageArrivesAsItWasSent(t *testing.T) {
	s := newBroker(t, "127.0.0.1:0")
	from, to := connect(t, Config{Server: s}), connect(t, Config{URL: s.ClientURL()})
	got := make(chan any, 16)
	subscribed := func(_ *Subscription, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	subscribed(to.SubscribeFrames("gate", func(m *Frame) { got <- m }))
	subscribed(to.SubscribeDetections("*", func(m *Detections) { got <- m }))
	subscribed(to.SubscribeTracks("gate", func(m *Tracks) { got <- m }))
	subscribed(to.SubscribeEvents("gate", func(m *Event) { got <- m }))
	subscribed(to.SubscribeStatus("gate", func(m *Status) { got <- m }))
	expect := func(want any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		select {
		case m := <-got:
			if !reflect.DeepEqual(m, want) {
				t.Errorf("got  %+v\nwant %+v", m, want)
			}
		case <-time.After(patience):
			t.Fatal("nothing came")
		}
	}
	frame := jpegFrame("gate", 1)
	expect(frame, from.PublishFrame(t.Context(), frame))
	d := someDetections("gate", 1)
	err := from.PublishDetections(t.Context(), d)
	d.Schema = SchemaDetections
	expect(d, err)
	tracks, event, status := someTracks(), someEvent(), someStatus()
	err = from.PublishTracks(t.Context(), tracks)
	tracks.Schema = SchemaTracks
	expect(tracks, err)
	err = from.PublishEvent(t.Context(), event)
	event.Schema = SchemaEvent
	expect(event, err)
	err = from.PublishStatus(t.Context(), status)
	status.Schema = SchemaStatus
	expect(status, err)
}

func TestSlowSubscriberLosesTheOldest(t *testing.T) {
	c := connect(t, Config{Server: newBroker(t, "")})
	entered, goOn := make(chan struct{}, 1), make(chan struct{})
	var seen []uint64
	const total = 3 * pendingMessages
	done := make(chan struct{})
	sub, err := c.SubscribeDetections("gate", func(d *Detections) {
		if seen = append(seen, d.Seq); len(seen) == 1 {
			entered <- struct{}{}
			<-goOn
		}
		if d.Seq == total {
			close(done)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	send := func(seq uint64) {
		if err := c.PublishDetections(t.Context(), someDetections("gate", seq)); err != nil {
			t.Fatal(err)
		}
	}
	send(0)
	<-entered
	for seq := range uint64(total) {
		send(seq + 1)
	}
	eventually(t, "the rest is queued or dropped", func() bool { return sub.Dropped() == total-pendingMessages })
	close(goOn)
	<-done
	sub.Close()
	if len(seen) != 1+pendingMessages || seen[1] != total-pendingMessages+1 {
		t.Errorf("%d messages, the second is %d", len(seen), seen[1])
	}
	for i := 2; i < len(seen); i++ {
		if seen[i] != seen[i-1]+1 {
			t.Fatalf("%d follows %d", seen[i], seen[i-1])
		}
	}
	if n := c.Stats().ReceivedDropped; n != sub.Dropped() {
		t.Errorf("the connection counts %d", n)
	}
}

func TestClosedSubscriptionIsQuiet(t *testing.T) {
	c := connect(t, Config{Server: newBroker(t, "")})
	calls := 0
	sub, err := c.SubscribeDetections("gate", func(*Detections) { calls++ })
	if err != nil {
		t.Fatal(err)
	}
	sub.Close()
	sub.Close()
	heard := make(chan struct{})
	if _, err := c.SubscribeDetections("gate", func(*Detections) { close(heard) }); err != nil {
		t.Fatal(err)
	}
	if err := c.PublishDetections(t.Context(), someDetections("gate", 1)); err != nil {
		t.Fatal(err)
	}
	<-heard
	if calls != 0 {
		t.Errorf("called %d times", calls)
	}
}

// TestSubscriptionsOfOneSubjectShare: the broker sends a message to a connection once, it is read once, and all have it until each of them
// is closed.
func TestSubscriptionsOfOneSubjectShare(t *testing.T) {
	broker := newBroker(t, "")
	c := connect(t, Config{Server: broker})
	var heard [2]chan *Detections
	var subs [2]*Subscription
	subscribed := func() int {
		z, err := broker.server.Subsz(&server.SubszOptions{Subscriptions: true, Test: c.subjects.Detections("gate")})
		if err != nil {
			t.Fatal(err)
		}
		return z.Total
	}
	before := subscribed() // the stream's own
	for i := range heard {
		heard[i] = make(chan *Detections, 4)
		var err error
		if subs[i], err = c.SubscribeDetections("gate", func(d *Detections) { heard[i] <- d }); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "one subscription at the broker", func() bool { return subscribed() == before+1 })
	send := func(seq uint64) {
		t.Helper()
		if err := c.PublishDetections(t.Context(), someDetections("gate", seq)); err != nil {
			t.Fatal(err)
		}
	}
	send(1)
	if a, b := <-heard[0], <-heard[1]; a != b || a.Seq != 1 {
		t.Errorf("%+v and %+v", a, b)
	}
	subs[0].Close()
	send(2)
	if d := <-heard[1]; d.Seq != 2 || len(heard[0]) > 0 {
		t.Errorf("%+v; the closed one has %d", d, len(heard[0]))
	}
	subs[1].Close()
	eventually(t, "none at the broker", func() bool { return subscribed() == before })
}

func TestSubscribeRefusesNames(t *testing.T) {
	c := connect(t, Config{Server: newBroker(t, "")})
	for _, name := range []string{"", ">", "a.b", "a b"} {
		if _, err := c.SubscribeFrames(name, func(*Frame) {}); err == nil {
			t.Errorf("%q was accepted", name)
		}
	}
}

func TestMalformedMessagesAreCounted(t *testing.T) {
	c := connect(t, Config{Server: newBroker(t, "")})
	heard := make(chan *Detections, 1)
	if _, err := c.SubscribeDetections("gate", func(d *Detections) { heard <- d }); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"", "{", "null", `{"schema":"sightline.detections/2"}`} {
		if err := c.nc.Publish("sightline.detections.gate", []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.PublishDetections(t.Context(), someDetections("gate", 5)); err != nil {
		t.Fatal(err)
	}
	if d := <-heard; d.Seq != 5 {
		t.Errorf("heard %+v", d)
	}
	if n := c.Stats().Malformed; n != 4 {
		t.Errorf("%d malformed, want 4", n)
	}
}

// TestRepeatedDetectionsAreStoredOnce: the message id is camera/session/seq.
func TestRepeatedDetectionsAreStoredOnce(t *testing.T) {
	s := newBroker(t, "")
	c := connect(t, Config{Server: s})
	for _, seq := range []uint64{1, 1, 2, 1} {
		if err := c.PublishDetections(t.Context(), someDetections("gate", seq)); err != nil {
			t.Fatal(err)
		}
	}
	c.Close()
	stream, err := connect(t, Config{Server: s}).js.Stream(deadline(t), "DETECTIONS")
	if err != nil || stream.CachedInfo().State.Msgs != 2 {
		t.Errorf("%d stored, %v", stream.CachedInfo().State.Msgs, err)
	}
}
