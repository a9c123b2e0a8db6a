package spool

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
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
	disk  disk
	path  string
	f     diskFile // nil until the disk lets it be opened for writing; save tries again
	known bool     // it was there and could be read
	count uint64   // of the newest slot that was written whole
	slot  [slotSize]byte
}

// openCursor reads the cursor of dir. When it cannot be read, the log begins at
// its oldest record; what is saved from then on outlives the unread slots.
func openCursor(d disk, dir string) (*cursorFile, Cursor, error) {
	cf := &cursorFile{disk: d, path: filepath.Join(dir, cursorName)}
	var slots [2 * slotSize]byte
	f, err := d.Open(cf.path, os.O_RDONLY)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		cf.create()
		return cf, Cursor{}, nil
	case err == nil:
		_, err = f.ReadAt(slots[:], 0)
		if errors.Is(err, io.EOF) {
			err = nil
		}
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		cf.count = uint64(time.Now().UnixNano())
		return cf, Cursor{}, fmt.Errorf("read cursor: %w", err)
	}
	cf.create()
	cur, count, err := newestSlot(slots[:])
	cf.known, cf.count = err == nil, count
	return cf, cur, err
}

// newestSlot returns the cursor in a file's bytes: the zero one when none was ever
// saved, an error when there should be one and none reads back.
func newestSlot(slots []byte) (cur Cursor, newest uint64, err error) {
	for _, slot := range [][]byte{slots[:slotSize], slots[slotSize:]} {
		if c, count, ok := decodeSlot(slot); ok && count > newest {
			cur, newest = c, count
		}
	}
	if newest == 0 && len(bytes.Trim(slots, "\x00")) > 0 {
		return Cursor{}, 0, fmt.Errorf("%w: no copy of the cursor can be read", ErrCorrupt)
	}
	return cur, newest, nil
}

// create opens the file for writing, so that its name is there with the first
// sync of the folder. A disk that takes no writes can still be read.
func (cf *cursorFile) create() {
	if f, err := cf.disk.Open(cf.path, os.O_CREATE|os.O_RDWR); err == nil {
		cf.f = f
	}
}

// save writes c over the older slot; one that failed is tried again, so that
// the other stays whole. A killed process keeps it; a power cut may bring back
// an older one, and then JetStream's duplicate window takes care.
func (cf *cursorFile) save(c Cursor) error {
	if cf.f == nil {
		f, err := cf.disk.Open(cf.path, os.O_CREATE|os.O_RDWR)
		if err != nil {
			return fmt.Errorf("open cursor: %w", err)
		}
		cf.f = f
	}
	count := cf.count + 1
	b := cf.slot[:]
	clear(b)
	copy(b, cursorMagic)
	binary.LittleEndian.PutUint64(b[8:], count)
	binary.LittleEndian.PutUint64(b[16:], c.Seq)
	binary.LittleEndian.PutUint64(b[24:], c.StreamSeq)
	copy(b[32:48], c.SpoolID)
	binary.LittleEndian.PutUint32(b[4:], crc32.Checksum(b[8:], castagnoli))
	if _, err := cf.f.WriteAt(b, int64(count%2)*slotSize); err != nil {
		return fmt.Errorf("save cursor: %w", err)
	}
	cf.count = count
	return nil
}

func (cf *cursorFile) close() error {
	if cf.f == nil {
		return nil
	}
	return errors.Join(cf.f.Sync(), cf.f.Close())
}

func decodeSlot(b []byte) (c Cursor, count uint64, ok bool) {
	if string(b[:4]) != cursorMagic || binary.LittleEndian.Uint32(b[4:]) != crc32.Checksum(b[8:], castagnoli) {
		return Cursor{}, 0, false
	}
	c = Cursor{
		Seq:       binary.LittleEndian.Uint64(b[16:]),
		StreamSeq: binary.LittleEndian.Uint64(b[24:]),
		SpoolID:   string(bytes.TrimRight(b[32:48], "\x00")),
	}
	return c, binary.LittleEndian.Uint64(b[8:]), c.Seq <= maxSequence
}

// ack moves the cursor forward to c; one behind the present is ignored.
func (s *Spool) ack(c Cursor) error {
	s.ackMu.Lock()
	defer s.ackMu.Unlock()
	if c.Seq <= s.acked.Seq {
		return nil
	}
	return s.moveCursorLocked(c)
}

// takeBack moves the cursor back to c: what was acked behind it is to be read
// again. Records that are not kept any more are not.
func (s *Spool) takeBack(c Cursor) error {
	s.ackMu.Lock()
	defer s.ackMu.Unlock()
	if c.Seq >= s.acked.Seq {
		return nil
	}
	return s.moveCursorLocked(c)
}

// moveCursorLocked returns the first failure to save in a row of them; Stats shows
// all. What is acked counts as acked in this run either way. ackMu is held.
func (s *Spool) moveCursorLocked(c Cursor) error {
	s.acked = c
	s.ackedSeq.Store(c.Seq)
	failing := s.unsaved != nil
	s.unsaved = s.cursor.save(c)
	if !failing {
		return s.unsaved
	}
	if s.unsaved == nil {
		s.opts.Log.Info("spool: the cursor is saved again")
	}
	return nil
}

// Acked returns the cursor.
func (s *Spool) Acked() Cursor {
	s.ackMu.Lock()
	defer s.ackMu.Unlock()
	return s.acked
}

// Tail returns the sequence of the last record.
func (s *Spool) Tail() uint64 { return s.tail.Load() }
