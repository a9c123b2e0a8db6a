package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"bintubridge/bridge/bridgetest"
	"bintubridge/subjects"
)

func publish(t *testing.T, server *bridgetest.NATS, subject, body string) {
	t.Helper()
	if _, err := server.JetStream().Publish(t.Context(), subject, []byte(body)); err != nil {
		t.Fatal(err)
	}
}

// startTail runs tail and returns its lines and, by the other channel, its exit code.
func startTail(t *testing.T, server *bridgetest.NATS, args ...string) (lines *bufio.Reader, stop func() int) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r, w := io.Pipe()
	var errs strings.Builder
	ended := make(chan int, 1)
	go func() {
		ended <- callTool(ctx, streams{out: w, err: &errs}, func(string) string { return "" }, append([]string{"tail", "--nats-url", server.URL()}, args...))
		w.CloseWithError(io.EOF)
	}()
	return bufio.NewReader(r), func() int {
		cancel()
		_ = r.Close() // nobody reads any more
		code := <-ended
		if errs.Len() > 0 {
			t.Log(errs.String())
		}
		return code
	}
}

func wantLine(t *testing.T, lines *bufio.Reader, want string) {
	t.Helper()
	line, err := lines.ReadString('\n')
	if err != nil || !strings.Contains(line, want) {
		t.Fatalf("%q, %v; want %q", line, err, want)
	}
}

// What comes is shown when it comes, from both streams; an interrupt is no failure.
func TestTailFollows(t *testing.T) {
	server := startAll(t)
	publish(t, server, "stream.publish", `{"id":"a-1","call":"publish","name":"early"}`)
	lines, stop := startTail(t, server, "--since", "1h")
	wantLine(t, lines, "told  publish        early from ")
	for i := range 3 {
		publish(t, server, "stream.publish_done", fmt.Sprintf(`{"id":"a-%d","call":"publish_done","name":"late-%d"}`, i+2, i))
		wantLine(t, lines, fmt.Sprintf("late-%d", i))
		publish(t, server, "session.lost", fmt.Sprintf(`{"id":"a-%d-lost","name":"gone-%d"}`, i, i))
		wantLine(t, lines, fmt.Sprintf("session.lost   gone-%d", i))
	}
	if code := stop(); code != exitOK {
		t.Errorf("exit code %d", code)
	}
}

// It goes on where it was when NATS was away, also when nothing had come before.
func TestTailOutlivesNATS(t *testing.T) {
	for _, args := range [][]string{{"--since", "1h"}, nil} {
		server := startAll(t)
		lines, stop := startTail(t, server, args...)
		bridgetest.Eventually(t, "both streams are read", func() bool {
			n := 0
			for _, stream := range []string{subjects.StreamEvents, subjects.StreamSessions} {
				s, err := server.JetStream().Stream(t.Context(), stream)
				if err != nil {
					t.Fatal(err)
				}
				n += s.CachedInfo().State.Consumers
			}
			return n == 2
		})
		for i := range 2 {
			server.Stop()
			server.Start()
			publish(t, server, "stream.publish", fmt.Sprintf(`{"id":"a-%d","call":"publish","name":"after-%d"}`, i, i))
			wantLine(t, lines, fmt.Sprintf("after-%d from ", i))
		}
		if code := stop(); code != exitOK {
			t.Errorf("exit code %d", code)
		}
	}
}

// A reader that went away ends it.
func TestTailEndsWithItsReader(t *testing.T) {
	server := startAll(t)
	publish(t, server, "stream.publish", `{"id":"a-1","call":"publish","name":"early"}`)
	r, w := io.Pipe()
	ended := make(chan int, 1)
	go func() {
		ended <- callTool(t.Context(), streams{out: w, err: io.Discard}, func(string) string { return "" }, []string{"tail", "--since", "1h", "--nats-url", server.URL()})
	}()
	if _, err := r.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	_ = r.Close() // that is the test
	if code := <-ended; code != exitProblem {
		t.Errorf("exit code %d", code)
	}
}

func TestTailColours(t *testing.T) {
	p := tailPrinter{colour: true}
	for _, test := range []struct{ stream, subject, body, want string }{
		{subjects.StreamEvents, "stream.publish", `{"call":"publish","name":"a","decision":{"effect":"allow"}}`, "\x1b[32mallow\x1b[0m publish"},
		{subjects.StreamEvents, "stream.denied.publish", `{"call":"publish","name":"\u001b[31m","decision":{"effect":"deny"}}`, "\x1b[31mdeny \x1b[0m publish        \"\\x1b[31m\""},
		{subjects.StreamEvents, "stream.play_done", `{"call":"play_done","name":"a"}`, "\x1b[36mtold \x1b[0m play_done"},
		{subjects.StreamEvents, "stream.invalid.request", `{"raw":"x"}`, "stream.invalid.request"},
		{subjects.StreamSessions, "session.lost", `{"name":"a"}`, "\x1b[33msession.lost\x1b[0m"},
	} {
		m := &tailed{Stream: test.stream, Subject: test.subject, Data: []byte(test.body), time: time.Now()}
		m.decode()
		if line := p.line(m); !strings.Contains(line, test.want) {
			t.Errorf("%q, want %q", line, test.want)
		}
	}
}
