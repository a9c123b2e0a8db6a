package analytics

import (
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"bintubridge/bridge/bridgetest"
	"bintubridge/consumers/consumerstest"
	"bintubridge/subjects/provision"
)

// writeTimeout is short, and enough for a batch on a machine that is busy.
const writeTimeout = 5 * time.Second

// Somebody holds a lock: what is written there is tried again, what is written elsewhere goes on, and no
// connection is left behind by a try that was given up.
func TestTableIsLocked(t *testing.T) {
	t.Parallel()
	c := startPostgres(t)
	kit := consumerstest.StartFor(t, provision.ConsumerPermissions(Name))
	s := open(t, c.dsn())
	const n = 300
	bytes := load(t, kit, n)
	lock, err := s.db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = lock.Rollback() }() // for a test that fails
	if _, err := lock.ExecContext(t.Context(), "LOCK TABLE events IN EXCLUSIVE MODE"); err != nil {
		t.Fatal(err)
	}
	log, monitor := watched(kit, Config{Database: Database{c.dsn()}, Batch: 200, Timeout: writeTimeout})
	bridgetest.Eventually(t, "sessions are written, events fail again and again", func() bool {
		events, ended := rows(t.Context(), s)
		return events == 0 && ended == n && failed(t, monitor) > 2*n
	})
	if !strings.Contains(log.String(), "rows to events: ") {
		t.Errorf("log:\n%s", log)
	}
	bridgetest.Eventually(t, "no more connections wait than there are writers", func() bool {
		var waiting int
		err := s.db.QueryRowContext(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'").Scan(&waiting)
		return err == nil && waiting <= postgresWorkers
	})
	if err := lock.Commit(); err != nil {
		t.Fatal(err)
	}
	waitForAll(t, s, kit, n)
	expectTotals(t, s, n, bytes)
	if dead := kit.Dead(Name); len(dead) > 0 {
		t.Errorf("%d letters", len(dead))
	}
}

// wire is a network between the consumer and its database.
type wire struct {
	net.Listener
	to     string
	silent atomic.Bool // what is sent gets lost, and nobody is told
	group  sync.WaitGroup
}

func startWire(t *testing.T, port int) *wire {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{Listener: ln, to: fmt.Sprintf("127.0.0.1:%d", port)}
	w.group.Go(func() {
		for {
			near, err := ln.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", w.to)
			if err != nil {
				_ = near.Close()
				continue
			}
			w.group.Go(func() { w.carry(far, near) })
			w.group.Go(func() { w.carry(near, far) })
		}
	})
	t.Cleanup(func() {
		_ = ln.Close()
		w.group.Wait() // the consumer has closed its connections
	})
	return w
}

// carry ends, and closes both, when one of them is closed.
func (w *wire) carry(to io.WriteCloser, from io.ReadCloser) {
	defer to.Close()
	defer from.Close()
	b := make([]byte, 64<<10)
	for {
		n, err := from.Read(b)
		if err != nil {
			return
		}
		if w.silent.Load() {
			continue
		}
		if _, err := to.Write(b[:n]); err != nil {
			return
		}
	}
}

// The network falls silent in the middle of batches, as one does that loses every packet.
func TestNetworkIsSilent(t *testing.T) {
	t.Parallel()
	c := startPostgres(t)
	w := startWire(t, c.port)
	kit := consumerstest.StartFor(t, provision.ConsumerPermissions(Name))
	s := open(t, c.dsn())
	const n, more = 3000, 10
	bytes := load(t, kit, n)
	dsn := fmt.Sprintf("postgres://postgres@%s/postgres", w.Addr())
	log, monitor := watched(kit, Config{Database: Database{dsn}, Batch: 50, Timeout: writeTimeout})
	bridgetest.Eventually(t, "some are written", func() bool {
		events, _ := rows(t.Context(), s)
		return events > 0
	})
	w.silent.Store(true)
	before := failed(t, monitor)
	bytes += loadMore(t, kit, n, more) // all may be done
	bridgetest.Eventually(t, "the database is missed", func() bool { return failed(t, monitor) > before })
	w.silent.Store(false)
	waitForAll(t, s, kit, n+more)
	expectTotals(t, s, n+more, bytes)
	if dead := kit.Dead(Name); len(dead) > 0 {
		t.Errorf("%d letters", len(dead))
	}
	if !strings.Contains(log.String(), "rows to events: ") {
		t.Errorf("log:\n%s", log)
	}
}
