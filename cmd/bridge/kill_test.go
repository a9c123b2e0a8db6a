package main_test

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"bintubridge/bridge/bridgetest"
	"bintubridge/subjects"
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

// caller is one keep-alive connection that sends numbered events until the
// bridge is gone. The numbers are its own, in custom fields.
type caller struct {
	id       int
	answered int // events 0 to answered-1 got their answer
}

func (c *caller) run(addr string, count func()) error {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return nil // killed before it began
	}
	defer conn.Close()
	in := bufio.NewReader(conn)
	for {
		body := fmt.Sprintf("caller=%d&i=%d&call=publish_done&name=CD6xx-%d&addr=192.0.2.1&clientid=7&app=live", c.id, c.answered, c.id%10)
		if _, err := fmt.Fprintf(conn, "POST /hook HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%s", len(body), body); err != nil {
			return nil
		}
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			return nil // killed before the answer
		}
		if err := resp.Body.Close(); err != nil {
			return err
		}
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("caller %d: status %d", c.id, resp.StatusCode)
		}
		c.answered++
		count()
	}
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
				if err := c.run(p.hook, func() {
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

// checkCallers compares the stream with what the callers know.
func checkCallers(t *testing.T, server *bridgetest.NATS, all []*caller) {
	t.Helper()
	stream, err := server.JetStream().Stream(t.Context(), subjects.StreamEvents)
	if err != nil {
		t.Fatal(err)
	}
	next := make([]int, len(all))
	for _, msg := range server.Messages(subjects.StreamEvents, int(stream.CachedInfo().State.Msgs)) {
		event, err := subjects.DecodeEvent(msg.Data())
		if err != nil {
			t.Fatal(err)
		}
		id, i := number(t, &event, "caller"), number(t, &event, "i")
		if i != next[id] {
			t.Fatalf("caller %d: event %d comes where %d should", id, i, next[id])
		}
		next[id]++
	}
	answered := 0
	for id, c := range all {
		answered += c.answered
		if next[id] != c.answered && next[id] != c.answered+1 {
			t.Errorf("caller %d: %d events are in the stream, %d were answered", id, next[id], c.answered)
		}
	}
	t.Logf("%d events answered on %d connections", answered, len(all))
}

func number(t *testing.T, event *subjects.Event, field string) int {
	t.Helper()
	text, _ := event.Custom.Get(field)
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("%v: %+v", err, event)
	}
	return n
}
