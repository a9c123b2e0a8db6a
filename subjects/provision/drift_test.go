package provision_test

import (
	"reflect"
	"testing"
	"time"

	"bintubridge/subjects/provision"

	"github.com/nats-io/nats.go/jetstream"
)

// streamLike is a sound EVENTS of an operator's own making.
func streamLike(change func(*jetstream.StreamConfig)) jetstream.StreamConfig {
	c := jetstream.StreamConfig{
		Name: "EVENTS", Subjects: []string{"stream.>"}, Discard: jetstream.DiscardNew,
		MaxAge: time.Hour, MaxBytes: 1 << 20, Duplicates: 10 * time.Minute,
	}
	change(&c)
	return c
}

// bucketLike is a sound bucket of an operator's own making.
func bucketLike(name string, history int64, change func(*jetstream.StreamConfig)) jetstream.StreamConfig {
	c := jetstream.StreamConfig{
		Name: "KV_" + name, Subjects: []string{"$KV." + name + ".>"}, Discard: jetstream.DiscardNew,
		MaxBytes: 1 << 20, MaxMsgsPerSubject: history, AllowRollup: true, DenyDelete: true, AllowDirect: true,
		AllowMsgTTL: true, SubjectDeleteMarkerTTL: time.Minute,
	}
	change(&c)
	return c
}

func TestDriftIsReportedAndLeft(t *testing.T) {
	type config = jetstream.StreamConfig
	const events, rules, live, bridges = "stream EVENTS", "KV bucket rules", "KV bucket live", "KV bucket bridges"
	tests := []struct {
		name   string
		config config
		want   []provision.Drift
	}{
		{"as needed", streamLike(func(*config) {}), nil},
		{"an operator's larger limits", streamLike(func(c *config) {
			c.MaxAge, c.MaxBytes, c.Duplicates = 1000*time.Hour, 20<<30, time.Hour
			c.Compression, c.Subjects = jetstream.S2Compression, []string{"stream.>", "other"}
		}), nil},
		{"subjects", streamLike(func(c *config) { c.Subjects = []string{"stream.*", "a"} }),
			[]provision.Drift{{events, "subjects", `["stream.*" "a"]`, `["stream.>"]`}}},
		{"memory", streamLike(func(c *config) { c.Storage = jetstream.MemoryStorage }),
			[]provision.Drift{{events, "storage", "Memory", "File"}}},
		{"retention", streamLike(func(c *config) { c.Retention = jetstream.InterestPolicy }),
			[]provision.Drift{{events, "retention", "Interest", "Limits"}}},
		{"discard", streamLike(func(c *config) { c.Discard = jetstream.DiscardOld }),
			[]provision.Drift{{events, "discard", "DiscardOld", "DiscardNew"}}},
		{"no limits", streamLike(func(c *config) { c.MaxAge, c.MaxBytes = 0, -1 }),
			[]provision.Drift{{events, "max_bytes", "unlimited", "10737418240"}, {events, "max_age", "never", "168h0m0s"}}},
		{"one event a subject", streamLike(func(c *config) { c.MaxMsgsPerSubject = 1 }),
			[]provision.Drift{{events, "max_msgs_per_subject", "1", "unlimited"}}},
		{"duplicate window", streamLike(func(c *config) { c.Duplicates = 2 * time.Minute }),
			[]provision.Drift{{events, "duplicate_window", "2m0s", "10m0s"}}},
		{"no acks", streamLike(func(c *config) { c.NoAck = true }),
			[]provision.Drift{{events, "no_ack", "true", "false"}}},
		{"acks before the write", streamLike(func(c *config) { c.PersistMode = jetstream.AsyncPersistMode }),
			[]provision.Drift{{events, "persist_mode", "Async", "Default"}}},
		{"subject transform", streamLike(func(c *config) {
			c.SubjectTransform = &jetstream.SubjectTransformConfig{Source: "stream.>", Destination: "x.>"}
		}), []provision.Drift{{events, "subject_transform", "set", "none"}}},

		{"deliveries that are kept, and push each other out", config{
			Name: "DELIVERIES", Subjects: []string{"delivery.>"}, Discard: jetstream.DiscardNew,
			MaxAge: time.Hour, MaxBytes: 1 << 20, MaxMsgsPerSubject: 10, Duplicates: time.Hour,
		}, []provision.Drift{{"stream DELIVERIES", "retention", "Limits", "WorkQueue"}, {"stream DELIVERIES", "discard_new_per_subject", "false", "true"}}},

		{"bucket as needed", bucketLike("rules", 8, func(*config) {}), nil},
		{"more history", bucketLike("rules", 64, func(*config) {}), nil},
		{"less history", bucketLike("rules", 1, func(*config) {}),
			[]provision.Drift{{rules, "max_msgs_per_subject", "1", "8"}}},
		{"rules that expire", bucketLike("rules", 8, func(c *config) { c.MaxAge = time.Hour }),
			[]provision.Drift{{rules, "max_age", "1h0m0s", "never"}}},
		{"no markers", bucketLike("live", 1, func(c *config) { c.AllowMsgTTL, c.SubjectDeleteMarkerTTL = false, 0 }),
			[]provision.Drift{{live, "allow_msg_ttl", "false", "true"}, {live, "subject_delete_marker_ttl", "none", "1h0m0s"}}},
		{"no rollups", bucketLike("live", 1, func(c *config) { c.AllowRollup, c.AllowMsgTTL, c.SubjectDeleteMarkerTTL = false, true, 0 }),
			[]provision.Drift{{live, "allow_rollup_hdrs", "false", "true"}, {live, "subject_delete_marker_ttl", "none", "1h0m0s"}}},
		{"unlimited bucket", bucketLike("live", 1, func(c *config) { c.MaxBytes = -1 }),
			[]provision.Drift{{live, "max_bytes", "unlimited", "268435456"}}},
		{"bridges that never leave", bucketLike("bridges", 1, func(*config) {}),
			[]provision.Drift{{bridges, "max_age", "never", "30s"}}},
		{"bridges with another TTL", bucketLike("bridges", 1, func(c *config) { c.MaxAge = time.Minute }), nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			js := connect(t, startServer(t))
			if _, err := js.CreateStream(t.Context(), tt.config); err != nil {
				t.Fatal(err)
			}
			before := configs(t, js)[tt.config.Name]
			for _, mode := range []provision.Mode{provision.Check, provision.Auto, provision.Auto} {
				report := ensure(t, js, provision.Options{Mode: mode})
				if !reflect.DeepEqual(report.Drift, tt.want) {
					t.Fatalf("%v: drift is %v, want %v", mode, report.Drift, tt.want)
				}
			}
			if after := configs(t, js)[tt.config.Name]; !reflect.DeepEqual(before, after) {
				t.Errorf("it was changed from\n%+v to\n%+v", before, after)
			}
		})
	}
}

func TestFewerReplicasAreDrift(t *testing.T) {
	js := connect(t, startServer(t))
	ensure(t, js, provision.Options{Mode: provision.Auto})
	report := ensure(t, js, provision.Options{Mode: provision.Auto, Replicas: 3})
	if len(report.Drift) != len(allObjects) {
		t.Fatalf("drift is %v, want that of all %d", report.Drift, len(allObjects))
	}
	if got, want := report.Drift[0].String(), "stream EVENTS: num_replicas is 1, want 3"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestSealedIsDrift(t *testing.T) {
	js := connect(t, startServer(t))
	ensure(t, js, provision.Options{Mode: provision.Auto})
	config := configs(t, js)["DEAD"]
	config.Sealed = true
	if _, err := js.UpdateStream(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	report := ensure(t, js, provision.Options{})
	for _, d := range report.Drift {
		if d.Object == "stream DEAD" && d.Field == "sealed" {
			return
		}
	}
	t.Errorf("drift is %v, want that DEAD is sealed", report.Drift)
}
