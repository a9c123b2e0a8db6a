package subjects_test

import (
	"errors"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"bintubridge/subjects"
)

func TestHeaderNames(t *testing.T) {
	for got, want := range map[string]string{
		subjects.HeaderSpecVersion: "ce-specversion", subjects.HeaderID: "ce-id",
		subjects.HeaderSource: "ce-source", subjects.HeaderType: "ce-type",
		subjects.HeaderTime: "ce-time", subjects.HeaderSubject: "ce-subject",
		subjects.HeaderContentType: "ce-datacontenttype", subjects.HeaderMsgID: "Nats-Msg-Id",
		subjects.SpecVersion: "1.0", subjects.ContentType: "application/json",
	} {
		if got != want {
			t.Errorf("%q is published, it must stay %q", got, want)
		}
	}
}

func TestAppendPercent(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"empty", "", ""},
		{"plain", "CD6xx-123456", "CD6xx-123456"},
		{"the binding's example", "Euro € 😀", "Euro%20%E2%82%AC%20%F0%9F%98%80"},
		{"quote and percent", `"50%"`, "%2250%25%22"},
		{"header injection", "a\r\nce-id: b", "a%0D%0Ace-id:%20b"},
		{"no utf-8", "\xff\x00\x7f", "%FF%00%7F"},
		{"edges", " !~\x7f", "%20!~%7F"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := string(subjects.AppendPercent([]byte("x"), tt.text)); got != "x"+tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestDecodePercent(t *testing.T) {
	tests := []struct {
		name, text, want string
		wantErr          bool
	}{
		{name: "lower-case digits", text: "%e2%82%ac", want: "€"},
		{name: "mixed case", text: "%eF", want: "\xef"},
		{name: "bytes that needed escape", text: "a b€", want: "a b€"},
		{name: "plus is a plus", text: "a+b", want: "a+b"},
		{name: "cut", text: "a%2", wantErr: true},
		{name: "alone", text: "%", wantErr: true},
		{name: "no digits", text: "%zz", wantErr: true},
		{name: "beside the digits", text: "%0/", wantErr: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := subjects.DecodePercent(tt.text)
			if got != tt.want || errors.Is(err, subjects.ErrPercent) != tt.wantErr {
				t.Errorf("got %q, %v, want %q", got, err, tt.want)
			}
		})
	}
}

func FuzzPercent(f *testing.F) {
	for _, s := range []string{"", "a b", "%", "%2", "%zz", "\xff€\"", "%25"} {
		f.Add(s)
	}
	header := regexp.MustCompile(`^([!#$&-~]|%[0-9A-F]{2})*$`)
	f.Fuzz(func(t *testing.T, s string) {
		encoded := string(subjects.AppendPercent(nil, s))
		if back, err := subjects.DecodePercent(encoded); err != nil || back != s || !header.MatchString(encoded) {
			t.Errorf("%q becomes %q, which reads as %q, %v", s, encoded, back, err)
		}
		// The standard library's reader of paths agrees on what %HH means.
		got, err := subjects.DecodePercent(s)
		want, wantErr := url.PathUnescape(s)
		if got != want || (err == nil) != (wantErr == nil) {
			t.Errorf("%q reads as %q, %v; url.PathUnescape says %q, %v", s, got, err, want, wantErr)
		}
	})
}

func TestAppendSource(t *testing.T) {
	for bridge, want := range map[string]string{
		"edge-1":        "/bridge/edge-1",
		"edge.eu_1~x":   "/bridge/edge.eu_1~x",
		"a b/c?d#e":     "/bridge/a%20b%2Fc%3Fd%23e",
		"ü<\"\\":        "/bridge/%C3%BC%3C%22%5C",
		"x\r\nce-id: y": "/bridge/x%0D%0Ace-id%3A%20y",
	} {
		got := string(subjects.AppendSource(nil, bridge))
		if got != want {
			t.Errorf("%q: got %q, want %q", bridge, got, want)
		}
		if u, err := url.Parse(got); err != nil || u.Path != "/bridge/"+bridge {
			t.Errorf("%q: as a URI reference it reads as %v, %v", bridge, u, err)
		}
	}
}

func TestAppendTime(t *testing.T) {
	berlin := time.FixedZone("CET", 3600)
	tests := []struct {
		name string
		time time.Time
		want string
	}{
		{"micros", time.Date(2026, 11, 23, 9, 0, 0, 123456000, time.UTC), "2026-11-23T09:00:00.123456Z"},
		{"always six digits", time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC), "2026-11-23T09:00:00.000000Z"},
		{"nanos are cut", time.Date(2026, 11, 23, 9, 0, 0, 999999999, time.UTC), "2026-11-23T09:00:00.999999Z"},
		{"another zone", time.Date(2026, 11, 23, 0, 30, 0, 0, berlin), "2026-11-22T23:30:00.000000Z"},
		{"zero", time.Time{}, "0001-01-01T00:00:00.000000Z"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := string(subjects.AppendTime(nil, tt.time))
			if got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
			if back, err := time.Parse(time.RFC3339Nano, got); err != nil || !back.Equal(tt.time.Truncate(time.Microsecond)) {
				t.Errorf("reads as %v, %v", back, err)
			}
		})
	}
}

func TestIDs(t *testing.T) {
	tests := []struct {
		id, spool string
		seq       uint64
	}{
		{"bXk2-17", "bXk2", 17},
		{"a-b-0", "a-b", 0},
		{"--18446744073709551615", "-", 1<<64 - 1},
	}
	for _, tt := range tests {
		if got := string(subjects.AppendID(nil, tt.spool, tt.seq)); got != tt.id {
			t.Errorf("AppendID gives %q, want %q", got, tt.id)
		}
		if spool, seq, err := subjects.ParseID(tt.id); err != nil || spool != tt.spool || seq != tt.seq {
			t.Errorf("ParseID(%q) = %q, %d, %v", tt.id, spool, seq, err)
		}
	}
	for _, id := range []string{"", "-", "-1", "a", "a-", "a-x", "a-01", "a-+1", "a-1 ", "a.b-1", "a\"-1", "a-18446744073709551616"} {
		if spool, seq, err := subjects.ParseID(id); !errors.Is(err, subjects.ErrID) {
			t.Errorf("ParseID(%q) = %q, %d, %v, want an error", id, spool, seq, err)
		}
	}
}

func FuzzParseID(f *testing.F) {
	for _, s := range []string{"a-1", "a-01", "-1", "a--1", "a-18446744073709551616"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, id string) {
		spool, seq, err := subjects.ParseID(id)
		if err == nil && string(subjects.AppendID(nil, spool, seq)) != id {
			t.Errorf("%q reads as %q, %d, which is another id", id, spool, seq)
		}
	})
}

func TestAppendWithID(t *testing.T) {
	event := subjects.Event{Call: "publish", Name: "n"}
	event.Custom.Add("id", `{"id":"","`)
	spooled := event.AppendJSON(nil)
	if !strings.HasPrefix(string(spooled), subjects.NoIDPrefix) {
		t.Fatalf("an event without an id begins %.20q, want %s", spooled, subjects.NoIDPrefix)
	}
	event.ID = "bXk2-17"
	want := "x" + string(event.AppendJSON(nil))
	if got, err := subjects.AppendWithID([]byte("x"), spooled, "bXk2-17"); err != nil || string(got) != want {
		t.Errorf("string id: got %s, %v, want %s", got, err, want)
	}
	if got, err := subjects.AppendWithID([]byte("x"), spooled, []byte("bXk2-17")); err != nil || string(got) != want {
		t.Errorf("bytes id: got %s, %v, want %s", got, err, want)
	}
	for name, tt := range map[string]struct{ event, id string }{
		"has an id":      {want[1:], "a-1"},
		"no event":       {"{}", "a-1"},
		"nothing":        {"", "a-1"},
		"cut":            {`{"id":"",`, "a-1"},
		"empty id":       {string(spooled), ""},
		"id with quotes": {string(spooled), `a","call":"x`},
		"id with a dot":  {string(spooled), "a.b-1"},
	} {
		got, err := subjects.AppendWithID([]byte("x"), []byte(tt.event), tt.id)
		if !errors.Is(err, subjects.ErrID) || string(got) != "x" {
			t.Errorf("%s: got %s, %v, want an error and dst as it was", name, got, err)
		}
	}
}
