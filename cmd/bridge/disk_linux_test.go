package main_test

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"bintubridge/bridge/bridgetest"
	"bintubridge/subjects"
)

// numbered posts count events from first on, and returns the next number.
func (p *process) numbered(first, count int) int {
	p.t.Helper()
	for i := first; i < first+count; i++ {
		if got := p.post(fmt.Sprintf("i=%d&call=publish_done&name=CD6xx-1&addr=192.0.2.1&clientid=7&app=live", i)); got != http.StatusOK {
			p.t.Fatalf("event %d: status %d", i, got)
		}
	}
	return first + count
}

// checkOrder reads count events over a connection that was there all the time.
// Their numbers must grow; it returns how many below limit there are.
func checkOrder(t *testing.T, js jetstream.JetStream, count, limit int) (below int) {
	t.Helper()
	last := -1
	for _, msg := range events(t, js, count) {
		event, err := subjects.DecodeEvent(msg.Data())
		if err != nil {
			t.Fatal(err)
		}
		i := number(t, &event, "i")
		if i <= last {
			t.Fatalf("event %d comes behind %d", i, last)
		}
		last = i
		if i < limit {
			below++
		}
	}
	return below
}

// The disk of the embedded NATS is full, that of the spool is not: the events wait,
// and all of them reach the stream once and in order when there is room, with
// nobody restarting anything.
func TestFullDiskOfEmbeddedNATS(t *testing.T) {
	dataDir := t.TempDir()
	disk := bridgetest.MountDisk(t, filepath.Join(dataDir, "nats"), "16m")
	p := start(t, dataDir)
	p.ready()
	js := client(t, p.nats)
	next := p.numbered(0, 50)
	p.eventually("the first are in the stream", func() bool { return p.status().Forward.Acked == 50 })

	disk.Fill()
	next = p.numbered(next, 100)
	p.eventually("events wait, and /readyz tells why", func() bool {
		code, text := p.get("/readyz?verbose")
		return code == http.StatusOK && strings.Contains(text, "make room") && strings.Contains(text, "no space left on device")
	})
	next = p.numbered(next, 50)
	if s := p.status(); s.NATS.Restarts != 0 || s.Lost != 0 || s.Spool.Events == 0 {
		t.Errorf("while the disk is full: %+v", s)
	}

	disk.Empty()
	p.eventually("everything is in the stream", func() bool { return p.status().Spool.Events == 0 })
	p.ready()
	next = p.numbered(next, 50)
	p.eventually("and what comes after", func() bool { return p.status().Spool.Events == 0 })
	if s := p.status(); s.NATS.Restarts != 1 || s.Lost != 0 {
		t.Errorf("at the end: %+v", s)
	}
	if _, text := p.get("/metrics"); !strings.Contains(text, "bridge_nats_embedded_restarts_total 1\n") {
		t.Errorf("the restart is not in the metrics:\n%s", text)
	}
	checkOrder(t, js, next, next)
	p.stop()
}

// The spool's disk is full before the bridge starts: it is not ready, though no event was lost
// yet, and ready as soon as there is room, though none came.
func TestFullDiskAtTheStart(t *testing.T) {
	dataDir := t.TempDir()
	disk := bridgetest.MountDisk(t, filepath.Join(dataDir, "spool"), "8m")
	disk.Fill()
	p := start(t, dataDir)
	p.eventually("/readyz tells", func() bool {
		code, text := p.get("/readyz?verbose")
		return code == http.StatusServiceUnavailable && strings.Contains(text, "[-] spool failed: ") && strings.Contains(text, "no space left on device")
	})
	disk.Empty()
	p.eventually("all is well again", func() bool {
		code, text := p.get("/readyz?verbose")
		return code == http.StatusOK && strings.Contains(text, "[+] spool ok")
	})
	p.stop()
}

// Everything is on one disk: what the spool could not take is counted as lost, and
// all the rest reaches the stream once and in order.
func TestFullDiskOfEverything(t *testing.T) {
	dataDir := t.TempDir()
	disk := bridgetest.MountDisk(t, dataDir, "32m")
	p := start(t, dataDir)
	p.ready()
	js := client(t, p.nats)
	next := p.numbered(0, 50)
	p.eventually("the first are in the stream", func() bool { return p.status().Forward.Acked == 50 })

	disk.Fill()
	disk.Leave(64 << 10)
	for p.status().Lost < 20 {
		next = p.numbered(next, 20)
	}
	full := next
	disk.Empty()
	p.eventually("the spool takes events again", func() bool {
		lost := p.status().Lost
		next = p.numbered(next, 1)
		return p.status().Lost == lost
	})
	p.eventually("everything is in the stream", func() bool { return p.status().Spool.Events == 0 })
	p.ready()
	lost := int(p.status().Lost)
	if kept := checkOrder(t, js, next-lost, full); kept <= 50 {
		t.Errorf("%d events, none from while the disk filled up", kept)
	}
	if s := p.status(); s.NATS.Restarts == 0 {
		t.Errorf("the server never ran out of room: %+v", s)
	}
	p.stop()
}
