package main_test

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"bintubridge/subjects"
)

// answerTimeout is how long a caller waits for its answer. Every answer comes in
// well under a millisecond; this is for a machine that does something else.
const answerTimeout = 30 * time.Second

// caller is one keep-alive connection that sends numbered events. The numbers
// are its own, in custom fields.
type caller struct {
	id       int
	answered int // events 0 to answered-1 got their answer

	conn net.Conn
	in   *bufio.Reader
}

var errStatus = errors.New("not the answer to a told event")

func (c *caller) dial(addr string) (err error) {
	if c.conn, err = net.Dial("tcp", addr); err != nil {
		return err
	}
	c.in = bufio.NewReader(c.conn)
	return nil
}

// call sends the next event and waits for its answer.
func (c *caller) call() error {
	if err := c.conn.SetDeadline(time.Now().Add(answerTimeout)); err != nil {
		return err
	}
	body := fmt.Sprintf("caller=%d&i=%d&call=publish_done&name=CD6xx-%d&addr=192.0.2.1&clientid=7&app=live", c.id, c.answered, c.id%10)
	if _, err := fmt.Fprintf(c.conn, "POST /hook HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%s", len(body), body); err != nil {
		return err
	}
	resp, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return err
	}
	if err := resp.Body.Close(); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%w: caller %d: status %d", errStatus, c.id, resp.StatusCode)
	}
	c.answered++
	return nil
}

// natsServer is a NATS server of any kind.
type natsServer interface {
	JetStream() jetstream.JetStream
	Messages(stream string, count int) []jetstream.Msg
}

// checkCallers compares the stream with what the callers know.
func checkCallers(t *testing.T, server natsServer, all []*caller) {
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
