package bus

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"
)

func someTracks() *Tracks {
	return &Tracks{
		Camera: "gate", Session: "01JKX", Seq: 7, CapturedAt: captured, Clock: ClockFile, Frame: Size{640, 480}, Model: "m@01234567", Detector: "big",
		Objects: []TrackObject{
			{Object{"person", 0, 0.5, Box{1, 2, 3, 4}}, 12, Box{2, 2, 4, 4}, true, []string{"yard", "door"}, true, Rest{true, captured, 25}},
			{Object: Object{Label: "car"}, TrackID: 13},
		},
	}
}

func someEvent() *Event {
	return &Event{
		Type: EventEnd, Camera: "gate", Session: "01JKX", Seq: 7, CapturedAt: captured, Detector: "big", Label: "traffic light", TrackID: 12,
		StartedAt: captured.Add(-time.Second), Score: 0.9, Box: &Box{1, 2, 3, 4}, Rest: Rest{true, captured, 25},
		Best: &Best{6, captured, Box{1, 2, 3, 4}, 0.8},
	}
}

func someStatus() *Status {
	return &Status{Role: "ingest", ID: "gate", State: "online", At: captured, Counters: map[string]float64{"frames": 12, "fps": 12.5}}
}

func someCrossing() *Event {
	e := someEvent()
	e.Type, e.Line, e.Direction, e.Counts = EventLineCross, "door", DirectionIn, &Totals{In: 1 << 63}
	return e
}

func someLeaving() *Event {
	e, dwell := someEvent(), 1250.5
	e.Type, e.Zone, e.DwellMS = EventZoneLeave, "yard", &dwell
	return e
}

func someCounts() *Counts {
	return &Counts{Camera: "gate", At: captured, Lines: map[string]Totals{"door": {In: 3, Out: 1}, "back": {}}}
}

func someScene() *Scene {
	triangle := []Point{{0, 0.5}, {1, 0.5}, {0.5, 1}}
	return &Scene{
		Camera: "gate", At: captured, Zones: []SceneZone{{Name: "yard", Coordinates: triangle, Labels: []string{"person"}}, {Name: "all", Coordinates: triangle}},
		Lines: []SceneLine{{Name: "door", Coordinates: [2]Point{{0.5, 1}, {0.5, 0}}, Counts: &Totals{In: 1 << 63}}, {Name: "new"}},
		Masks: []SceneMask{{Coordinates: triangle}},
	}
}

func compiled(t *testing.T, name string) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(Schema(name)))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource(name+".json", doc); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile(name + ".json")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// TestPublishedMessagesMatchTheirSchemas reads what is on the wire, for full messages and for the least that is valid.
func TestPublishedMessagesMatchTheirSchemas(t *testing.T) {
	c := connect(t, Config{Server: newBroker(t, "")})
	wire := make(chan *nats.Msg, 16)
	sub, err := c.nc.ChanSubscribe("sightline.>", wire)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	empty := someDetections("gate", 1<<63)
	empty.Objects, empty.CapturedAt, empty.Model = nil, captured.In(time.FixedZone("far", -3600)), ""
	offline := &Event{Type: EventCameraOffline, Camera: "gate", CapturedAt: captured, Label: CameraLabel, Cause: "connection refused"}
	noTracks := someTracks()
	noTracks.Objects = nil
	for _, step := range []struct {
		schema, subject string
		err             error
	}{
		{"detections", "sightline.detections.gate", c.PublishDetections(t.Context(), someDetections("gate", 1))},
		{"detections", "sightline.detections.gate", c.PublishDetections(t.Context(), empty)},
		{"tracks", "sightline.tracks.gate", c.PublishTracks(t.Context(), someTracks())},
		{"tracks", "sightline.tracks.gate", c.PublishTracks(t.Context(), noTracks)},
		{"event", "sightline.events.gate.traffic_light.end", c.PublishEvent(t.Context(), someEvent())},
		{"event", "sightline.events.gate.camera.camera_offline", c.PublishEvent(t.Context(), offline)},
		{"event", "sightline.events.gate.traffic_light.line_cross", c.PublishEvent(t.Context(), someCrossing())},
		{"event", "sightline.events.gate.traffic_light.zone_leave", c.PublishEvent(t.Context(), someLeaving())},
		{"scene", "sightline.scene.gate", c.PublishScene(t.Context(), someScene())},
		{"scene", "sightline.scene.gate", c.PublishScene(t.Context(), &Scene{Camera: "gate", At: captured})},
		{"status", "sightline.status.ingest.gate", c.PublishStatus(t.Context(), someStatus())},
		{"status", "sightline.status.detect.host-1", c.PublishStatus(t.Context(), &Status{Role: "detect", ID: "host-1", State: "running", At: captured})},
		{"status", "sightline.status.detect.host-2", c.PublishStatus(t.Context(), &Status{
			Role: "detect", ID: "host-2", State: "running", At: captured, Detector: &DetectorStatus{"big", false, "m@01234567", "cpu", 2},
		})},
	} {
		if step.err != nil {
			t.Fatal(step.err)
		}
		m := <-wire
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(m.Data))
		if err != nil {
			t.Fatal(err)
		}
		if err := compiled(t, step.schema).Validate(doc); err != nil {
			t.Errorf("%s: %v\n%s", step.schema, err, m.Data)
		}
		if m.Subject != step.subject {
			t.Errorf("%s was published on %s", step.subject, m.Subject)
		}
		if !bytes.Contains(m.Data, []byte(`"2026-02-03T10:11:12.123456789Z"`)) {
			t.Errorf("no time in UTC with nanoseconds: %s", m.Data)
		}
	}
	if Schema("../main_test") != nil || Schema("frame") != nil {
		t.Error("a schema that is none")
	}
}

// TestSchemasAndParsersAgree: what the parser refuses of these, the schema refuses too.
func TestSchemasAndParsersAgree(t *testing.T) {
	const good = `{"schema":"sightline.detections/1","camera":"gate","session":"s","seq":1,"captured_at":"2026-02-03T10:11:12.5Z","clock":"rtcp",
		"rtp_timestamp":1,"frame":{"width":640,"height":480},"model":"m","dropped":0,"tiles":{"policy":"off","run":1,"of":1},
		"timing_ms":{"decode":1,"queue":1,"prepare":1,"infer":1,"merge":1,"total":5},
		"objects":[{"label":"person","class_id":0,"score":0.5,"box":[1,2,3,4]}],"added_later":true}`
	if _, err := ParseDetections([]byte(good)); err != nil {
		t.Fatal(err)
	}
	schema := compiled(t, "detections")
	for _, c := range [][2]string{
		{`sightline.detections/1`, `sightline.detections/2`}, {`"gate"`, `"a.b"`}, {`"session":"s"`, `"session":""`}, {`"seq":1`, `"seq":-1`},
		{`"2026-02-03T10:11:12.5Z"`, `"yesterday"`}, {`"rtcp"`, `"sundial"`}, {`"width":640`, `"width":0`}, {`"height":480`, `"height":20000`},
		{`"off"`, `"some"`}, {`"run":1`, `"run":-1`}, {`"label":"person"`, `"label":""`}, {`"class_id":0`, `"class_id":-1`}, {`0.5,`, `1.5,`},
		{`[1,2,3,4]`, `[1,2,3]`}, {`[1,2,3,4]`, `[1,2,3,4,5]`}, {`[1,2,3,4]`, `["1",2,3,4]`}, {`"decode":1`, `"decode":"1"`}, {`"dropped":0`, `"dropped":-1`},
		{`"rtp_timestamp":1`, `"rtp_timestamp":4294967296`}, {`"model":"m"`, `"model":"` + strings.Repeat("m", 257) + `"`},
	} {
		text := strings.Replace(good, c[0], c[1], 1)
		if _, err := ParseDetections([]byte(text)); err == nil {
			t.Errorf("the parser accepts %s", c[1])
		}
		doc, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		if schema.Validate(doc) == nil {
			t.Errorf("the schema accepts %s", c[1])
		}
	}
	for name, text := range map[string]string{
		"null list": strings.Replace(good, `[{"label":"person","class_id":0,"score":0.5,"box":[1,2,3,4]}]`, "null", 1),
		"two":       good + good, "empty": "", "list": "[]", "huge": good + strings.Repeat(" ", MaxMessage),
		"box of three": strings.Replace(good, "[1,2,3,4]", "[1,2,3]", 1), "box of five": strings.Replace(good, "[1,2,3,4]", "[1,2,3,4,5]", 1),
		"box of text": strings.Replace(good, "[1,2,3,4]", `["1",2,3,4]`, 1), "box of boxes": strings.Replace(good, "[1,2,3,4]", "[[1],2,3,4]", 1),
		"box of nothing": strings.Replace(good, "[1,2,3,4]", "[1,2,3,null]", 1), "no box": strings.Replace(good, "[1,2,3,4]", `"1,2,3,4"`, 1),
		"huge box":       strings.Replace(good, "[1,2,3,4]", "[1,2,3,4e99]", 1),
		"box inside out": strings.Replace(good, "[1,2,3,4]", "[3,2,1,4]", 1), "far box": strings.Replace(good, "[1,2,3,4]", "[1,2,3,1e9]", 1),
	} {
		if _, err := ParseDetections([]byte(text)); err == nil {
			t.Errorf("%s: the parser accepts it", name)
		}
	}
}

// TestEventsOfPlacesAreChecked: the parser and the schema refuse the same.
func TestEventsOfPlacesAreChecked(t *testing.T) {
	const event = `{"schema":"sightline.event/1","camera":"gate","captured_at":"2026-02-03T10:11:12Z","label":"person",`
	schema := compiled(t, "event")
	for rest, good := range map[string]bool{
		`"type":"zone_enter","zone":"yard"`: true, `"type":"zone_leave","zone":"yard","dwell_ms":0`: true, `"type":"zone_enter"`: false,
		`"type":"zone_leave"`: false, `"type":"zone_enter","zone":"a.b"`: false, `"type":"zone_leave","zone":"yard","dwell_ms":-1`: false,
		`"type":"line_cross","line":"door","direction":"in"`: true, `"type":"line_cross","line":"door"`: false,
		`"type":"update","stationary":true,"motionless_since":"2026-02-03T10:11:12Z","motionless_count":3`: true,
		`"type":"end","best":{"seq":1,"captured_at":"2026-02-03T10:11:12Z","box":[1,2,3,4],"score":0.5}`:   true,
		`"type":"end","best":{"seq":1,"captured_at":"2026-02-03T10:11:12Z","box":[1,2,3,4],"score":1.5}`:   false,
		`"type":"end","best":{"seq":1,"captured_at":"2026-02-03T10:11:12Z","box":[1,2,3],"score":0.5}`:     false,
		`"type":"end","best":{"seq":1,"captured_at":"2026","box":[1,2,3,4],"score":0.5}`:                   false,
		`"type":"update","motionless_since":"yesterday"`:                                                   false, `"type":"update","motionless_count":-1`: false, `"type":"update","stationary":1`: false,
		`"type":"line_cross","direction":"in"`: false, `"type":"line_cross","line":"a b","direction":"in"`: false,
		`"type":"line_cross","line":"door","direction":"up"`:                              false,
		`"type":"line_cross","line":"door","direction":"out","counts":{"in":1,"out":2}`:   true,
		`"type":"line_cross","line":"door","direction":"out","counts":{"in":-1,"out":2}`:  false,
		`"type":"line_cross","line":"door","direction":"out","counts":{"in":1.5,"out":2}`: false,
		`"type":"start","zone":"` + strings.Repeat("z", 65) + `"`:                         false,
		`"type":"start","detector":"big"`:                                                 true, `"type":"start","detector":"a b"`: false,
		`"type":"start","line":"door","zone":"yard","direction":"in","dwell_ms":1,"later":true`: true,
	} {
		_, err := ParseEvent([]byte(event + rest + "}"))
		doc, parseErr := jsonschema.UnmarshalJSON(strings.NewReader(event + rest + "}"))
		if parseErr != nil {
			t.Fatal(parseErr)
		}
		if valid := schema.Validate(doc) == nil; (err == nil) != good || valid != good {
			t.Errorf("%s: parser says %v, schema %v, want %v", rest, err, valid, good)
		}
	}
	tracks := someTracks()
	tracks.Detector = "a.b"
	if c := tracks.complete(); c.Validate() == nil {
		t.Error("a detector a.b is accepted")
	}
	tracks.Detector = ""
	for _, zones := range [][]string{make([]string, MaxZones+1), {"a.b"}, {""}} {
		tracks.Objects[0].Zones = zones
		if c := tracks.complete(); c.Validate() == nil {
			t.Errorf("zones %q are accepted", zones)
		}
	}
}

// TestScenesAreChecked: the parser and the schema refuse the same.
func TestScenesAreChecked(t *testing.T) {
	const good = `{"schema":"sightline.scene/1","camera":"gate","at":"2026-02-03T10:11:12Z","zones":[{"name":"yard","coordinates":[[0,0],[1,0],[1,1]],
		"labels":["person"]}],"lines":[{"name":"door","coordinates":[[0.5,1],[0.5,0]],"counts":{"in":1,"out":2}}],"masks":[{"coordinates":[[0,0],[0,1],[1,1]]}],"later":1}`
	schema := compiled(t, "scene")
	for _, c := range [][2]string{
		{"", ""}, {`"gate"`, `"a.b"`}, {`scene/1`, `scene/2`}, {`"yard"`, `"a b"`}, {`"door"`, `""`}, {`[1,1]],
		"labels"`, `[1,1.5]],"labels"`}, {`[[0,0],[1,0],[1,1]]`, `[[0,0],[1,0]]`}, {`[0.5,0]]`, `[0.5,0],[0,0]]`}, {`,[0.5,0]]`, `]`}, {`[0.5,1]`, `[0.5]`},
		{`[0.5,1]`, `[0.5,1,2]`}, {`["person"]`, `[""]`}, {`"in":1`, `"in":-1`}, {`[{"coordinates":[[0,0],[0,1],[1,1]]}]`, `null`}, {`"zones":`, `"areas":`},
		{`[[0,0],[0,1],[1,1]]`, `[` + strings.Repeat("[0,1],", MaxCorners) + `[1,1]]`},
	} {
		text := strings.Replace(good, c[0], c[1], 1)
		_, err := ParseScene([]byte(text))
		doc, parseErr := jsonschema.UnmarshalJSON(strings.NewReader(text))
		if parseErr != nil {
			t.Fatal(parseErr)
		}
		if valid := schema.Validate(doc) == nil; (err == nil) != (c[0] == "") || valid != (err == nil) {
			t.Errorf("%s instead of %s: parser says %v, schema %v", c[1], c[0], err, valid)
		}
	}
}

// TestSceneArrives as it was sent.
func TestSceneArrives(t *testing.T) {
	c := connect(t, Config{Server: newBroker(t, "")})
	came := make(chan *Scene, 1)
	sub, err := c.SubscribeScenes("*", func(s *Scene) { came <- s })
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Close()
	if err := c.PublishScene(t.Context(), someScene()); err != nil {
		t.Fatal(err)
	}
	if got, want := <-came, someScene().complete(); !reflect.DeepEqual(*got, want) {
		t.Errorf("%+v came, want %+v", *got, want)
	}
}

func TestPublishRefusesWhatNobodyCouldRead(t *testing.T) {
	c := connect(t, Config{Server: newBroker(t, "")})
	d, tracks, event, status := someDetections("a.b", 1), someTracks(), someEvent(), someStatus()
	notANumber := someDetections("gate", 1)
	notANumber.Objects[0].Box[2] = float32(math.NaN())
	tracks.Objects[0].TrackID = 0
	event.Type = "a.b"
	status.Counters["bad"] = math.Inf(1)
	for i, err := range []error{
		c.PublishDetections(t.Context(), d), c.PublishDetections(t.Context(), notANumber), c.PublishTracks(t.Context(), tracks),
		c.PublishEvent(t.Context(), event), c.PublishStatus(t.Context(), status),
	} {
		if err == nil {
			t.Errorf("message %d was published", i)
		}
	}
}

// TestAsyncAPI holds the description against the subjects, the headers and the schemas that there are.
func TestAsyncAPI(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("schema", "asyncapi.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		AsyncAPI   string
		Channels   map[string]struct{ Address string }
		Components struct {
			Messages map[string]struct {
				Headers struct {
					Required   []string
					Properties map[string]any
				}
				Payload struct{ Schema map[string]string }
			}
		}
	}
	if err := yaml.Unmarshal(data, &doc); err != nil {
		t.Fatal(err)
	}
	s := Subjects{DefaultPrefix}
	for channel, address := range map[string]string{
		"frames": s.Frames("{camera}"), "detections": s.Detections("{camera}"), "tracks": s.Tracks("{camera}"),
		"events": "sightline.events.{camera}.{label}.{type}", "status": s.Status("{role}", "{id}"),
		"counts": s.Counts("{camera}"), "scene": s.Scene("{camera}"),
	} {
		if got := doc.Channels[channel].Address; got != address {
			t.Errorf("channel %s has the address %q, want %q", channel, got, address)
		}
	}
	if !strings.HasPrefix(doc.AsyncAPI, "3.") || len(doc.Channels) != 7 {
		t.Errorf("version %s, %d channels", doc.AsyncAPI, len(doc.Channels))
	}
	for _, name := range []string{"detections", "tracks", "event", "status", "counts", "scene"} {
		if got := doc.Components.Messages[name].Payload.Schema["$ref"]; got != "./"+name+".json" || Schema(name) == nil {
			t.Errorf("message %s refers to %q", name, got)
		}
	}
	frame := doc.Components.Messages["frame"].Headers
	if !reflect.DeepEqual(frame.Required, frameHeaders[:headerIndex(headerRef)]) {
		t.Errorf("required headers: %v", frame.Required)
	}
	for name := range frame.Properties {
		if !slices.Contains(frameHeaders[:], name) {
			t.Errorf("there is no header %s", name)
		}
	}
	if len(frame.Properties) != len(frameHeaders) {
		t.Errorf("%d headers are described, there are %d", len(frame.Properties), len(frameHeaders))
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"schema":"sightline.event/1","type":"start","camera":"gate","captured_at":"2026-02-03T10:11:12Z","label":"person"}`))
	f.Add([]byte(`{"schema":"sightline.status/1","role":"ingest","id":"gate","state":"online","at":"2026-02-03T10:11:12Z"}`))
	f.Add([]byte(`{"schema":"sightline.tracks/1","camera":"gate","objects":[{"box":[1,2,3,4]}]}`))
	f.Add([]byte(`{"schema":"sightline.event/1","type":"zone_leave","zone":"z","dwell_ms":1,"camera":"gate","captured_at":"2026-02-03T10:11:12Z","label":"person"}`))
	f.Add([]byte(`{"schema":"sightline.counts/1","camera":"gate","at":"2026-02-03T10:11:12Z","lines":{"door":{"in":1,"out":18446744073709551615}}}`))
	f.Add([]byte(`{"schema":"sightline.scene/1","camera":"gate","at":"2026-02-03T10:11:12Z","zones":[],"masks":[],"lines":[{"name":"a","coordinates":[[0,0],[1,1]]}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if m, err := ParseCounts(data); err == nil && m.Validate() != nil {
			t.Error("invalid counts")
		}
		if m, err := ParseScene(data); err == nil && m.Validate() != nil {
			t.Error("invalid scene")
		}
		if m, err := ParseDetections(data); err == nil && m.Validate() != nil {
			t.Error("invalid detections")
		}
		if m, err := ParseTracks(data); err == nil && m.Validate() != nil {
			t.Error("invalid tracks")
		}
		if m, err := ParseEvent(data); err == nil && m.Validate() != nil {
			t.Error("invalid event")
		}
		if m, err := ParseStatus(data); err == nil && m.Validate() != nil {
			t.Error("invalid status")
		}
	})
}

// BenchmarkParseDetections reads what a crowded 4K frame gives.
func BenchmarkParseDetections(b *testing.B) {
	d := someDetections("gate", 1)
	for i := range 60 {
		d.Objects = append(d.Objects, Object{"person", 0, 0.87, Box{float32(i) + 12.34, 610.5, 1620.25, 841.125}})
	}
	data, err := json.Marshal(d.complete())
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseDetections(data); err != nil {
			b.Fatal(err)
		}
	}
}
