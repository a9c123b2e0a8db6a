package main

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"bintubridge/subjects"
)

// A bridge that refuses a document never runs it, whether it names it or has no room to.
func TestArrival(t *testing.T) {
	created := time.Unix(1_800_000_000, 0)
	refuses := func(count int, named ...string) subjects.BridgeRules {
		r := subjects.BridgeRules{BucketCreated: created, Revision: 9, InvalidCount: count}
		for _, key := range named {
			r.Invalid = append(r.Invalid, subjects.BridgeInvalid{Key: key, Error: "mistake"})
		}
		return r
	}
	for _, tt := range []struct {
		name   string
		rules  subjects.BridgeRules
		keys   []string
		state  string
		detail string
	}{
		{"refuses none", refuses(0), []string{"acme"}, stateRuns, ""},
		{"refuses another", refuses(1, "other"), []string{"acme"}, stateRuns, ""},
		{"refuses it", refuses(2, "acme", "other"), []string{"a", "acme", "other"}, stateRefused, "refuses acme, no version of it is in force: mistake"},
		{"refuses one of many that it names", refuses(12, "a", "b"), []string{"b", "z"}, stateRefused, "refuses b,"},
		{"before those it has no room to name", refuses(12, "a", "c"), []string{"b"}, stateRuns, ""},
		{"behind those it names", refuses(12, "a", "c"), []string{"z", "b", "d"}, stateUnknown, "may refuse d: it refuses 12 documents and names the first 2 by key"},
		{"names none", refuses(1), []string{"acme"}, stateUnknown, "may refuse acme: it refuses 1 document"},
		{"at an older revision", subjects.BridgeRules{BucketCreated: created, Revision: 8, InvalidCount: 12}, []string{"acme"}, stateBehind, "at revision 8"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := arrivalOf(subjects.BridgeStatus{Bridge: "edge", Rules: tt.rules}, created, 9, tt.keys)
			if a.State != tt.state || !strings.Contains(a.Detail, tt.detail) || (tt.detail == "") != (a.Detail == "") {
				t.Errorf("%s, %q; want %s, %q", a.State, a.Detail, tt.state, tt.detail)
			}
			err := verdict([]arrival{a, {Bridge: "other", State: stateRuns}}, 9, "rules")
			want := map[string]string{
				stateRefused: "1 of 2 bridges does not run revision 9:\n  edge: ", stateBehind: "1 of 2 bridges does not run revision 9:\n  edge: ",
				stateUnknown: "1 of 2 bridges cannot be told to run revision 9:\n  edge: may refuse",
			}[tt.state]
			if (err == nil) != (want == "") || err != nil && !strings.HasPrefix(err.Error(), want) {
				t.Errorf("verdict %v, want %q", err, want)
			}
		})
	}
}

// endedWatch is KV bridges when the wait is interrupted: the library has closed the watch.
type (
	endedWatch struct {
		jetstream.JetStream
		updates chan jetstream.KeyValueEntry
	}
	endedBucket struct {
		jetstream.KeyValue
		endedWatch
	}
	statusEntry struct {
		jetstream.KeyValueEntry
		value []byte
	}
	namedStream struct{ jetstream.Stream }
)

func (w endedWatch) KeyValue(context.Context, string) (jetstream.KeyValue, error) {
	return endedBucket{endedWatch: w}, nil
}

func (b endedBucket) WatchAll(context.Context, ...jetstream.WatchOpt) (jetstream.KeyWatcher, error) {
	return b.endedWatch, nil
}

func (w endedWatch) Options() jetstream.JetStreamOptions {
	return jetstream.JetStreamOptions{DefaultTimeout: time.Minute}
}

func (w endedWatch) Updates() <-chan jetstream.KeyValueEntry { return w.updates }
func (w endedWatch) Stop() error                             { return nil }
func (w endedWatch) Error() error                            { return nil }

func (e statusEntry) Key() string                     { return "edge" }
func (e statusEntry) Value() []byte                   { return e.value }
func (e statusEntry) Operation() jetstream.KeyValueOp { return jetstream.KeyValuePut }

func (namedStream) CachedInfo() *jetstream.StreamInfo { return &jetstream.StreamInfo{} }

// An interrupt of the wait names the bridges that are late, also when the watch ends with it.
func TestWaitEnds(t *testing.T) {
	late, err := json.Marshal(subjects.BridgeStatus{Bridge: "edge", Rules: subjects.BridgeRules{Bucket: "rules", Revision: 8}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	named := 0
	for range 100 { // whichever of both ends is noticed first
		w := endedWatch{updates: make(chan jetstream.KeyValueEntry, 2)}
		w.updates <- statusEntry{value: late}
		w.updates <- nil
		close(w.updates)
		b := &bucket{js: w, name: "rules", stream: namedStream{}}
		_, err := awaitFleet(ctx, b, time.Minute, 9, []string{"acme"}, func(string, ...any) {})
		if err == nil || strings.Contains(err.Error(), "NATS is gone") {
			t.Fatal(err)
		}
		if strings.Contains(err.Error(), "edge: at revision 8") {
			named++
		}
	}
	if named == 0 {
		t.Error("the late bridge is never named")
	}
}
