package bridge

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"bintubridge/bridge/decide"
	"bintubridge/bridge/receive"
	"bintubridge/bridge/spool"
	"bintubridge/bridge/webhook"
	"bintubridge/subjects"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// tableRules decides by a fixed table.
type tableRules struct{ *decide.Table }

func (r tableRules) Decide(in *decide.Input, now time.Time) (decide.Decision, uint64, int64) {
	return r.Table.Decide(in, now), r.Revision(), 180
}

// fixedKeys are keys that no file follows; the zero value has none.
type fixedKeys struct{ keys *decide.Keys }

func (f fixedKeys) Current() *decide.Keys { return f.keys }

// memory keeps records, or fails.
type memory struct {
	records []string
	err     error
}

func (m *memory) Append(payload []byte) (uint64, error) {
	if m.err != nil {
		return 0, m.err
	}
	m.records = append(m.records, string(payload))
	return uint64(len(m.records)), nil
}

// event returns the JSON of the last record.
func (m *memory) event(t *testing.T) (subjects.Event, string) {
	t.Helper()
	record := m.records[len(m.records)-1]
	_, rest, ok := strings.Cut(record, subjects.NoIDPrefix)
	if !ok {
		t.Fatalf("no event in %q", record)
	}
	text := subjects.NoIDPrefix + rest
	event, err := subjects.DecodeEvent([]byte(text))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return event, text
}

func testConfig(t testing.TB, environ ...string) Config {
	t.Helper()
	cfg, err := Load(append(environ, "BRIDGE_NAME=edge-1"))
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func testTable(t testing.TB, documents ...string) tableRules {
	t.Helper()
	var docs []*decide.Document
	for i, text := range documents {
		doc, err := decide.Compile(fmt.Sprintf("doc%d", i), []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		docs = append(docs, doc)
	}
	return tableRules{decide.NewTable(42, decide.Defaults{}, docs)}
}

const ingest = `{"rules":[
	{"id":"ingest","effect":"allow","calls":["publish","play","update_publish"],"name":["CD6xx-*"],"custom":{"streamkey":{"sha256":["9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"]}}},
	{"id":"cut","effect":"deny","calls":["update_publish","connect"],"addr":["198.51.100.0/24"],"reason":"over quota"}]}`

// Every row of the contract's table: answer, subject's kind, decision.
func TestAnswers(t *testing.T) {
	const from = "&addr=17.31.43.214&clientid=7&app=live"
	const bad = "&addr=198.51.100.7&clientid=7&app=live"
	for _, test := range []struct {
		body     string
		answer   receive.Answer
		typ      string
		decision string // effect rule reason
	}{
		{"streamkey=test&call=publish&name=CD6xx-1" + from, receive.Accept, "bintu.publish", "allow doc0/ingest "},
		{"streamkey=wrong&call=publish&name=CD6xx-1" + from, receive.Refuse, "bintu.denied.publish", "deny  default"},
		{"streamkey=test&call=play&name=CD6xx-1" + from, receive.Accept, "bintu.play", "allow doc0/ingest "},
		{"call=play&name=other" + from, receive.Refuse, "bintu.denied.play", "deny  default"},
		{"streamkey=test&call=publish&name=" + from, receive.Refuse, "bintu.denied.publish", "deny  empty_name"},
		{"streamkey=test&call=play" + from, receive.Refuse, "bintu.denied.play", "deny  empty_name"},
		{"call=update_publish&name=other" + from, receive.Accept, "bintu.update_publish", "allow  default"},
		{"call=publish_update&name=other" + bad, receive.Refuse, "bintu.denied.update_publish", "deny doc0/cut over quota"},
		{"call=update_play&name=other" + bad, receive.Accept, "bintu.update_play", "allow  default"},
		{"call=connect" + from, receive.Accept, "bintu.connect", "allow  default"},
		{"call=connect" + bad, receive.Refuse, "bintu.denied.connect", "deny doc0/cut over quota"},
		{"call=publish_done&name=x" + bad, receive.Accept, "bintu.publish_done", ""},
		{"call=play_done&name=" + bad, receive.Accept, "bintu.play_done", ""},
		{"call=done&name=x" + bad, receive.Accept, "bintu.done", ""},
		{"call=disconnect" + bad, receive.Accept, "bintu.disconnect", ""},
		{"call=record_done&name=x&path=/rec/x.flv" + bad, receive.Accept, "bintu.record_done", ""},
		{"call=playlist&name=x" + bad, receive.Accept, "bintu.unknown.playlist", ""},
		{"call=&name=x" + bad, receive.Invalid, "bintu.invalid.request", ""},
		{"name=x" + bad, receive.Invalid, "bintu.invalid.request", ""},
		{"", receive.Invalid, "bintu.invalid.request", ""},
	} {
		t.Run(test.body, func(t *testing.T) {
			mem := &memory{}
			a := newAnswerer(testConfig(t), fixedKeys{}, testTable(t, ingest), mem, slog.New(slog.DiscardHandler))
			if got := a.Handle([]byte(test.body), receive.Trace{}); got != test.answer {
				t.Errorf("answer %d, want %d", got, test.answer)
			}
			event, _ := mem.event(t)
			if !strings.Contains(mem.records[0], test.typ) {
				t.Errorf("record %q, want type %s", mem.records[0], test.typ)
			}
			got := ""
			if d := event.Decision; d != nil {
				got = strings.Join([]string{d.Effect, d.Rule, d.Reason}, " ")
				if d.Revision != 42 || d.RulesAgeMS != 180 {
					t.Errorf("decision %+v", d)
				}
			}
			if got != test.decision {
				t.Errorf("decision %q, want %q", got, test.decision)
			}
			if invalid := test.answer == receive.Invalid; invalid != (event.Raw == test.body && event.Call == "") {
				t.Errorf("raw %q, call %q", event.Raw, event.Call)
			}
		})
	}
}

// Secrets are decided on and leave only as a hash, in the raw body too.
func TestSecretsDoNotLeave(t *testing.T) {
	mem := &memory{}
	a := newAnswerer(testConfig(t), fixedKeys{}, testTable(t, ingest), mem, slog.New(slog.DiscardHandler))
	for _, body := range []string{
		"streamkey=test&foo=bar&call=publish&name=CD6xx-1",
		"streamkey=test&streamkey=test&foo=%zz&call=publish&name=CD6xx-1",
		"streamkey=test&no=call",
	} {
		a.Handle([]byte(body), receive.Trace{})
		event, text := mem.event(t)
		if strings.Contains(text, "test") || !strings.Contains(text, "sha256:9f86d081884c7d65") {
			t.Errorf("%q left as %s", body, text)
		}
		if event.Decision != nil && event.Decision.Effect != "allow" {
			t.Errorf("%q was decided on its hash", body)
		}
	}
}

func TestEventKeepsEveryField(t *testing.T) {
	mem := &memory{}
	a := newAnswerer(testConfig(t), fixedKeys{}, testTable(t), mem, slog.New(slog.DiscardHandler))
	a.Handle([]byte("foo=1&foo=2&call=record_done&recorder=r&name=n%22&path=p&type=ty&bytes_in=1&bytes_out=2&time=3&timestamp=-4"+
		"&start=5&duration=6&reset=7&epoch=8&addr=a&clientid=c&app=ap&flashver=f&swfurl=s&tcurl=t&pageurl=pa&new=field"), receive.Trace{})
	_, text := mem.event(t)
	var got map[string]any
	if err := json.Unmarshal([]byte(text), &got); err != nil {
		t.Fatal(err)
	}
	for field, want := range map[string]any{
		"bridge": "edge-1", "call": "record_done", "recorder": "r", "name": `n"`, "path": "p", "type": "ty",
		"bytes_in": 1.0, "bytes_out": 2.0, "time": 3.0, "timestamp": -4.0, "start": 5.0, "duration": 6.0, "reset": 7.0, "epoch": 8.0,
		"addr": "a", "clientid": "c", "app": "ap", "flashver": "f", "swfurl": "s", "tcurl": "t", "pageurl": "pa",
	} {
		if got[field] != want {
			t.Errorf("%s is %v, want %v", field, got[field], want)
		}
	}
	if fmt.Sprint(got["custom"], got["extra"]) != "map[foo:1] map[new:field]" || !strings.HasPrefix(fmt.Sprint(got["raw"]), "foo=1&foo=2&") {
		t.Errorf("custom %v, extra %v, raw %v", got["custom"], got["extra"], got["raw"])
	}
}

func TestSpoolTakesNothing(t *testing.T) {
	for _, test := range []struct {
		policy string
		want   [3]receive.Answer // of an allowed, a denied and an unreadable request
	}{
		{"answer", [3]receive.Answer{receive.Accept, receive.Refuse, receive.Invalid}},
		{"reject", [3]receive.Answer{receive.Full, receive.Full, receive.Full}},
	} {
		t.Run(test.policy, func(t *testing.T) {
			mem := &memory{err: errors.New("disk on fire")}
			var log strings.Builder
			a := newAnswerer(testConfig(t, "BRIDGE_SPOOL_FULL="+test.policy), fixedKeys{}, testTable(t, ingest), mem, slog.New(slog.NewTextHandler(&log, nil)))
			for i, body := range []string{"streamkey=test&call=publish&name=CD6xx-1", "call=publish&name=x", ""} {
				if got := a.Handle([]byte(body), receive.Trace{}); got != test.want[i] {
					t.Errorf("%q: %d, want %d", body, got, test.want[i])
				}
			}
			lost, rejected, answered := a.counts.lost.Load(), a.counts.rejected.Load(), a.counts.requests[subjects.Happened][subjects.Publish].Load()
			if lost+rejected != 3 || lost*rejected != 0 || (test.policy == "answer") != (lost == 3) || answered != lost/3 {
				t.Errorf("%d lost, %d rejected, %d answered", lost, rejected, answered)
			}
			now := time.Now()
			if !a.spoolFailedSince(now.Add(-time.Minute)) || a.spoolFailedSince(now.Add(time.Minute)) {
				t.Error("the failure is not noted, or for ever")
			}
			if strings.Count(log.String(), "disk on fire") != 1 {
				t.Errorf("log:\n%s", log.String())
			}
			mem.err = nil
			a.Handle([]byte("call=done"), receive.Trace{})
			if a.spoolFailedSince(now.Add(-time.Minute)) {
				t.Error("still failing after a good append")
			}
		})
	}
}

func TestLongNameLeavesTheHeader(t *testing.T) {
	mem := &memory{}
	a := newAnswerer(testConfig(t), fixedKeys{}, testTable(t), mem, slog.New(slog.DiscardHandler))
	name := strings.Repeat("\x01", 20_000)
	a.Handle([]byte("call=done&name="+name), receive.Trace{})
	if event, _ := mem.event(t); event.Name != name {
		t.Error("the event lost the name")
	}
	if strings.Contains(mem.records[0], "%01%01") {
		t.Error("the name is in the envelope")
	}
}

func realAnswerer(t testing.TB) *answerer {
	t.Helper()
	s, err := spool.Open(spool.Options{Dir: filepath.Join(t.TempDir(), "spool"), MaxBytes: 1 << 40, Sync: spool.SyncOff})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return newAnswerer(testConfig(t), fixedKeys{}, testTable(t, ingest), s, slog.New(slog.DiscardHandler))
}

// benchBodies are the five calls of a stream's life, with custom fields and a
// secret, and one body that loses something in decoding.
func benchBodies() [][]byte {
	req := webhook.Request{
		Name: "CD6xx-123456", App: "live", Addr: "17.31.43.214", ClientID: "9466245", Type: "live",
		FlashVer: "FMLE/3.0 (compatible; Lavf59.27.100)", TCURL: "rtmp://bintu-stream.nanocosmos.de:1935/live",
		BytesIn: "575", BytesOut: "8516372", Time: "46807", Timestamp: "46805903", Start: "4294966296", Duration: "0", Reset: "0",
	}
	var bodies [][]byte
	for _, call := range []subjects.Call{subjects.Publish, subjects.Play, subjects.UpdatePublish, subjects.PlayDone, subjects.PublishDone} {
		req.Call = call
		bodies = append(bodies, webhook.AppendBody(nil, webhook.Bintu, &req, "streamkey=test&foo=bar&batz=12345"))
	}
	return append(bodies, []byte("a=%zz&call=publish&name=CD6xx-1&addr=192.0.2.1"))
}

func BenchmarkHandle(b *testing.B) {
	a := realAnswerer(b)
	bodies := benchBodies()[:5]
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		a.Handle(bodies[i%len(bodies)], receive.Trace{})
	}
}

func BenchmarkHandleParallel(b *testing.B) {
	a := realAnswerer(b)
	bodies := benchBodies()[:5]
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for i := rand.N(5); pb.Next(); i++ {
			a.Handle(bodies[i%len(bodies)], receive.Trace{})
		}
	})
}

// A wrong BRIDGE_DIALECT is told, once in a while and not for each request.
func TestWrongDialectIsTold(t *testing.T) {
	const bintu = "foo=bar&call=publish&name=CD6xx-1&addr=192.0.2.1&app=live"
	const nginx = "app=live&flashver=&swfurl=&tcurl=&pageurl=&addr=192.0.2.1&clientid=1&call=publish&name=CD6xx-1&type=live&foo=bar"
	for _, test := range []struct {
		dialect, body string
		told          int
	}{
		{"bintu", bintu, 0},
		{"bintu", nginx, 1},
		{"nginx-rtmp", nginx, 0},
		{"nginx-rtmp", bintu, 1},
		{"bintu", "addr=forged&" + bintu, 0},
	} {
		var log strings.Builder
		a := newAnswerer(testConfig(t, "BRIDGE_DIALECT="+test.dialect), fixedKeys{}, testTable(t), &memory{}, slog.New(slog.NewTextHandler(&log, nil)))
		a.Handle([]byte(test.body), receive.Trace{})
		a.Handle([]byte(test.body), receive.Trace{})
		if told := strings.Count(log.String(), "BRIDGE_DIALECT"); told < test.told || strings.Count(log.String(), "\n") != test.told {
			t.Errorf("%s reads %q: log %q", test.dialect, test.body, log.String())
		}
	}
}

// A token is checked as it came, with all the sender says, and leaves as a hash.
func TestTokenDecidesAndIsRedacted(t *testing.T) {
	key, err := decide.NewSecret([]byte("a secret of some length"))
	if err != nil {
		t.Fatal(err)
	}
	keys := decide.NewKeys(map[string]*decide.Key{"k1": key})
	const condition = `{"type":"hmac","field":"token","keys":["k1"],"bind":["call","name","app","addr","clientid","type","flashver","swfurl","tcurl","pageurl"]}`
	token, err := decide.CompileToken([]byte(condition))
	if err != nil {
		t.Fatal(err)
	}
	in := decide.Input{
		Call: subjects.Publish, Name: "cam 1", App: "live", Addr: "192.0.2.7", ClientID: "7", Type: "record",
		FlashVer: "FMLE", SWFURL: "swf", TCURL: "tc", PageURL: "page", Keys: keys,
	}
	text, err := token.Sign(&in, time.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	const sender = "&call=publish&name=cam+1&type=record&addr=192.0.2.7&clientid=7&app=live&flashver=FMLE&swfurl=swf&tcurl=tc&pageurl=page"
	rules := testTable(t, `{"rules":[{"id":"r","effect":"allow","token":`+condition+`}]}`)
	mem := &memory{}
	a := newAnswerer(testConfig(t), fixedKeys{keys}, rules, mem, slog.New(slog.DiscardHandler))
	if got := a.Handle([]byte("token="+text+sender), receive.Trace{}); got != receive.Accept {
		t.Errorf("a good token: %v", got)
	}
	event, raw := mem.event(t)
	if got, _ := event.Custom.Get("token"); !strings.HasPrefix(got, "sha256:") || strings.Contains(raw, text) {
		t.Errorf("the token has left: %s", raw)
	}
	for name, body := range map[string]string{
		"another name":               "token=" + text + strings.Replace(sender, "cam", "dam", 1),
		"another client":             "token=" + text + strings.Replace(sender, "clientid=7", "clientid=8", 1),
		"a claim of the publisher's": "name=cam+1&token=" + text + strings.Replace(sender, "cam", "dam", 1),
		"no token":                   "x=1" + sender,
	} {
		if got := a.Handle([]byte(body), receive.Trace{}); got != receive.Refuse {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// A shadow rule changes no answer, and stands in the event of that request alone.
func TestShadowRulesAreRecorded(t *testing.T) {
	rules := testTable(t, `{"rules":[{"id":"all","effect":"allow"},
		{"id":"trial","effect":"deny","priority":9,"shadow":true,"name":["cam-*"]}]}`)
	mem := &memory{}
	a := newAnswerer(testConfig(t), fixedKeys{}, rules, mem, slog.New(slog.DiscardHandler))
	for _, test := range []struct{ body, want string }{
		{"call=publish&name=cam-1&addr=192.0.2.7", `"shadow":[{"rule":"doc0/trial","effect":"deny"}]`},
		{"call=publish&name=dam-1&addr=192.0.2.7", ""},
		{"call=play&name=cam-2&addr=192.0.2.7", `"shadow":[{"rule":"doc0/trial","effect":"deny"}]`},
		{"call=publish_done&name=cam-1&addr=192.0.2.7", ""},
	} {
		if got := a.Handle([]byte(test.body), receive.Trace{}); got != receive.Accept {
			t.Errorf("%s: %v", test.body, got)
		}
		if _, text := mem.event(t); strings.Contains(text, `"shadow"`) != (test.want != "") || !strings.Contains(text, test.want) {
			t.Errorf("%s: %s", test.body, text)
		}
	}
}

// What no rule decided is counted by call; what a rule decided, or nobody, is not.
func TestFallbackIsCounted(t *testing.T) {
	a := newAnswerer(testConfig(t), fixedKeys{}, testTable(t, ingest), &memory{}, slog.New(slog.DiscardHandler))
	for body, want := range map[string]uint64{
		"streamkey=test&call=publish&name=CD6xx-1": 0,
		"call=publish&name=other":                  1,
		"call=play&name=":                          1,
		"call=update_play&name=other":              1,
		"call=connect&name=x":                      0, // a rule denies it
		"call=publish_done&name=other":             0,
	} {
		var before, after uint64
		count := func(sum *uint64) {
			for call := range a.counts.fallback {
				*sum += a.counts.fallback[call].Load()
			}
		}
		count(&before)
		a.Handle([]byte(body+"&addr=198.51.100.7"), receive.Trace{})
		if count(&after); after-before != want {
			t.Errorf("%s: counted %d times, want %d", body, after-before, want)
		}
	}
}
