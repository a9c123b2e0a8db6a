package main

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"bintubridge/subjects"
)

// A replay reads what DecodeEvent reads, and refuses what it refuses.
func FuzzRecorded(f *testing.F) {
	files, err := filepath.Glob("../../testdata/events/*.json")
	if err != nil || len(files) == 0 {
		f.Fatal("no events", err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
		e, err := subjects.DecodeEvent(data)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(e.AppendJSON(nil))
		e.Name, e.TCURL = "a\"b\\\n\u2028<&>é", "x?a=1&b=\x00"
		e.Custom.Add("\x7f&", "\t")
		f.Add(e.AppendJSON(nil))
	}
	f.Add([]byte(`{"name":"a\ud83d\ude00","call":"\u00e9"}`))
	f.Add([]byte("{\"name\":\"a\tb\"}"))
	f.Add([]byte(`{"NAME":"a"}`))
	f.Add([]byte(`{"name":null,"custom":{"a":"1","a":"2"},"decision":{}}`))
	f.Add([]byte(`{"revision":01}`))
	f.Add([]byte(`{"decision":{"revision":-1}}`))
	var r recorded // used again, as a replay does
	f.Fuzz(func(t *testing.T, data []byte) {
		want, wantErr := subjects.DecodeEvent(data)
		err := r.read(data)
		if (err == nil) != (wantErr == nil) {
			t.Fatalf("got %v, want %v", err, wantErr)
		}
		if err == nil && !sameForReplay(r.event, want) {
			t.Fatalf("got  %+v\nwant %+v", r.event, want)
		}
	})
}

// sameForReplay compares what a replay looks at.
func sameForReplay(a, b subjects.Event) bool {
	if !slices.Equal(a.Custom.List(), b.Custom.List()) || (a.Decision == nil) != (b.Decision == nil) {
		return false
	}
	if a.Decision != nil && (a.Decision.Effect != b.Decision.Effect || a.Decision.Rule != b.Decision.Rule || a.Decision.Reason != b.Decision.Reason) {
		return false
	}
	strip := func(e *subjects.Event) {
		*e = subjects.Event{
			ID: e.ID, ReceivedAt: e.ReceivedAt, Call: e.Call, Name: e.Name, App: e.App, Addr: e.Addr, ClientID: e.ClientID,
			Type: e.Type, FlashVer: e.FlashVer, SWFURL: e.SWFURL, TCURL: e.TCURL, PageURL: e.PageURL, Raw: e.Raw,
		}
	}
	strip(&a)
	strip(&b)
	return reflect.DeepEqual(a, b)
}

// What a bridge writes does not take the long way.
func TestRecordedIsRead(t *testing.T) {
	e := subjects.Event{ID: "a-1", Call: "publish", Name: "é<&>", App: "live", BytesIn: "5", Decision: &subjects.Decision{Effect: "deny"}}
	e.Custom.Add("token", "sha256:0123456789abcdef")
	e.Shadow = []subjects.ShadowDecision{{Rule: "a/b", Effect: "deny"}, {Rule: "a/c"}}
	s := scanner{text: string(e.AppendJSON(nil))}
	if !s.event(new(recorded)) {
		t.Errorf("not read past byte %d of %s", s.at, s.text)
	}
}

func BenchmarkRecorded(b *testing.B) {
	data, err := os.ReadFile("../../testdata/events/publish.json")
	if err != nil {
		b.Fatal(err)
	}
	e, err := subjects.DecodeEvent(data)
	if err != nil {
		b.Fatal(err)
	}
	data = e.AppendJSON(nil)
	var r recorded
	b.Run("fast", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := r.read(data); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("DecodeEvent", func(b *testing.B) {
		for b.Loop() {
			if _, err := subjects.DecodeEvent(data); err != nil {
				b.Fatal(err)
			}
		}
	})
}
