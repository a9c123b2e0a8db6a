package rulestore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"time"
)

// A snapshot file, all numbers little-endian:
//
//	offset  size
//	     0     8  magic "bbrules\n"
//	     8     4  format version
//	    12     4  CRC32C of all that follows
//	    16     8  bucket's creation, ns since 1970; 0: none
//	    24     8  last contact, ns since 1970
//	    32     8  revision of the rule set
//	    40     4  number of documents
//	    44        bucket name, then each document: revision (8 bytes), key, data
//
// where a name, key or data is its length (4 bytes) and its bytes. The file ends
// with the last document.
const (
	snapshotMagic   = "bbrules\n"
	snapshotVersion = 1
	checkedFrom     = 16
)

// Errors of a snapshot file that cannot be used.
var (
	errCorrupt = errors.New("corrupt snapshot")
	errFormat  = errors.New("snapshot of another format")
)

// snapshot is the rules in force at one time.
type snapshot struct {
	bucket    string
	created   time.Time // of the bucket
	contact   time.Time // when the rules were last known to be current
	revision  uint64
	documents []savedDocument
}

// savedDocument is a good version of a document. Data is shared with the ledger
// and never changed.
type savedDocument struct {
	key      string
	data     []byte
	revision uint64
}

func castagnoli(data []byte) uint32 {
	return crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli))
}

func (s *snapshot) encode() []byte {
	size := checkedFrom + 28 + 4 + len(s.bucket)
	for _, d := range s.documents {
		size += 16 + len(d.key) + len(d.data)
	}
	le := binary.LittleEndian
	b := make([]byte, 0, size)
	b = append(b, snapshotMagic...)
	b = le.AppendUint32(b, snapshotVersion)
	b = le.AppendUint32(b, 0) // the sum, below
	b = le.AppendUint64(b, unixNano(s.created))
	b = le.AppendUint64(b, unixNano(s.contact))
	b = le.AppendUint64(b, s.revision)
	b = le.AppendUint32(b, uint32(len(s.documents)))
	b = appendText(b, s.bucket)
	for _, d := range s.documents {
		b = le.AppendUint64(b, d.revision)
		b = appendText(b, d.key)
		b = appendText(b, d.data)
	}
	le.PutUint32(b[12:], castagnoli(b[checkedFrom:]))
	return b
}

func appendText[T string | []byte](b []byte, text T) []byte {
	b = binary.LittleEndian.AppendUint32(b, uint32(len(text)))
	return append(b, text...)
}

func unixNano(t time.Time) uint64 {
	if t.IsZero() {
		return 0
	}
	return uint64(t.UnixNano())
}

func fromUnixNano(ns uint64) time.Time {
	if ns == 0 {
		return time.Time{}
	}
	return time.Unix(0, int64(ns))
}

// decodeSnapshot reads a snapshot file. The snapshot keeps data. The error is
// errFormat for a file of another version and errCorrupt for a damaged one.
func decodeSnapshot(data []byte) (*snapshot, error) {
	if len(data) < checkedFrom || string(data[:8]) != snapshotMagic {
		return nil, fmt.Errorf("%w: no snapshot header in %d bytes", errCorrupt, len(data))
	}
	r := snapshotReader{rest: data[8:]}
	if version := r.uint32(); version != snapshotVersion {
		return nil, fmt.Errorf("%w: version %d, this program reads %d", errFormat, version, snapshotVersion)
	}
	if sum, want := castagnoli(data[checkedFrom:]), r.uint32(); sum != want {
		return nil, fmt.Errorf("%w: checksum %08x, want %08x", errCorrupt, sum, want)
	}
	s := &snapshot{
		created:  fromUnixNano(r.uint64()),
		contact:  fromUnixNano(r.uint64()),
		revision: r.uint64(),
	}
	count := r.uint32()
	s.bucket = string(r.text())
	for range count {
		if r.short {
			break
		}
		s.documents = append(s.documents, savedDocument{revision: r.uint64(), key: string(r.text()), data: r.text()})
	}
	if r.short || len(r.rest) > 0 {
		return nil, fmt.Errorf("%w: lengths do not add up", errCorrupt)
	}
	return s, nil
}

// snapshotReader takes values off the front of a file. Past the end it returns
// zero values and sets short.
type snapshotReader struct {
	rest  []byte
	short bool
}

func (r *snapshotReader) take(n int) []byte {
	if n > len(r.rest) {
		r.rest, r.short = nil, true
		return nil
	}
	taken := r.rest[:n:n]
	r.rest = r.rest[n:]
	return taken
}

func (r *snapshotReader) uint32() uint32 {
	if b := r.take(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

func (r *snapshotReader) uint64() uint64 {
	if b := r.take(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

func (r *snapshotReader) text() []byte { return r.take(int(r.uint32())) }
