package subjects_test

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"bintubridge/subjects"
	"bintubridge/subjects/schematest"
)

func endedSession() subjects.Session {
	s := subjects.Session{
		ID: "bXk2-17-ended", Session: "bXk2-17", Kind: subjects.KindPublish, Name: "<\xff\u2028>", App: "live", Addr: "17.31.43.214", ClientID: "1",
		Bridge: "edge-1", Rule: "acme/ingest", StartedAt: time.Date(2026, 11, 23, 9, 0, 0, 1000, time.UTC),
		EndedAt: time.Date(2026, 11, 23, 9, 0, 5, 0, time.UTC), DurationMS: 4999, HowEnded: subjects.EndedDone,
		BytesIn: 1 << 40, BytesOut: 7, Reconnects: 1, PeakViewers: 3,
	}
	s.Custom.Add("foo", "bar")
	return s
}

func TestSessionsFitTheSchema(t *testing.T) {
	fits := schematest.Compile(t, subjects.SessionSchema())
	ended := endedSession()
	started := subjects.Session{ID: "a-1-started", Session: "a-1", Kind: subjects.KindPlay, StartedAt: ended.StartedAt}
	resumed := subjects.Session{ID: "a-1-2-resumed", Session: "a-1", Kind: subjects.KindPublish, StartedAt: ended.StartedAt, ResumedAt: ended.EndedAt, Reconnects: 2}
	for _, s := range []subjects.Session{ended, started, resumed} {
		data, err := s.AppendJSON(nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := fits(data); err != nil {
			t.Errorf("%v: %s", err, data)
		}
		if !strings.HasPrefix(string(data), `{"id":"`) || (s.HowEnded == "") == bytes.Contains(data, []byte("ended_at")) {
			t.Errorf("%s", data)
		}
		again, err := subjects.DecodeSession(data)
		s.Name = strings.ToValidUTF8(s.Name, "\uFFFD")
		if err != nil || again.Name != s.Name || !again.EndedAt.Equal(s.EndedAt) || again.PeakViewers != s.PeakViewers {
			t.Errorf("read back as %+v, %v", again, err)
		}
	}
	for _, bad := range []string{`{}`, `{"id":"a-1"}`, `{"id":"a-1-started","session":"a-1","kind":"x","name":"","app":"","addr":"","clientid":"","bridge":"","rule":"","custom":{},"started_at":"2026-11-23T09:00:00Z"}`} {
		if err := fits([]byte(bad)); err == nil {
			t.Errorf("%s fits", bad)
		}
	}
	for _, bad := range []string{
		`{`, `{"started_at":"9999-12-31T23:59:59-01:00"}`, `{"resumed_at":"0000-01-01T00:00:00+01:00"}`, `{"ended_at":"9999-12-31T23:59:59-01:00"}`,
	} {
		if _, err := subjects.DecodeSession([]byte(bad)); err == nil {
			t.Errorf("%s was read", bad)
		}
	}
}

func TestSessionSchemaDescribesEveryField(t *testing.T) {
	var doc struct {
		Properties map[string]struct{ Description string }
	}
	if err := json.Unmarshal(subjects.SessionSchema(), &doc); err != nil {
		t.Fatal(err)
	}
	session := reflect.TypeFor[subjects.Session]()
	if session.NumField() != len(doc.Properties) {
		t.Errorf("Session has %d fields, the schema %d", session.NumField(), len(doc.Properties))
	}
	for i := range session.NumField() {
		key, _, _ := strings.Cut(session.Field(i).Tag.Get("json"), ",")
		if doc.Properties[key].Description == "" {
			t.Errorf("%q has no description", key)
		}
	}
}
