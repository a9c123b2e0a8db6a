package forward

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
)

func TestRecordRoundTrip(t *testing.T) {
	plain := Envelope{
		Subject: []byte("stream.publish"), Type: []byte("bintu.publish"), Time: []byte("2026-11-23T09:00:00.123456Z"),
		Source: []byte("/bridge/edge-1"), About: bytes.Repeat([]byte("%20"), 300),
	}
	traced := plain
	traced.TraceParent, traced.TraceState = []byte("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"), []byte("a=1")
	for version, env := range map[byte]Envelope{recordVersion: plain, tracedVersion: traced} {
		rec := append(env.AppendRecord(nil), `{"id":""}`...)
		got, event, err := decodeRecord(rec)
		if err != nil {
			t.Fatal(err)
		}
		if rec[0] != version || string(event) != `{"id":""}` || fmt.Sprintf("%s", got) != fmt.Sprintf("%s", env) {
			t.Errorf("version %d: got %s %q", rec[0], got, event)
		}
		head := len(rec) - len(event)
		for cut := range head {
			if _, _, err := decodeRecord(rec[:cut]); err == nil {
				t.Errorf("cut at %d of %d: no error", cut, head)
			}
		}
		rec[0] = tracedVersion + 1
		if _, _, err := decodeRecord(rec); !errors.Is(err, errRecord) {
			t.Errorf("an unknown version was read: %v", err)
		}
	}
}

func FuzzDecodeRecord(f *testing.F) {
	env := Envelope{Subject: []byte("stream.publish")}
	f.Add(append(env.AppendRecord(nil), `{"id":"","call":"publish"}`...))
	env.TraceParent, env.TraceState = []byte("00-"), []byte("a=1")
	f.Add(append(env.AppendRecord(nil), `{"id":"","call":"publish"}`...))
	f.Add([]byte{recordVersion, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01})
	f.Fuzz(func(t *testing.T, rec []byte) {
		env, event, err := decodeRecord(rec)
		if err != nil {
			return
		}
		if rec[0] == tracedVersion && len(env.TraceParent) == 0 {
			return // it is written as version 1
		}
		again := append(env.AppendRecord(nil), event...)
		env2, event2, err := decodeRecord(again)
		if err != nil || !bytes.Equal(event, event2) || fmt.Sprintf("%s", env) != fmt.Sprintf("%s", env2) {
			t.Fatalf("%x was read, but not what was written for it: %v", rec, err)
		}
	})
}
