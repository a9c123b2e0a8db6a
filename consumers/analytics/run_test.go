package analytics

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"bintubridge/bridge/bridgetest"
	"bintubridge/consumers"
	"bintubridge/consumers/consumerstest"
	"bintubridge/subjects"
	"bintubridge/subjects/provision"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// dsnVariable tells a consumer in a process of its own where its database is.
const dsnVariable = "ANALYTICS_TEST_DSN"

// load publishes n plays and their sessions, some twice under other message ids, in an order that is
// none, and returns the sum of their bytes.
func load(t *testing.T, kit *consumerstest.Kit, n int) (bytes int64) {
	t.Helper()
	return loadMore(t, kit, 0, n)
}

// loadMore is load behind one of so many plays.
func loadMore(t *testing.T, kit *consumerstest.Kit, before, n int) (bytes int64) {
	t.Helper()
	var messages []*nats.Msg
	for i := before; i < before+n; i++ {
		e := consumerstest.Event("play_done", fmt.Sprintf("stream-%d", i%7))
		e.ID, e.ReceivedAt, e.BytesOut = fmt.Sprintf("load-%d", i), nine, subjects.Number(fmt.Sprint(i))
		s := play(e.ID, e.Name, nine, 0)
		ended := play(e.ID, e.Name, nine, time.Minute)
		ended.ID, ended.BytesOut = e.ID+"-ended", int64(i)
		bytes += int64(i)
		messages = append(messages, consumerstest.EventMessage(e), sessionMessage(t, "session.started", s), sessionMessage(t, "session.ended", ended))
		if i%5 == 0 {
			messages = append(messages, consumerstest.EventMessage(e), sessionMessage(t, "session.ended", ended))
		}
	}
	rand.Shuffle(len(messages), func(i, j int) { messages[i], messages[j] = messages[j], messages[i] })
	for _, m := range messages {
		m.Header.Del(subjects.HeaderMsgID) // JetStream is not to find the repeats
		if _, err := kit.JS.PublishMsgAsync(m, jetstream.WithStallWait(bridgetest.Timeout)); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case <-kit.JS.PublishAsyncComplete():
	case <-time.After(bridgetest.Timeout):
		t.Fatal("not everything is published")
	}
	return bytes
}

func sessionMessage(t *testing.T, subject string, s subjects.Session) *nats.Msg {
	data, err := s.AppendJSON(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &nats.Msg{Subject: subject, Header: nats.Header{subjects.HeaderID: {s.ID}}, Data: data}
}

// rows returns how much of the load is there; away says that the database cannot tell.
func rows(ctx context.Context, s *Store) (events, ended int) {
	err := s.db.QueryRowContext(ctx, `SELECT (SELECT count(*) FROM events), (SELECT count(*) FROM sessions WHERE ended_at IS NOT NULL)`).Scan(&events, &ended)
	if err != nil {
		return -1, -1
	}
	return events, ended
}

func expectTotals(t *testing.T, s *Store, n int, bytes int64) {
	t.Helper()
	expect(t, s, "SELECT count(*), CAST(sum(bytes_out) AS BIGINT) FROM events", fmt.Sprint(n, bytes))
	expect(t, s, "SELECT count(*), count(ended_at), CAST(sum(bytes_out) AS BIGINT) FROM sessions", fmt.Sprint(n, n, bytes))
	expect(t, s, "SELECT CAST(sum(plays) AS BIGINT), CAST(sum(bytes_out) AS BIGINT), CAST(sum(watch_seconds) AS BIGINT) FROM watch_by_day", fmt.Sprint(n, bytes, 60*n))
}

func waitForAll(t *testing.T, s *Store, kit *consumerstest.Kit, n int) {
	t.Helper()
	bridgetest.Eventually(t, "all is there", func() bool {
		events, ended := rows(t.Context(), s)
		return events == n && ended == n
	})
	for _, c := range [][2]string{{subjects.StreamEvents, Name}, {subjects.StreamSessions, SessionsName}} {
		kit.WaitAllAcked(c[0], c[1])
	}
}

func run(kit *consumerstest.Kit, dsn string, log io.Writer) (stop func()) {
	js := kit.JetStream()
	return kit.Go(func(ctx context.Context) error {
		return Run(ctx, js, Config{Database: Database{dsn}, Batch: 50}, consumers.NewMonitor(), slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	})
}

// Repeated and shuffled messages give the totals of those that were sent.
func TestTotals(t *testing.T) {
	databases(t, func(t *testing.T, dsn string) {
		kit := consumerstest.StartFor(t, provision.ConsumerPermissions(Name))
		const n = 500
		bytes := load(t, kit, n)
		run(kit, dsn, io.Discard)
		s := open(t, dsn)
		waitForAll(t, s, kit, n)
		expectTotals(t, s, n, bytes)
	})
}

// A process that is killed in the middle of its batches, again and again.
func TestProcessIsKilled(t *testing.T) {
	t.Parallel()
	databases(t, func(t *testing.T, dsn string) {
		kit := consumerstest.StartFor(t, provision.ConsumerPermissions(Name))
		const kills, each = 5, 600
		const n = kills * each
		var bytes int64
		s := open(t, dsn)
		for _, name := range [][2]string{{subjects.StreamEvents, Name}, {subjects.StreamSessions, SessionsName}} {
			// As the runner makes it, with a shorter wait for the next process.
			_, err := kit.JS.CreateConsumer(t.Context(), name[0], jetstream.ConsumerConfig{Durable: name[1], AckPolicy: jetstream.AckExplicitPolicy, AckWait: 2 * time.Second, MaxAckPending: 1000})
			if err != nil {
				t.Fatal(err)
			}
		}
		for i := range kills { // each has something to do, however late the one before was killed
			bytes += loadMore(t, kit, i*each, each)
			process := kit.StartProcess(dsnVariable + "=" + dsn)
			before, _ := rows(t.Context(), s)
			bridgetest.Eventually(t, "it goes on", func() bool {
				events, _ := rows(t.Context(), s)
				return events >= min(before+each/2, (i+1)*each)
			})
			process.Kill()
		}
		run(kit, dsn, io.Discard)
		waitForAll(t, s, kit, n)
		expectTotals(t, s, n, bytes)
	})
}

// A database that is killed in the middle of batches, again and again: each time nothing is acked
// that is not there, and the log does not tell of each message.
func TestPostgresIsKilled(t *testing.T) {
	t.Parallel()
	c := startPostgres(t)
	kit := consumerstest.StartFor(t, provision.ConsumerPermissions(Name))
	s := open(t, c.dsn())
	const n, kills, more = 3000, 3, 10
	bytes := load(t, kit, n)
	var log consumerstest.Log
	run(kit, c.dsn(), &log)
	for i := range kills {
		bridgetest.Eventually(t, "it goes on", func() bool {
			events, _ := rows(t.Context(), s)
			return events >= (i+1)*n/(kills+2)
		})
		c.kill()
		failed := strings.Count(log.String(), "failed, and is tried again")
		bytes += loadMore(t, kit, n+i*more, more) // all may be done
		bridgetest.Eventually(t, "it is missed", func() bool { return strings.Count(log.String(), "failed, and is tried again") > failed })
		c.start()
	}
	waitForAll(t, s, kit, n+kills*more)
	expectTotals(t, s, n+kills*more, bytes)
	if said := strings.Count(log.String(), "level=WARN"); said > 50 {
		t.Errorf("%d warnings in the log", said)
	}
}

// A row that the database refuses is set aside alone.
func TestPoison(t *testing.T) {
	c := startPostgres(t)
	kit := consumerstest.StartFor(t, provision.ConsumerPermissions(Name))
	var long strings.Builder
	for range 10_000 {
		fmt.Fprint(&long, rand.Uint64())
	}
	list := make([]subjects.Event, 0, 40)
	for i := range 40 {
		list = append(list, consumerstest.Event("publish", fmt.Sprint(i)))
	}
	kit.Publish(list[:13]...)
	bad := consumerstest.EventMessage(subjects.Event{ID: long.String(), Call: "publish", ReceivedAt: nine})
	bad.Header = nil
	kit.PublishRaw(bad.Subject, nil, bad.Data)
	kit.Publish(list[13:]...)
	var log consumerstest.Log
	run(kit, c.dsn(), &log)
	kit.WaitAcked(subjects.StreamEvents, Name, 41)
	expect(t, open(t, c.dsn()), "SELECT count(*) FROM events", "40")
	if dead := kit.Dead(Name); len(dead) != 1 || dead[0].Header.Get(subjects.HeaderDeadSequence) != "14" {
		t.Errorf("%d letters", len(dead))
	}
	for line := range strings.Lines(log.String()) {
		if strings.Contains(line, "a message is dead") && strings.Count(line, "consumer=") != 1 {
			t.Errorf("the log names the consumer more than once: %.200s", line)
		}
	}
}

// hangUp answers on the port by closing every connection, and counts them.
func hangUp(t *testing.T, port int) (calls *atomic.Int64, release func()) {
	ln, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	calls = new(atomic.Int64)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			calls.Add(1)
			_ = conn.Close()
		}
	}()
	return calls, sync.OnceFunc(func() {
		_ = ln.Close()
		<-ended
	})
}

// A database that is not there yet is waited for; one of a later version is left alone.
func TestPrepare(t *testing.T) {
	kit := consumerstest.StartFor(t, provision.ConsumerPermissions(Name))
	c := startPostgres(t)
	c.kill()
	tries, release := hangUp(t, c.port)
	var log consumerstest.Log
	stop := run(kit, c.dsn(), &log)
	bridgetest.Eventually(t, "it tries again and again", func() bool { return tries.Load() >= 10 })
	release()
	c.start()
	load(t, kit, 10)
	s, err := Open(c.dsn())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	waitForAll(t, s, kit, 10)
	if n := strings.Count(log.String(), "cannot be prepared"); n != 1 {
		t.Errorf("told %d times", n)
	}
	stop()
	if _, err := s.db.ExecContext(t.Context(), "INSERT INTO schema_version VALUES (99)"); err != nil {
		t.Fatal(err)
	}
	err = Run(t.Context(), kit.JS, Config{Database: Database{c.dsn()}, Batch: 1}, consumers.NewMonitor(), slog.New(slog.DiscardHandler))
	if err == nil || !strings.Contains(err.Error(), "later version") {
		t.Errorf("a later schema: %v", err)
	}
}
