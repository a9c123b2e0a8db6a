package spool

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"time"
)

const (
	magic         = "bintuspl"
	formatVersion = 1
	headerSize    = 64
	firstOffset   = 16 // of the first sequence in a header
	frameSize     = 16
	alignment     = 8

	// MaxPayload is the largest payload Append takes, in bytes. It bounds what a
	// damaged length can make a reader allocate.
	MaxPayload = 16 << 20

	// maxSequence bounds the sequences that are believed, so that none is near an
	// overflow. At a million events a second it is reached in 146,000 years.
	maxSequence = 1 << 62
)

// ErrCorrupt is wrapped by every error about bytes that are not what was written.
var ErrCorrupt = errors.New("corrupt")

// errEnd says that no record starts here: the rest is zero or there is none.
var errEnd = errors.New("end of segment")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// header is the decoded first 64 bytes of a segment.
type header struct {
	first   uint64
	id      string
	created time.Time
	leftOut uint64 // sequences before first that are no lost records, see doc.go
	salt    uint32 // the header's own checksum, which seeds those of its records
}

func (h *header) encode() []byte {
	b := make([]byte, headerSize)
	copy(b, magic)
	binary.LittleEndian.PutUint32(b[8:], formatVersion)
	binary.LittleEndian.PutUint64(b[16:], h.first)
	copy(b[24:40], h.id)
	binary.LittleEndian.PutUint64(b[40:], uint64(h.created.UnixMilli()))
	binary.LittleEndian.PutUint64(b[48:], h.leftOut)
	h.salt = headerChecksum(b)
	binary.LittleEndian.PutUint32(b[12:], h.salt)
	return b
}

func decodeHeader(b []byte) (header, error) {
	if len(b) < headerSize || string(b[:8]) != magic {
		return header{}, fmt.Errorf("%w: not a spool segment", ErrCorrupt)
	}
	if v := binary.LittleEndian.Uint32(b[8:]); v != formatVersion {
		return header{}, fmt.Errorf("segment format %d is unknown to this version, which reads %d", v, formatVersion)
	}
	salt := headerChecksum(b)
	if salt != binary.LittleEndian.Uint32(b[12:]) {
		return header{}, fmt.Errorf("%w: segment header checksum", ErrCorrupt)
	}
	h := header{
		first:   binary.LittleEndian.Uint64(b[16:]),
		id:      string(bytes.TrimRight(b[24:40], "\x00")),
		created: time.UnixMilli(int64(binary.LittleEndian.Uint64(b[40:]))),
		leftOut: binary.LittleEndian.Uint64(b[48:]),
		salt:    salt,
	}
	if h.first == 0 || h.first > maxSequence || h.leftOut >= h.first {
		return header{}, fmt.Errorf("%w: no segment begins with sequence %d", ErrCorrupt, h.first)
	}
	return h, nil
}

// before is the last sequence that a record before the segment had.
func (h *header) before() uint64 { return h.first - 1 - h.leftOut }

func headerChecksum(b []byte) uint32 {
	return crc32.Update(crc32.Checksum(b[:12], castagnoli), castagnoli, b[16:headerSize])
}

// frameLen is the size on disk of a record with n bytes of payload.
func frameLen(n int) int { return (frameSize + n + alignment - 1) &^ (alignment - 1) }

// appendFrame appends the record of payload to dst.
func appendFrame(dst []byte, salt uint32, seq uint64, payload []byte) []byte {
	start := len(dst)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(payload)))
	dst = append(dst, 0, 0, 0, 0)
	dst = binary.LittleEndian.AppendUint64(dst, seq)
	dst = append(dst, payload...)
	binary.LittleEndian.PutUint32(dst[start+4:], frameChecksum(salt, dst[start:]))
	for (len(dst)-start)%alignment != 0 {
		dst = append(dst, 0)
	}
	return dst
}

// frameChecksum covers sequence, payload and length of an unpadded record.
func frameChecksum(salt uint32, frame []byte) uint32 {
	return crc32.Update(crc32.Update(salt, castagnoli, frame[8:]), castagnoli, frame[:4])
}

// frameNeeds returns how many bytes the record at the start of b takes, judged
// by its length field alone. It returns errEnd where no record starts.
func frameNeeds(b []byte) (int, error) {
	if len(b) < 4 {
		return 0, errEnd
	}
	n := binary.LittleEndian.Uint32(b)
	switch {
	case n == 0:
		return 0, errEnd
	case n > MaxPayload:
		return 0, fmt.Errorf("%w: record length %d", ErrCorrupt, n)
	}
	return frameLen(int(n)), nil
}

// decodeFrame returns the record at the start of b, which holds all of it. The
// payload is a view into b.
func decodeFrame(b []byte, salt uint32) (seq uint64, payload []byte, err error) {
	n := int(binary.LittleEndian.Uint32(b))
	if frameChecksum(salt, b[:frameSize+n]) != binary.LittleEndian.Uint32(b[4:]) {
		return 0, nil, fmt.Errorf("%w: record checksum", ErrCorrupt)
	}
	return binary.LittleEndian.Uint64(b[8:]), b[frameSize : frameSize+n], nil
}
