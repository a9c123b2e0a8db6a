package spool

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
)

// Cursor is how far JetStream has acked the log.
type Cursor struct {
	Seq       uint64 // every record up to and including this one is acked
	StreamSeq uint64 // the stream sequence that record got, 0 when it has none
	SpoolID   string // the record's, so that the stream can be asked whether it still holds it
}

// The cursor file is two slots, written in turn, so that a torn write leaves
// the older one.
//
//	 0  4  magic "bcr1"        24  8  stream sequence
//	 4  4  CRC32C of bytes 8.. 32 16  spool id, text padded with NUL
//	 8  8  count of writes     48 16  zero
//	16  8  acked sequence
const (
	cursorName  = "cursor"
	cursorMagic = "bcr1"
	slotSize    = 64
)

// cursorFile keeps the cursor on disk. It is not safe for concurrent use.
type cursorFile struct {
	f     *os.File
	count uint64
	slot  [slotSize]byte
}

func openCursor(dir string) (*cursorFile, Cursor, error) {
	f, err := os.OpenFile(filepath.Join(dir, cursorName), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, Cursor{}, fmt.Errorf("open cursor: %w", err)
	}
	var slots [2 * slotSize]byte
	if _, err := f.ReadAt(slots[:], 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, Cursor{}, errors.Join(fmt.Errorf("read cursor: %w", err), f.Close())
	}
	cf := &cursorFile{f: f}
	var cur Cursor
	for _, slot := range [][]byte{slots[:slotSize], slots[slotSize:]} {
		if c, count, ok := decodeSlot(slot); ok && count > cf.count {
			cur, cf.count = c, count
		}
	}
	return cf, cur, nil
}

// save writes c over the older slot. A killed process keeps it; a power cut may
// bring back an older one, and then JetStream's duplicate window takes care.
func (cf *cursorFile) save(c Cursor) error {
	cf.count++
	b := cf.slot[:]
	clear(b)
	copy(b, cursorMagic)
	binary.LittleEndian.PutUint64(b[8:], cf.count)
	binary.LittleEndian.PutUint64(b[16:], c.Seq)
	binary.LittleEndian.PutUint64(b[24:], c.StreamSeq)
	copy(b[32:48], c.SpoolID)
	binary.LittleEndian.PutUint32(b[4:], crc32.Checksum(b[8:], castagnoli))
	if _, err := cf.f.WriteAt(b, int64(cf.count%2)*slotSize); err != nil {
		return fmt.Errorf("save cursor: %w", err)
	}
	return nil
}

func decodeSlot(b []byte) (c Cursor, count uint64, ok bool) {
	if string(b[:4]) != cursorMagic || binary.LittleEndian.Uint32(b[4:]) != crc32.Checksum(b[8:], castagnoli) {
		return Cursor{}, 0, false
	}
	return Cursor{
		Seq:       binary.LittleEndian.Uint64(b[16:]),
		StreamSeq: binary.LittleEndian.Uint64(b[24:]),
		SpoolID:   string(bytes.TrimRight(b[32:48], "\x00")),
	}, binary.LittleEndian.Uint64(b[8:]), true
}
