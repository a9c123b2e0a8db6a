package spool

import (
	"bytes"
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
