package main_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"bintubridge/bridge/bridgetest"
	"bintubridge/subjects"
)

// capture is an entry of testdata/captures/index.json, with its request.
type capture struct {
	File, Dialect, Call, Variant string
	Genuine                      map[string]string
	CustomRaw                    string `json:"custom_raw"`
	Answered                     string
	raw                          []byte
}

// captures returns the requests of a dialect in the order they were captured.
func captures(t *testing.T, dialect string) []capture {
	t.Helper()
	dir := filepath.Join(root, "testdata", "captures")
	index, err := os.ReadFile(filepath.Join(dir, "index.json"))
	if err != nil {
		t.Fatal(err)
	}
	var all, own []capture
	if err := json.Unmarshal(index, &all); err != nil {
		t.Fatal(err)
	}
	for _, c := range all {
		if c.Dialect != dialect {
			continue
		}
		if c.raw, err = os.ReadFile(filepath.Join(dir, c.File)); err != nil {
			t.Fatal(err)
		}
		own = append(own, c)
	}
	return own
}

// expect is what the documented tables say of a captured request under rules.
func (c capture) expect() (status int, subject string) {
	asks := c.Call == "publish" || c.Call == "play"
	switch {
	case bytes.HasPrefix(c.raw, []byte("GET")):
		return http.StatusMethodNotAllowed, ""
	case asks && (c.Genuine["name"] == "" || c.Genuine["name"] == "CD6xx-deny"):
		return http.StatusForbidden, "stream.denied." + c.Call
	}
	return http.StatusOK, "stream." + c.Call
}

const rules = `{"rules":[
	{"id":"ingest","effect":"allow","name":["CD6xx-*","mine","victim"],"app":["live","play"],"addr":["127.0.0.0/8"]},
	{"id":"banned","effect":"deny","name":["CD6xx-deny"],"priority":10,"reason":"no contract"}]}`

func client(t *testing.T, url string) jetstream.JetStream {
	t.Helper()
	nc, err := nats.Connect(url, nats.Timeout(timeout))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc, jetstream.WithDefaultTimeout(timeout))
	if err != nil {
		t.Fatal(err)
	}
	return js
}

// push puts a rule document and waits until the bridge decides by it.
func (p *process) push(js jetstream.JetStream, key, document string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	kv, err := js.KeyValue(ctx, subjects.BucketRules)
	if err != nil {
		p.t.Fatal(err)
	}
	revision, err := kv.Put(ctx, key, []byte(document))
	if err != nil {
		p.t.Fatal(err)
	}
	p.eventually("the pushed rules are in force", func() bool { return p.status().Rules.Revision >= revision })
}

// figures is the part of /status the tests look at.
type figures struct {
	Lost  uint64 `json:"lost_events"`
	Rules struct {
		Revision     uint64 `json:"revision"`
		InvalidCount int    `json:"invalid_count"`
		Source       string `json:"source"`
	} `json:"rules"`
	Spool   struct{ Events uint64 } `json:"spool"`
	Forward struct{ Acked uint64 }  `json:"forward"`
	NATS    struct{ Restarts int }  `json:"nats"`
}

func (p *process) status() figures {
	p.t.Helper()
	_, text := p.get("/status")
	var f figures
	if err := json.Unmarshal([]byte(text), &f); err != nil {
		p.t.Fatalf("/status: %v\n%s", err, text)
	}
	return f
}

// events reads count events by an ordinary consumer.
func events(t *testing.T, js jetstream.JetStream, count int) []jetstream.Msg {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	cons, err := js.CreateOrUpdateConsumer(ctx, subjects.StreamEvents, jetstream.ConsumerConfig{Durable: "e2e", AckPolicy: jetstream.AckExplicitPolicy})
	if err != nil {
		t.Fatal(err)
	}
	var msgs []jetstream.Msg
	for len(msgs) < count {
		msg, err := cons.Next(jetstream.FetchMaxWait(timeout))
		if err != nil {
			t.Fatalf("%d of %d events came: %v", len(msgs), count, err)
		}
		if err := msg.DoubleAck(ctx); err != nil {
			t.Fatal(err)
		}
		msgs = append(msgs, msg)
	}
	info, err := cons.Info(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if info.NumPending != 0 || info.NumRedelivered != 0 {
		t.Errorf("%d events too many, %d delivered again", info.NumPending, info.NumRedelivered)
	}
	return msgs
}

// The whole way, for both dialects: the captured requests byte for byte over raw
// HTTP/1.0 connections, and their events read back by a JetStream consumer.
func TestCapturedSessions(t *testing.T) {
	for _, dialect := range []string{"bintu", "nginx-rtmp"} {
		t.Run(dialect, func(t *testing.T) {
			p := start(t, t.TempDir(), "BRIDGE_DIALECT="+dialect)
			js := client(t, p.nats)
			p.ready()
			p.push(js, "acme", rules)

			var sent []capture
			for _, c := range captures(t, dialect) {
				status, subject := c.expect()
				if got := p.send(c.raw); got != status {
					t.Errorf("%s: status %d, want %d", c.File, got, status)
				}
				if subject != "" {
					sent = append(sent, c)
				}
			}
			if len(sent) < 60 {
				t.Fatalf("only %d captures were sent", len(sent))
			}
			ids := map[string]bool{}
			for i, msg := range events(t, js, len(sent)) {
				checkEvent(t, sent[i], msg)
				ids[msg.Headers().Get("ce-id")] = true
			}
			if len(ids) != len(sent) {
				t.Errorf("%d ids for %d events", len(ids), len(sent))
			}
			p.stop()
		})
	}
}

func checkEvent(t *testing.T, c capture, msg jetstream.Msg) {
	t.Helper()
	_, subject := c.expect()
	if msg.Subject() != subject {
		t.Errorf("%s: subject %s, want %s", c.File, msg.Subject(), subject)
	}
	e, err := subjects.DecodeEvent(msg.Data())
	if err != nil {
		t.Fatalf("%s: %v\n%s", c.File, err, msg.Data())
	}
	got := map[string]string{
		"addr": e.Addr, "app": e.App, "bytes_in": string(e.BytesIn), "bytes_out": string(e.BytesOut),
		"clientid": e.ClientID, "duration": string(e.Duration), "epoch": string(e.Epoch), "flashver": e.FlashVer,
		"name": e.Name, "pageurl": e.PageURL, "path": e.Path, "recorder": e.Recorder, "reset": string(e.Reset),
		"start": string(e.Start), "swfurl": e.SWFURL, "tcurl": e.TCURL, "time": string(e.Time),
		"timestamp": string(e.Timestamp), "type": e.Type,
	}
	for field, value := range got {
		if value != c.Genuine[field] {
			t.Errorf("%s: %s is %q, want %q", c.File, field, value, c.Genuine[field])
		}
	}
	for field := range c.Genuine {
		if _, ok := got[field]; !ok {
			t.Errorf("%s: the field %s is not looked at", c.File, field)
		}
	}
	if (c.CustomRaw == "") != (e.Custom.Len() == 0) {
		t.Errorf("%s: custom %v of %q", c.File, e.Custom.List(), c.CustomRaw)
	}
	kind := strings.TrimPrefix(subject, "stream.")
	want := map[string]string{
		"ce-specversion": "1.0", "ce-id": e.ID, "Nats-Msg-Id": e.ID, "ce-source": "/bridge/edge-1", "ce-type": "bintu." + kind,
		"ce-time": e.ReceivedAt.Format("2006-01-02T15:04:05.000000Z07:00"), "ce-datacontenttype": "application/json",
	}
	if e.Name != "" {
		want["ce-subject"] = e.Name // these names need no escape
	}
	for header, value := range want {
		if got := msg.Headers()[header]; len(got) != 1 || got[0] != value {
			t.Errorf("%s: header %s is %q, want %q", c.File, header, got, value)
		}
	}
	if len(msg.Headers()) != len(want) {
		t.Errorf("%s: headers %v", c.File, msg.Headers())
	}
	asks := subjects.ParseCall(c.Call).Asks()
	if asks != (e.Decision != nil) || e.Call != c.Call || e.Bridge != "edge-1" || time.Since(e.ReceivedAt) > time.Hour {
		t.Errorf("%s: event %s", c.File, msg.Data())
	}
	if e.Name == "CD6xx-deny" && (e.Decision.Rule != "acme/banned" || e.Decision.Reason != "no contract" || e.Decision.Effect != "deny") {
		t.Errorf("%s: decision %+v", c.File, e.Decision)
	}
}

// A bridge beside a server of its own choosing, which is down at first.
func TestOutsideNATSThatIsDownAtFirst(t *testing.T) {
	server := bridgetest.StartNATS(t)
	url := server.URL()
	server.Stop()
	p := start(t, t.TempDir(), "NATS_URL="+url, "BRIDGE_DEFAULT_PLAY=allow")
	if code, text := p.get("/readyz?verbose"); code != http.StatusServiceUnavailable || !strings.Contains(text, "[-] rules") {
		t.Errorf("/readyz without rules: %d\n%s", code, text)
	}
	if got := p.post("call=play&name=x&addr=192.0.2.1&app=live"); got != http.StatusOK {
		t.Errorf("play by default: %d", got)
	}
	if got := p.post("call=publish&name=x&addr=192.0.2.1&app=live"); got != http.StatusForbidden {
		t.Errorf("publish by default: %d", got)
	}
	server.Start()
	p.ready()
	msgs := events(t, client(t, url), 2)
	if msgs[0].Subject() != "stream.play" || msgs[1].Subject() != "stream.denied.publish" {
		t.Errorf("subjects %s, %s", msgs[0].Subject(), msgs[1].Subject())
	}
	p.stop()
}

// Killed and started again with NATS away: it decides by its snapshot, and what
// was answered before and after reaches the stream once, in order.
func TestKilledAndStartedAgain(t *testing.T) {
	server := bridgetest.StartNATS(t)
	url, dataDir := server.URL(), t.TempDir()
	first := start(t, dataDir, "NATS_URL="+url)
	first.ready()
	first.push(client(t, url), "acme", rules)
	first.eventually("the snapshot is written", func() bool {
		data, err := os.ReadFile(filepath.Join(dataDir, "rules.snapshot"))
		return err == nil && bytes.Contains(data, []byte("CD6xx-*"))
	})
	server.Stop()
	for range 20 {
		if got := first.post("call=publish&name=CD6xx-1&addr=127.0.0.1&app=live"); got != http.StatusOK {
			t.Fatalf("with NATS away: %d", got)
		}
	}
	first.kill()

	second := start(t, dataDir, "NATS_URL="+url)
	if got := second.post("call=play&name=CD6xx-1&addr=127.0.0.1&app=live"); got != http.StatusOK {
		t.Errorf("decided by the snapshot: %d", got)
	}
	if got := second.post("call=publish&name=other&addr=127.0.0.1&app=live"); got != http.StatusForbidden {
		t.Errorf("decided by the snapshot: %d", got)
	}
	if s := second.status(); s.Rules.Source != "snapshot" || s.Spool.Events != 22 {
		t.Errorf("status %+v", s)
	}
	server.Start()
	msgs := events(t, client(t, url), 22)
	for i, msg := range msgs {
		want := "stream.publish"
		switch i {
		case 20:
			want = "stream.play"
		case 21:
			want = "stream.denied.publish"
		}
		if msg.Subject() != want {
			t.Errorf("event %d is on %s, want %s: %s", i, msg.Subject(), want, msg.Data())
		}
	}
	second.stop()
}

// The documented answers to what nobody genuine sends; see also the tests of
// bridge/receive and bridge/webhook for the finer points.
func TestBadInput(t *testing.T) {
	p := start(t, t.TempDir(), "BRIDGE_DEFAULT_PUBLISH=allow", "BRIDGE_SUBJECT=stream.{call}.{name}")
	p.ready()
	js := client(t, p.nats)
	long := strings.Repeat("n", 64<<10-len("call=publish&name="))
	pairs := strings.Repeat("k=v&", 10_000)
	for _, test := range []struct {
		name, body string
		status     int
		subject    string // of its event
	}{
		{"empty", "", 400, "stream.invalid.request.="},
		{"random bytes", "\x00\xff\xfe=\r\n%%%&&&=", 400, "stream.invalid.request.="},
		{"no call", "name=x&addr=1.2.3.4", 400, "stream.invalid.request.="},
		{"json", `{"call":"publish"}`, 400, "stream.invalid.request.="},
		{"ten thousand pairs", pairs + "call=publish&name=many", 200, "stream.publish.many"},
		{"64 KiB name", "call=publish&name=" + long, 403, ""},
		{"64 KiB name that is told", "call=done&name=" + long[:60<<10], 200, ""},
		{"NUL, CR LF in the name", "call=publish&name=a%00b%0D%0Ac", 200, "stream.publish.a=00b=0D=0Ac"},
		{"raw NUL, CR LF in the name", "call=publish&name=a\x00b\r\nc", 200, "stream.publish.a=00b=0D=0Ac"},
		{"semicolon", "a=1;call=play&call=publish&name=s", 200, "stream.publish.s"},
		{"bad escape", "a=%zz&call=publish&name=e", 200, "stream.publish.e"},
		{"invalid UTF-8", "a=\xff&call=publish&name=u%ff", 200, "stream.publish.u=FF"},
		{"two calls, one encoded", "c%61ll=publish_done&name=victim&call=publish&name=mine", 200, "stream.publish.mine"},
		{"dots", "call=publish&name=..", 200, "stream.publish.=2E=2E"},
		{"star", "call=publish&name=*", 200, "stream.publish.=2A"},
		{"gt", "call=publish&name=%3E", 200, "stream.publish.=3E"},
		{"spaces", "call=publish&name=a b", 200, "stream.publish.a=20b"},
		{"empty name", "call=publish&name=&addr=127.0.0.1", 403, "stream.denied.publish.="},
		{"no name", "call=play&addr=127.0.0.1", 403, "stream.denied.play.="},
		{"unknown call", "call=later_call&name=x", 200, "stream.unknown.later_call.x"},
		{"call with a dot", "call=a.b&name=x", 400, "stream.invalid.request.="},
		{"alias", "call=publish_update&name=x", 200, "stream.update_publish.x"},
	} {
		if got := p.post(test.body); got != test.status {
			t.Errorf("%s: %d, want %d", test.name, got, test.status)
		}
		msg := lastEvent(t, p, js)
		if test.subject != "" && msg.Subject != test.subject {
			t.Errorf("%s: subject %q, want %q", test.name, msg.Subject, test.subject)
		}
		if len(msg.Subject) > 1024 || strings.ContainsAny(msg.Subject, " \r\n\x00*>") {
			t.Errorf("%s: subject %q", test.name, msg.Subject)
		}
		for header, values := range msg.Header {
			if len(values) != 1 || strings.ContainsFunc(values[0], func(r rune) bool { return r < ' ' || r > '~' }) {
				t.Errorf("%s: header %s: %q", test.name, header, values)
			}
		}
		if !json.Valid(msg.Data) {
			t.Errorf("%s: event %q", test.name, msg.Data)
		}
	}
	if got := p.post("call=publish&name=" + long + "x"); got != http.StatusRequestEntityTooLarge {
		t.Errorf("a body over the limit: %d", got)
	}
	if s := p.status(); s.Lost != 0 || s.Forward.Acked != 22 {
		t.Errorf("status %+v", s)
	}
	p.stop()
}

// lastEvent waits until all events are in the stream and returns the last.
func lastEvent(t *testing.T, p *process, js jetstream.JetStream) *jetstream.RawStreamMsg {
	t.Helper()
	p.eventually("the event is forwarded", func() bool { return p.status().Spool.Events == 0 })
	stream, err := js.Stream(t.Context(), subjects.StreamEvents)
	if err != nil {
		t.Fatal(err)
	}
	msg, err := stream.GetMsg(t.Context(), stream.CachedInfo().State.LastSeq)
	if err != nil {
		t.Fatal(err)
	}
	return msg
}

func TestInvalidRulesKeepTheLastGoodVersion(t *testing.T) {
	p := start(t, t.TempDir())
	p.ready()
	js := client(t, p.nats)
	p.push(js, "acme", rules)
	p.push(js, "acme", `{"rules":[{"id":"ingest","effect":"allow","addr":["not an address"]}]}`)
	if s := p.status(); s.Rules.InvalidCount != 1 {
		t.Errorf("status %+v", s)
	}
	if got := p.post("call=publish&name=CD6xx-1&addr=127.0.0.1&app=live"); got != http.StatusOK {
		t.Errorf("the last good version is not in force: %d", got)
	}
	p.eventually("the log tells", func() bool { return strings.Contains(p.log(), "not an address") })
	p.eventually("/readyz tells what to do", func() bool {
		_, text := p.get("/readyz?verbose")
		return strings.Contains(text, "[~] rules degraded: ") && strings.Contains(text, "bridgectl rules status")
	})
	p.stop()
}
