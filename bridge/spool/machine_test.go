package spool

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// The state machine: appends, reads, acks, kills, power cuts, restarts and every
// fault of a disk, in any order and each sync mode, against slices as the oracle.
// The janitor's steps are actions of their own, so that a failure shrinks.
func TestAgainstASlice(t *testing.T) {
	for name, mode := range map[string]SyncMode{"interval": SyncInterval, "always": SyncAlways, "off": SyncOff} {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(rt *rapid.T) {
				m := &machine{disk: newMemDisk(), mode: mode, tried: map[string]uint64{}}
				m.start(rt)
				rt.Repeat(m.actions())
				m.disk.setFail(nil)
				m.restart(rt)
				m.readAll(rt)
			})
		})
	}
}

// record is one answered append.
type record struct {
	seq     uint64
	payload string
	safe    bool // the mode promised that a power cut leaves it
	doubt   bool // its run ended with a failed fsync, which the next one cannot know
	gone    bool // a power cut may have taken it: reading it is fine, and so is not
}

type machine struct {
	disk  *memDisk
	mode  SyncMode
	s     *Spool
	r     *Reader
	log   []record
	tried map[string]uint64 // payloads of appends that failed, which may still be read
	count int
	acked uint64
	pos   uint64
}

func (m *machine) start(rt *rapid.T) {
	s, err := openOn(m.disk, Options{
		Dir: "spool", Sync: m.mode, SegmentBytes: 1024, MaxBytes: 16 << 10, Retain: time.Hour,
	})
	if err != nil {
		rt.Fatalf("open: %v", err)
	}
	m.s, m.r = s, s.Reader()
	m.acked = s.Acked().Seq
	m.pos = m.acked
}

// restart closes the spool, as well as its disk allows, and opens it again.
func (m *machine) restart(rt *rapid.T) {
	if err := errors.Join(m.r.Close(), m.s.Close()); err == nil {
		m.promise()
	} else {
		m.doubt()
	}
	m.start(rt)
}

// kill ends the process without a word; its writes stay in the kernel.
func (m *machine) kill(rt *rapid.T) {
	if m.s.Stats().SyncError != "" {
		m.doubt()
	}
	m.disk.mu.Lock()
	m.disk.fail = nil
	m.disk.mu.Unlock()
	m.start(rt)
}

func (m *machine) doubt() {
	for i := range m.log {
		m.log[i].doubt = !m.log[i].safe
	}
}

// promise notes that everything answered is on the disk.
func (m *machine) promise() {
	for i := range m.log {
		m.log[i].safe = m.log[i].safe || m.mode != SyncOff && !m.log[i].doubt
	}
}

func (m *machine) append(rt *rapid.T) {
	m.count++
	payload := fmt.Sprintf("%d %s", m.count, strings.Repeat("x", rapid.IntRange(0, 400).Draw(rt, "size")))
	before := m.s.Tail()
	seq, err := m.s.Append([]byte(payload))
	switch {
	case err != nil:
		m.tried[payload] = 0
		if noRoom(err) { // what is acked gives way
			for i := range m.log {
				m.log[i].gone = m.log[i].gone || m.log[i].seq <= m.s.Acked().Seq
			}
		}
	case seq <= before:
		rt.Fatalf("sequence %d after %d", seq, before)
	default:
		m.log = append(m.log, record{seq: seq, payload: payload, safe: m.mode == SyncAlways})
	}
}

// next is the first answered record behind pos that has to be there.
func (m *machine) next() (record, bool) {
	for _, rec := range m.log {
		if rec.seq > m.pos && !rec.gone {
			return rec, true
		}
	}
	return record{}, false
}

// read takes one record and reports whether there was one.
func (m *machine) read(rt *rapid.T) bool {
	var seq uint64
	var payload []byte
	err := errors.New("not read")
	for range 3 {
		if seq, _, payload, err = m.r.Next(); err == nil {
			break
		}
	}
	if err != nil {
		return false // only while a fault is on
	}
	want, ok := m.next()
	if payload == nil {
		if ok {
			rt.Fatalf("nothing to read at %d, but %d was answered", m.pos, want.seq)
		}
		return false
	}
	if seq <= m.pos {
		rt.Fatalf("%d was read after %d", seq, m.pos)
	}
	if ok && seq > want.seq {
		rt.Fatalf("%d was read, but %d was answered before", seq, want.seq)
	}
	known := false
	for _, rec := range m.log {
		known = known || rec.seq == seq && rec.payload == string(payload)
	}
	if _, failed := m.tried[string(payload)]; !known && !failed {
		rt.Fatalf("record %d is invented: %q", seq, payload)
	}
	if !known && ok && seq == want.seq {
		rt.Fatalf("record %d is %q, answered was %q", seq, payload, want.payload)
	}
	m.pos = seq
	return true
}

func (m *machine) readAll(rt *rapid.T) {
	for m.read(rt) {
	}
	if want, ok := m.next(); ok {
		rt.Fatalf("%d was answered and is not read", want.seq)
	}
}

// cutPower keeps of the log what the mode promised.
func (m *machine) cutPower(rt *rapid.T) {
	m.disk = m.disk.powerCut(rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 0)))
	for i := range m.log {
		m.log[i].gone = m.log[i].gone || !m.log[i].safe
	}
	m.start(rt)
}

func (m *machine) sync() {
	if m.s.settle() == nil {
		m.promise()
	}
}

// A fault fails one operation of a disk, or all, from now on.
func (m *machine) fault(rt *rapid.T) {
	op := rapid.SampledFrom([]string{
		"*", "create", "write", "truncate", "allocate", "sync", "syncdir", "rename", "remove",
	}).Draw(rt, "operation")
	errno := rapid.SampledFrom([]syscall.Errno{syscall.EIO, syscall.ENOSPC, syscall.EROFS}).Draw(rt, "error")
	short, every := rapid.Bool().Draw(rt, "short"), rapid.IntRange(1, 3).Draw(rt, "every")
	n := 0
	m.disk.mu.Lock()
	defer m.disk.mu.Unlock()
	m.disk.short = short
	m.disk.fail = func(did, _ string) error {
		if did == "read" || did == "open" || did == "list" || did == "size" || op != "*" && op != did {
			return nil
		}
		if n++; n%every == 0 {
			return errno
		}
		return nil
	}
}

func (m *machine) actions() map[string]func(*rapid.T) {
	return map[string]func(*rapid.T){
		"append":       m.append,
		"append more":  func(rt *rapid.T) { m.append(rt); m.append(rt); m.append(rt) },
		"append again": m.append,
		"read":         func(rt *rapid.T) { m.read(rt) },
		"read all":     m.readAll,
		"ack": func(rt *rapid.T) {
			if m.pos > m.acked {
				m.acked = rapid.Uint64Range(m.acked, m.pos).Draw(rt, "acked")
				_ = m.r.Ack(m.acked, m.s.id, m.acked)
			}
		},
		"rewind": func(rt *rapid.T) {
			if err := m.r.Rewind(m.acked); err != nil {
				rt.Fatal(err)
			}
			m.pos = m.acked
		},
		"take back": func(rt *rapid.T) {
			if oldest := m.r.Oldest(); oldest <= m.acked {
				m.acked = rapid.Uint64Range(oldest-1, m.acked).Draw(rt, "back to")
				_ = m.r.TakeBack(m.acked, m.s.id, m.acked)
			}
		},
		"trim": func(*rapid.T) {
			_ = m.s.removeAcked(time.Now().Add(2 * time.Hour))
			for i := range m.log { // an older cursor after a power cut asks for them in vain
				m.log[i].gone = m.log[i].gone || m.log[i].seq < m.r.Oldest()
			}
		},
		"prepare":        func(*rapid.T) { _ = m.s.prepare() },
		"sync":           func(*rapid.T) { m.sync() },
		"tend":           func(*rapid.T) { m.s.tend() },
		"fault":          m.fault,
		"no more faults": func(*rapid.T) { m.disk.setFail(nil) },
		"back-off ends": func(*rapid.T) {
			m.s.mu.Lock()
			m.s.createAfter = time.Time{}
			m.s.mu.Unlock()
		},
		"restart":   m.restart,
		"kill":      m.kill,
		"power cut": m.cutPower,
	}
}
