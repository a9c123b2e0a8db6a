package forward

import (
	"bytes"
	"context"
	"testing"
	"testing/synctest"
	"time"
)

func TestRecordRoundTrip(t *testing.T) {
	env := Envelope{
		Subject: []byte("stream.publish"), Type: []byte("bintu.publish"), Time: []byte("2026-11-23T09:00:00.123456Z"),
		Source: []byte("/bridge/edge-1"), About: bytes.Repeat([]byte("%20"), 300),
	}
	rec := append(env.AppendRecord(nil), `{"id":""}`...)
	got, event, err := decodeRecord(rec)
	if err != nil {
		t.Fatal(err)
	}
	if string(event) != `{"id":""}` || string(got.Subject) != string(env.Subject) || string(got.Type) != string(env.Type) ||
		string(got.Time) != string(env.Time) || string(got.Source) != string(env.Source) || string(got.About) != string(env.About) {
		t.Errorf("got %q %q", got, event)
	}
	head := len(rec) - len(event)
	for cut := range head {
		if _, _, err := decodeRecord(rec[:cut]); err == nil {
			t.Errorf("cut at %d of %d: no error", cut, head)
		}
	}
	rec[0]++
	if _, _, err := decodeRecord(rec); err == nil {
		t.Error("an unknown version was read")
	}
}

func TestPauseEndsEarly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		connected := make(chan struct{}, 1)
		f := &Forwarder{connected: connected}
		began := time.Now()
		connected <- struct{}{}
		f.pause(t.Context(), time.Hour)
		if waited := time.Since(began); waited != 0 {
			t.Errorf("waited %s although NATS is connected", waited)
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		f.pause(ended, time.Hour)
		if waited := time.Since(began); waited != 0 {
			t.Errorf("waited %s although it is closed", waited)
		}
		f.pause(t.Context(), time.Minute)
		if waited := time.Since(began); waited != time.Minute {
			t.Errorf("waited %s of a minute", waited)
		}
	})
}

func FuzzDecodeRecord(f *testing.F) {
	env := Envelope{Subject: []byte("stream.publish")}
	f.Add(append(env.AppendRecord(nil), `{"id":"","call":"publish"}`...))
	f.Add([]byte{recordVersion, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01})
	f.Fuzz(func(t *testing.T, rec []byte) {
		env, event, err := decodeRecord(rec)
		if err != nil {
			return
		}
		again := append(env.AppendRecord(nil), event...)
		env2, event2, err := decodeRecord(again)
		if err != nil || !bytes.Equal(event, event2) || !bytes.Equal(env.About, env2.About) || !bytes.Equal(env.Subject, env2.Subject) {
			t.Fatalf("%x was read, but not what was written for it: %v", rec, err)
		}
	})
}
