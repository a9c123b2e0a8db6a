package subjects_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"time"

	"bintubridge/subjects"

	"pgregory.net/rapid"
)

const eventsDir = "../testdata/events"

// sameEvent compares what an event says, not the memory its fields sit in.
func sameEvent(a, b subjects.Event) bool {
	fields := slices.Equal(a.Custom.List(), b.Custom.List()) && slices.Equal(a.Extra.List(), b.Extra.List())
	a.Custom, a.Extra, b.Custom, b.Extra = subjects.Fields{}, subjects.Fields{}, subjects.Fields{}, subjects.Fields{}
	return fields && reflect.DeepEqual(a, b)
}

func TestEventRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := genEvent(rapid.String()).Draw(t, "event")
		data := e.AppendJSON(nil)
		got, err := subjects.DecodeEvent(data)
		if err != nil {
			t.Fatal(err)
		}
		if !sameEvent(got, e) {
			t.Fatalf("got  %+v\nwant %+v", got, e)
		}
		// encoding/json goes the same way, also inside other values.
		if marshalled, err := json.Marshal([]subjects.Event{e}); err != nil || string(marshalled) != "["+string(data)+"]" {
			t.Fatalf("json.Marshal gives %s, %v, want %s", marshalled, err, data)
		}
		var list []subjects.Event
		if err := json.Unmarshal([]byte("["+string(data)+"]"), &list); err != nil || !sameEvent(list[0], e) {
			t.Fatalf("json.Unmarshal gives %+v, %v", list, err)
		}
	})
}

// golden are the events of testdata/events: what is published stays as it is.
func golden() map[string]subjects.Event {
	at := time.Date(2026, 11, 23, 9, 0, 0, 123456000, time.UTC)
	done := subjects.Event{
		ID: "bXk2-17", ReceivedAt: at, Bridge: "edge-1", Call: "publish_done",
		Name: "CD6xx-123456", App: "live", Addr: "17.31.43.214", ClientID: "123456",
		BytesIn: "575", BytesOut: "8516372",
	}
	done.Custom.Add("foo", "bar")
	done.Custom.Add("batz", "12345")

	publish := *publishEvent()
	publish.ID = "bXk2-16"

	denied := subjects.Event{
		ID: "bXk2-18", ReceivedAt: at, Bridge: "edge-1", Call: "publish", App: "live", Addr: "2001:db8::1", ClientID: "7",
		Decision: &subjects.Decision{Effect: subjects.EffectDeny, Reason: "empty_name", Revision: 42, RulesAgeMS: 3},
	}
	invalid := subjects.Event{ID: "bXk2-19", ReceivedAt: at, Bridge: "edge-1", Raw: "name=x&%zz=\xff"}

	full := *hostileEvent()
	full.ID = "bXk2-20"
	full.SWFURL, full.PageURL, full.Recorder, full.Path = "s", "p", "rec", "/var/rec/x.flv"
	full.BytesOut, full.Time, full.Timestamp, full.Duration, full.Reset, full.Epoch = "0", "2", "-1923", "-1", "1", "1.5"
	return map[string]subjects.Event{
		"publish_done.json": done, "publish.json": publish, "denied.json": denied,
		"invalid.json": invalid, "full.json": full,
	}
}

func TestGoldenEvents(t *testing.T) {
	events := golden()
	files, err := filepath.Glob(filepath.Join(eventsDir, "*.json"))
	if err != nil || len(files) != len(events) {
		t.Fatalf("%d files in %s, %v, want %d", len(files), eventsDir, err, len(events))
	}
	for name, e := range events {
		t.Run(name, func(t *testing.T) {
			want, err := os.ReadFile(filepath.Join(eventsDir, name))
			if err != nil {
				t.Fatal(err)
			}
			if got := string(e.AppendJSON(nil)) + "\n"; got != string(want) {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
	}
}

func TestDecodeIgnoresWhatItDoesNotKnow(t *testing.T) {
	e, err := subjects.DecodeEvent([]byte(`{"id":"a-1","received_at":"2026-11-23T10:00:00.5+01:00","region":{"x":[1]},
		"call":"publish","bytes_in":"7","custom":{"a":"b"},"decision":{"effect":"allow","cost":3},"shadow":null}`))
	if err != nil {
		t.Fatal(err)
	}
	want := subjects.Event{
		ID: "a-1", ReceivedAt: time.Date(2026, 11, 23, 9, 0, 0, 500000000, time.UTC), Call: "publish", BytesIn: "7",
		Decision: &subjects.Decision{Effect: "allow"},
	}
	want.Custom.Add("a", "b")
	if !sameEvent(e, want) {
		t.Errorf("got %+v, want %+v", e, want)
	}
}

func TestDecodeErrors(t *testing.T) {
	for name, data := range map[string]string{
		"nothing":         ``,
		"cut":             `{"id":"a-1"`,
		"array":           `[]`,
		"trailing":        `{} {}`,
		"time":            `{"received_at":"yesterday"}`,
		"time beyond":     `{"received_at":"9999-12-31T23:59:59-01:00"}`,
		"number":          `{"bytes_in":true}`,
		"name of a type":  `{"name":1}`,
		"custom":          `{"custom":{"a":1}}`,
		"custom is a map": `{"custom":[]}`,
	} {
		t.Run(name, func(t *testing.T) {
			e := subjects.Event{ID: "old"}
			if err := e.UnmarshalJSON([]byte(data)); err == nil || e.ID != "old" {
				t.Errorf("got %+v, %v, want an error and the event as it was", e, err)
			}
		})
	}
}

func FuzzDecodeEvent(f *testing.F) {
	for _, e := range golden() {
		f.Add(e.AppendJSON(nil))
	}
	f.Add([]byte(`{"custom":{"a":"1","a":"2"},"start":1e400}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		e, err := subjects.DecodeEvent(data)
		if err != nil {
			return
		}
		// What was understood is written, and understood again, the same.
		first := checkJSON(t, &e)
		again, err := subjects.DecodeEvent(first)
		if err != nil {
			t.Fatal(err)
		}
		if second := again.AppendJSON(nil); string(second) != string(first) {
			t.Errorf("%s was first written %s, then %s", data, first, second)
		}
	})
}
