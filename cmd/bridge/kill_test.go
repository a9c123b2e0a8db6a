package main_test

import (
	"errors"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"bintubridge/bridge/bridgetest"
)

// killRounds is how often TestKilledUnderLoad kills the bridge. A longer run
// sets BRIDGE_TEST_KILL_ROUNDS.
func killRounds(t *testing.T) int {
	t.Helper()
	text := os.Getenv("BRIDGE_TEST_KILL_ROUNDS")
	if text == "" {
		return 200
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// callUntilGone calls until the bridge is killed, and counts each answer.
func (c *caller) callUntilGone(addr string, count func()) error {
	err := c.dial(addr)
	if err != nil {
		return nil // killed before it began
	}
	defer c.conn.Close()
	for err == nil {
		if err = c.call(); err == nil {
			count()
		}
	}
	if errors.Is(err, errStatus) {
		return err
	}
	return nil // killed before the answer
}

// The promise of a 200: the bridge is killed with SIGKILL under load again and
// again, and every event whose answer reached its caller is in the stream exactly
// once, in the order of its connection. Whether an event without an answer is
// there, nobody knows; more than one of a connection cannot be.
func TestKilledUnderLoad(t *testing.T) {
	const callers = 8
	server := bridgetest.StartNATS(t)
	dataDir := t.TempDir()
	// A small spool: segments rotate, and acked ones give way, between the kills.
	env := []string{"NATS_URL=" + server.URL(), "BRIDGE_SPOOL_MAX_BYTES=8MiB", "BRIDGE_SPOOL_FULL=reject"}
	var all []*caller
	for round := range killRounds(t) {
		p := start(t, dataDir, env...)
		if round%20 == 0 { // on a busy machine a kill may come before any ack, and the spool would fill
			p.eventually("the spool is empty", func() bool { return p.status().Spool.Events == 0 })
		}
		killAfter := int64(1 + rand.N(300))
		var total atomic.Int64
		var wg sync.WaitGroup
		for range callers {
			c := &caller{id: len(all)}
			all = append(all, c)
			wg.Go(func() {
				if err := c.callUntilGone(p.hook, func() {
					if total.Add(1) == killAfter {
						p.kill()
					}
				}); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if strings.Contains(p.log(), "panic") {
			t.Fatal(p.log())
		}
	}
	last := start(t, dataDir, env...)
	last.eventually("everything is in the stream", func() bool { return last.status().Spool.Events == 0 })
	last.stop()
	checkCallers(t, server, all)
}
