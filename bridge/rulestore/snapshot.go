package rulestore

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"runtime"
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
	sumAt           = 12
	checkedFrom     = 16
	readBuffer      = 256 << 10
	writeBuffer     = 64 << 10 // a turn of the saver: a third of a millisecond

	// documentsAtOnce is how many documents are written before others may run: some
	// ten microseconds, where the scheduler by itself would let a push wait 10 ms.
	documentsAtOnce = 32
)

// Errors of a snapshot file that cannot be used.
var (
	errCorrupt = errors.New("corrupt snapshot")
	errFormat  = errors.New("snapshot of another format")
)

// snapshot is the rules in force at one time.
type snapshot struct {
	snapshotHeader
	documents frozen
}

// snapshotHeader is what a snapshot says of the rule set as a whole.
type snapshotHeader struct {
	bucket   string
	created  time.Time // of the bucket
	contact  time.Time // when the rules were last known to be current
	revision uint64
}

// encode writes the snapshot, but for the sum, which it returns: it belongs at
// sumAt.
func (s *snapshot) encode(w io.Writer) (sum uint32, err error) {
	e := snapshotWriter{out: bufio.NewWriterSize(w, writeBuffer), sum: crc32.New(crc32.MakeTable(crc32.Castagnoli))}
	le := binary.LittleEndian
	b := le.AppendUint32([]byte(snapshotMagic), snapshotVersion)
	_, _ = e.out.Write(le.AppendUint32(b, 0)) // bufio keeps the error for Flush
	b = le.AppendUint64(b[:0], unixNano(s.created))
	b = le.AppendUint64(b, unixNano(s.contact))
	b = le.AppendUint64(b, s.revision)
	b = le.AppendUint32(b, uint32(s.documents.count()))
	e.write(appendText(b, s.bucket))
	written := 0
	for r := range s.documents.all() {
		if written++; written%documentsAtOnce == 0 {
			runtime.Gosched()
		}
		b = le.AppendUint64(b[:0], r.revision)
		b = appendText(appendText(b, r.key), r.source)
		e.write(b)
	}
	return e.sum.Sum32(), e.out.Flush()
}

type snapshotWriter struct {
	out *bufio.Writer
	sum hash.Hash32
}

func (w *snapshotWriter) write(b []byte) {
	_, _ = w.sum.Write(b)
	_, _ = w.out.Write(b)
}

func appendText(b []byte, text string) []byte {
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

// decodeSnapshot reads a snapshot file of size bytes and gives each document to
// document, which may keep it. Nothing of it may count before decodeSnapshot has
// returned without an error: the sum is known at the end. The error is errFormat
// for a file of another version and errCorrupt for a damaged one.
func decodeSnapshot(from io.Reader, size int64, document func(version)) (snapshotHeader, error) {
	r := snapshotReader{in: bufio.NewReaderSize(from, readBuffer), left: size, sum: crc32.New(crc32.MakeTable(crc32.Castagnoli))}
	if magic := r.take(len(snapshotMagic)); string(magic) != snapshotMagic {
		return snapshotHeader{}, r.broken(fmt.Errorf("%w: no snapshot header in %d bytes", errCorrupt, size))
	}
	if v := r.uint32(); v != snapshotVersion {
		return snapshotHeader{}, r.broken(fmt.Errorf("%w: version %d, this program reads %d", errFormat, v, snapshotVersion))
	}
	want := r.uint32()
	r.sum.Reset()
	h := snapshotHeader{
		created:  fromUnixNano(r.uint64()),
		contact:  fromUnixNano(r.uint64()),
		revision: r.uint64(),
	}
	count := r.uint32()
	h.bucket = string(r.text())
	for range count {
		v := version{message: message{revision: r.uint64()}, key: string(r.text()), data: r.text()}
		if r.err != nil {
			break
		}
		document(v)
	}
	if r.err == nil && r.left > 0 {
		r.err = errLengths
	}
	if r.err == nil && r.sum.Sum32() != want {
		r.err = fmt.Errorf("%w: checksum %08x, want %08x", errCorrupt, r.sum.Sum32(), want)
	}
	return h, r.err
}

var errLengths = fmt.Errorf("%w: lengths do not add up", errCorrupt)

// snapshotReader takes values off the front of a file. After an error it returns
// zero values.
type snapshotReader struct {
	in    *bufio.Reader
	left  int64 // of the file
	sum   hash.Hash32
	block []byte // memory for what is taken next
	err   error
}

// broken returns the reader's error, or else err.
func (r *snapshotReader) broken(err error) error {
	if r.err != nil && !errors.Is(r.err, errLengths) {
		return r.err
	}
	return err
}

// take returns the next n bytes, which the caller may keep.
func (r *snapshotReader) take(n int) []byte {
	if r.err == nil && int64(n) > r.left {
		r.err = errLengths
	}
	if r.err != nil {
		return nil
	}
	if n > len(r.block) {
		r.block = make([]byte, max(n, readBuffer))
	}
	taken := r.block[:n:n]
	r.block = r.block[n:]
	if _, err := io.ReadFull(r.in, taken); err != nil {
		r.err = fmt.Errorf("read: %w", err)
		return nil
	}
	r.left -= int64(n)
	_, _ = r.sum.Write(taken)
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
