package spool

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"
)

// FuzzFrame decodes arbitrary bytes: what decodes is exactly what encodes back.
func FuzzFrame(f *testing.F) {
	f.Add(uint32(7), appendFrame(nil, 7, 1, []byte("payload")))
	f.Add(uint32(0), make([]byte, 40))
	f.Add(uint32(1), []byte{1, 2, 3})
	f.Fuzz(func(t *testing.T, salt uint32, b []byte) {
		need, err := frameNeeds(b)
		if err != nil || need > len(b) {
			return
		}
		seq, payload, err := decodeFrame(b, salt)
		if err != nil {
			return
		}
		again := appendFrame(nil, salt, seq, payload)
		if n := frameSize + len(payload); len(again) != need || !bytes.Equal(again[:n], b[:n]) {
			t.Fatalf("%x decodes to sequence %d, %q, which is %x", b[:need], seq, payload, again)
		}
	})
}

// FuzzHeader decodes arbitrary bytes: no two headers pass for one.
func FuzzHeader(f *testing.F) {
	h := header{first: 1, id: "test", created: time.UnixMilli(1)}
	f.Add(h.encode())
	f.Add(make([]byte, headerSize))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := decodeHeader(b)
		if err != nil {
			return
		}
		salt := h.salt
		if again := h.encode(); h.salt == salt && !bytes.Equal(again, b[:headerSize]) {
			t.Fatalf("%x and %x have one checksum", again, b[:headerSize])
		}
	})
}

// FuzzArbitrarySegment opens a folder with one segment of any bytes behind a good
// header: it opens, reads to an end, invents nothing, and appends go on.
func FuzzArbitrarySegment(f *testing.F) {
	data, _ := written(f, "first", "second")
	f.Add(data[headerSize:])
	f.Add([]byte{1, 0, 0, 0})
	f.Add(make([]byte, 3*sectorSize))
	f.Fuzz(func(t *testing.T, b []byte) {
		d := newMemDisk()
		path := segmentPath("spool", 1)
		d.names[path] = &memFile{data: append(data[:headerSize:headerSize], b...), dirty: map[int]bool{}}
		s := still(t, d, Options{})
		mustAppend(t, s, "new")
		r := s.Reader()
		all := drain(t, r)
		if len(all) == 0 || all[len(all)-1].payload != "new" {
			t.Fatalf("got %v", all)
		}
		h, err := decodeHeader(data)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range all[:len(all)-1] {
			if frame := appendFrame(nil, h.salt, e.seq, []byte(e.payload)); !bytes.Contains(b, frame[:frameSize+len(e.payload)]) {
				t.Fatalf("record %d %q is not in the segment", e.seq, e.payload)
			}
		}
	})
}

// FuzzRecovery changes the bytes of a segment: what is read back is always a
// beginning of what was written, whatever stands in the file.
func FuzzRecovery(f *testing.F) {
	f.Add(uint16(70), []byte{1, 2, 3}, uint16(200))
	f.Add(uint16(0), []byte("bintuspl"), uint16(30))
	f.Add(uint16(64), make([]byte, 64), uint16(500))
	texts := make([]string, 8)
	for i := range texts {
		texts[i] = strings.Repeat(fmt.Sprint(i), 1+rand.N(60))
	}
	data, _ := written(f, texts...)
	f.Fuzz(func(t *testing.T, at uint16, patch []byte, size uint16) {
		bad := bytes.Clone(data)
		if int(at) < len(bad) {
			copy(bad[at:], patch)
		}
		bad = append(bad[:min(int(size), len(bad))], patch...)
		dir := t.TempDir()
		if err := os.WriteFile(segmentPath(dir, 1), bad, 0o600); err != nil {
			t.Fatal(err)
		}
		got := payloads(t, dir)
		if len(got) > len(texts) {
			t.Fatalf("%d records from %d", len(got), len(texts))
		}
		for i := range got {
			if got[i] != texts[i] {
				t.Fatalf("record %d is %q, want %q", i, got[i], texts[i])
			}
		}
	})
}
